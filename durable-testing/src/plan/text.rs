//! Plans as text.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Plan, PlannedFault, What, When};
use crate::disk::{Crash, FaultKind};

/// Disk faults that have no delay.
const DISK_FAULTS: [FaultKind; 7] = [
    FaultKind::ReadError,
    FaultKind::ShortRead,
    FaultKind::WriteError,
    FaultKind::NoSpace,
    FaultKind::SyncError,
    FaultKind::DirSyncError,
    FaultKind::LyingSync,
];

/// Nanoseconds in each unit of time, largest first.
const UNITS: [(&str, u128); 4] =
    [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// A text that is no [`Plan`], and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPlan {
    message: String,
}

impl fmt::Display for InvalidPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InvalidPlan {}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.faults.is_empty() {
            return f.write_str("-");
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.when, self.what)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Step(step) => write!(f, "step{step}"),
            When::Op(op) => write!(f, "op{op}"),
            When::At(us) => write!(f, "t{us}us"),
            When::Gate { name, nth } => {
                f.write_str("gate.")?;
                for byte in name.bytes() {
                    if is_plain(byte) {
                        write!(f, "{}", char::from(byte))?;
                    } else {
                        write!(f, "%{byte:02x}")?;
                    }
                }
                write!(f, "#{nth}")
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Crash(crash) => f.write_str(crash.name()),
            What::Disk { kind, times } => {
                f.write_str(kind.name())?;
                if let FaultKind::SlowSync(delay) = kind {
                    write!(f, ":{}", duration(*delay))?;
                }
                if *times == 1 { Ok(()) } else { write!(f, ":x{times}") }
            }
            What::ClockJump { ms } => write!(f, "clock{ms:+}ms"),
            What::EvictAll => f.write_str("evict_all"),
            What::Restart => f.write_str("restart"),
            What::NetCut => f.write_str("net_cut"),
            What::NetSilent => f.write_str("net_silent"),
            What::LaneSlow { ms } => write!(f, "lane_slow:{ms}ms"),
        }
    }
}

impl FromStr for Plan {
    type Err = InvalidPlan;

    /// # Errors
    /// Which fault of the list cannot be read, and why.
    fn from_str(text: &str) -> Result<Plan, InvalidPlan> {
        let text = text.trim();
        if text == "-" {
            return Ok(Plan::none());
        }
        if text.is_empty() {
            let message = "a plan is missing; the empty plan is written `-`".to_owned();
            return Err(InvalidPlan { message });
        }
        let parse = |(index, part): (usize, &str)| {
            let wrong =
                |why| InvalidPlan { message: format!("fault {} `{part}`: {why}", index + 1) };
            fault(part).map_err(wrong)
        };
        Ok(Plan { faults: text.split(',').enumerate().map(parse).collect::<Result<_, _>>()? })
    }
}

impl FromStr for PlannedFault {
    type Err = InvalidPlan;

    /// # Errors
    /// Why it cannot be read.
    fn from_str(text: &str) -> Result<PlannedFault, InvalidPlan> {
        fault(text).map_err(|why| InvalidPlan { message: format!("fault `{text}`: {why}") })
    }
}

fn fault(text: &str) -> Result<PlannedFault, String> {
    let (moment, happening) =
        text.split_once('=').ok_or("it has no `=`; a fault is written like `op212=power_torn`")?;
    Ok(PlannedFault { when: when(moment)?, what: what(happening)? })
}

fn when(text: &str) -> Result<When, String> {
    if let Some(gate) = text.strip_prefix("gate.") {
        let missing =
            || format!("`{text}` does not say which time; write `{text}#1` for the first");
        let (name, nth) = gate.rsplit_once('#').ok_or_else(missing)?;
        return Ok(When::Gate { name: gate_name(name)?, nth: number(nth)? });
    }
    let is_number = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_digit());
    if let Some(step) = text.strip_prefix("step").filter(is_number) {
        return Ok(When::Step(number(step)?));
    }
    if let Some(op) = text.strip_prefix("op").filter(is_number) {
        return Ok(When::Op(number(op)?));
    }
    if let Some(time) = text.strip_prefix('t').filter(is_number) {
        let us = parse_duration(time)?.as_micros();
        return u64::try_from(us).map(When::At).map_err(|_| format!("{time} is too long"));
    }
    Err(format!("`{text}` is no moment; write `step431`, `op212`, `gate.NAME#3` or `t12500us`"))
}

