//! Whether an object may take one more call, by the rate of its class: a bucket that fills evenly, and of which each call
//! takes its part.

use crate::class::Rate;
use crate::time::MonoNs;

/// What is left of an object's rate. Kept in parts, of which one call takes as many as its period has nanoseconds, and of
/// which each nanosecond brings as many as calls may come in a period: so nothing is ever rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    parts: u64,
    /// When that was so.
    at: MonoNs,
}

impl Bucket {
    /// One of which nothing was taken.
    pub(crate) fn full(rate: &Rate, now: MonoNs) -> Self {
        Bucket { parts: most(rate), at: now }
    }

    /// Takes a call's part out.
    ///
    /// # Errors
    /// When there will be enough for one, if nobody takes it before.
    pub(crate) fn take(&mut self, rate: &Rate, now: MonoNs) -> Result<(), MonoNs> {
        let passed = now.0.saturating_sub(self.at.0);
        let came = passed.saturating_mul(u64::from(rate.calls));
        self.parts = self.parts.saturating_add(came).min(most(rate));
        self.at = self.at.max(now);
        let wanted = of_one(rate);
        if let Some(left) = self.parts.checked_sub(wanted) {
            self.parts = left;
            return Ok(());
        }
        let wait = (wanted - self.parts).div_ceil(u64::from(rate.calls));
        Err(MonoNs(self.at.0.saturating_add(wait)))
    }
}

fn of_one(rate: &Rate) -> u64 {
    u64::try_from(rate.period.as_nanos()).expect("a class's period is within its limit")
}

fn most(rate: &Rate) -> u64 {
    of_one(rate) * u64::from(rate.burst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RATE_CALLS_MAX, RATE_PERIOD_MAX};
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn rate(calls: u32, period_ms: u64, burst: u32) -> Rate {
        Rate::new(calls, period_ms, burst)
    }

    #[test]
    fn a_burst_passes_and_then_as_many_as_the_rate_says() {
        let rate = rate(100, 1_000, 3);
        let mut bucket = Bucket::full(&rate, MonoNs(0));
        // When a call comes, in milliseconds, and when one could, if it may not.
        let table = [
            (0, None),
            (0, None),
            (0, None),
            (0, Some(10)),
            (9, Some(10)),
            (10, None),
            (10, Some(20)),
            // What is over is not saved: three, and no more.
            (1_000, None),
            (1_000, None),
            (1_000, None),
            (1_000, Some(1_010)),
            // A clock that goes back brings nothing.
            (500, Some(1_010)),
            (1_010, None),
        ];
        for (now, expected) in table {
            let taken = bucket.take(&rate, MonoNs(now * MS));
            assert_eq!(taken.err(), expected.map(|ms| MonoNs(ms * MS)), "at {now} ms");
        }
    }

    #[test]
    fn nothing_is_rounded_away() {
        let rate = rate(3, 1_000, 1);
        let mut bucket = Bucket::full(&rate, MonoNs(0));
        let (mut now, mut taken) = (MonoNs(0), 0);
        while now < MonoNs(1_000_000 * MS) {
            match bucket.take(&rate, now) {
                Ok(()) => taken += 1,
                Err(until) => now = until,
            }
        }
        assert_eq!(taken, 3_000, "in a thousand seconds, each taken as soon as it may be");
    }

    #[test]
    fn the_largest_of_everything_fits() {
        let period = u64::try_from(RATE_PERIOD_MAX.as_millis()).expect("small");
        let rate = rate(RATE_CALLS_MAX, period, RATE_CALLS_MAX);
        let mut bucket = Bucket::full(&rate, MonoNs(0));
        for now in [0, 1, u64::MAX / 2, u64::MAX] {
            assert_eq!(bucket.take(&rate, MonoNs(now)), Ok(()));
        }
    }

    /// Whatever comes when, no window has more calls than a burst and what comes in evenly meanwhile; and whoever comes at the
    /// time that was said is let in.
    #[test]
    fn no_window_has_more_than_its_burst_and_its_rate() {
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % below
        };
        for _ in 0..200 {
            let calls = u32::try_from(draw(50) + 1).expect("small");
            let burst = u32::try_from(draw(9) + 1).expect("small");
            let rate = rate(calls, draw(200) + 1, burst);
            let mut bucket = Bucket::full(&rate, MonoNs(0));
            let (mut now, mut came) = (0_u64, Vec::new());
            for _ in 0..100 {
                now += draw(3 * MS);
                match bucket.take(&rate, MonoNs(now)) {
                    Ok(()) => came.push(now),
                    Err(until) => {
                        assert!(until > MonoNs(now), "it could be now");
                        if draw(2) == 0 {
                            now = until.0;
                            assert_eq!(bucket.take(&rate, until), Ok(()), "{rate:?}");
                            came.push(now);
                        }
                    }
                }
            }
            for (first, from) in came.iter().enumerate() {
                for (last, to) in came.iter().enumerate().skip(first) {
                    let evenly = u128::from(to - from) * u128::from(calls)
                        / Duration::as_nanos(&rate.period);
                    let most = u128::from(burst) + evenly;
                    assert!((last - first + 1) as u128 <= most, "{rate:?} from {from} to {to}");
                }
            }
        }
    }
}