fn what(text: &str) -> Result<What, String> {
    if let Some(jump) = text.strip_prefix("clock") {
        let example = || format!("`{text}` is no jump; write `clock+5000ms` or `clock-5000ms`");
        let ms = jump.strip_suffix("ms").filter(|ms| ms.starts_with(['+', '-']));
        let ms = ms.and_then(|ms| ms.parse().ok()).ok_or_else(example)?;
        return Ok(What::ClockJump { ms });
    }
    let (name, details) = match text.split_once(':') {
        Some((name, details)) => (name, Some(details)),
        None => (text, None),
    };
    if name == "lane_slow" {
        let delay = parse_duration(details.ok_or("`lane_slow` needs a delay: `lane_slow:20ms`")?)?;
        let ms = u64::try_from(delay.as_millis()).map_err(|_| format!("`{text}` is too long"))?;
        return Ok(What::LaneSlow { ms });
    }
    if name == "slow_sync" {
        let details = details.ok_or("`slow_sync` needs a delay: `slow_sync:20ms`")?;
        let (delay, times) = match details.split_once(':') {
            Some((delay, times)) => (delay, parse_times(times)?),
            None => (details, 1),
        };
        return Ok(What::Disk { kind: FaultKind::SlowSync(parse_duration(delay)?), times });
    }
    if let Some(kind) = DISK_FAULTS.into_iter().find(|kind| kind.name() == name) {
        return Ok(What::Disk { kind, times: details.map_or(Ok(1), parse_times)? });
    }
    let crash = Crash::ALL.into_iter().find(|crash| crash.name() == name).map(What::Crash);
    let simple = match name {
        "evict_all" => Some(What::EvictAll),
        "restart" => Some(What::Restart),
        "net_cut" => Some(What::NetCut),
        "net_silent" => Some(What::NetSilent),
        _ => crash,
    };
    match (simple, details) {
        (Some(what), None) => Ok(what),
        (Some(_), Some(details)) => Err(format!("`{name}` has no details; leave out `:{details}`")),
        (None, _) => Err(format!("`{name}` is no fault; there are {}", names().join(", "))),
    }
}

/// How faults are written, all of them.
fn names() -> Vec<&'static str> {
    let crashes = Crash::ALL.into_iter().map(Crash::name);
    let of_disk = DISK_FAULTS.into_iter().map(FaultKind::name);
    let others = [
        "slow_sync:20ms",
        "lane_slow:20ms",
        "clock+5000ms",
        "evict_all",
        "restart",
        "net_cut",
        "net_silent",
    ];
    crashes.chain(of_disk).chain(others).collect()
}

fn number(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(format!("`{text}` is no number"));
    }
    text.parse().map_err(|_| format!("{text} is more than {}", u64::MAX))
}

fn parse_times(text: &str) -> Result<u64, String> {
    let times = text.strip_prefix('x');
    number(times.ok_or_else(|| format!("`{text}` is no number of times; write `x3` for three"))?)
}

/// A duration in the largest unit of which it is a whole number.
fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    // Seconds are read but not written: most delays are shorter, and one unit is easier to compare.
    let mut units = UNITS.into_iter().skip(1);
    let (unit, size) =
        units.find(|(_, size)| nanos.is_multiple_of(*size)).expect("nanoseconds always fit");
    format!("{}{unit}", nanos / size)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let known = UNITS.into_iter().find(|(name, _)| *name == unit);
    let wrong = || format!("`{text}` is no time; write a number with ns, us, ms or s, like `20ms`");
    let (_, size) = known.ok_or_else(wrong)?;
    let count: u128 = count.parse().map_err(|_| wrong())?;
    let nanos = count.checked_mul(size).ok_or_else(|| format!("{text} is too long"))?;
    let secs = u64::try_from(nanos / 1_000_000_000).map_err(|_| format!("{text} is too long"))?;
    Ok(Duration::new(secs, (nanos % 1_000_000_000) as u32))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/')
}

fn gate_name(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if is_plain(*first) {
            bytes.push(*first);
            continue;
        }
        let code = others.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        let wrong = || format!("`{text}` is no gate's name; write other bytes like `%2c`");
        bytes.push(byte.ok_or_else(wrong)?);
        rest = &others[2..];
    }
    String::from_utf8(bytes).map_err(|_| format!("`{text}` is no gate's name: it is not UTF-8"))
}
