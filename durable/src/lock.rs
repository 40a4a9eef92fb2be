//! What of a program outlives a release: the schemas of its states and the types of its methods, as a text to commit; and
//! what a change of them breaks.
//!
//! Whether a state that changed can still be read is not guessed from the two schemas: made-up states of the old one are
//! read by the code as it is, with its defaults, aliases and migrations.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::class::ClassSpec;
use crate::error::{Code, Error};
use crate::object::Object;
use crate::object::stored::{self, OldState};
use crate::state::sample::samples;
use crate::state::shape::Shape;
use crate::state::{Fingerprint, Schemas};
use crate::storage::frame::{self, Codec, HEADER_BYTES, Header};

/// The classes of a program, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock(BTreeMap<String, Locked>);

/// One class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    name: String,
    version: u32,
    shape: Shape,
    /// `(arguments) -> result` by name, as they are written in the program.
    methods: BTreeMap<String, String>,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The class.
    pub class: String,
    /// What is not as it was.
    pub what: String,
    /// What it breaks, and what to do about it. `None`: nothing.
    pub breaks: Option<String>,
}

/// Reads states that are like those of an older class; the first that cannot be read is told of.
pub(crate) type Reads = fn(&Locked) -> Result<(), Error>;

impl Locked {
    pub(crate) fn new(spec: &ClassSpec, schema: &[u8]) -> Self {
        let shape = Shape::decode(schema);
        let shape = shape.expect("a schema of a class that can start is within the limits");
        let method = |method: &crate::class::MethodSpec| {
            (method.name.to_owned(), format!("({}) -> {}", method.args, method.returns))
        };
        let methods = spec.methods.iter().map(method).collect();
        Locked { name: spec.name.to_owned(), version: spec.version, shape, methods }
    }

    /// The class `O` as it is.
    pub fn of<O: Object>() -> Self {
        Locked::new(&O::CLASS, &Shape::of(O::SCHEMA).encode())
    }

    /// Of the state's schema.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_schema(&self.shape.encode())
    }

    /// Reads `payload`, a state of this class, as the class is by now.
    ///
    /// # Errors
    /// As an object that cannot be loaded.
    pub fn read<O: Object>(&self, payload: &[u8]) -> Result<O, Error> {
        let (fingerprint, mut schemas) = (self.fingerprint(), Schemas::default());
        schemas.add(&BTreeMap::from([(fingerprint, self.shape.encode())]));
        let mut framed = vec![0; HEADER_BYTES];
        framed.extend_from_slice(payload);
        let header = Header { codec: Codec::Postcard, state_version: self.version, fingerprint };
        frame::finish(header, &mut framed);
        let label = || format!("{}(a sample)", self.name);
        let present = Fingerprint::of::<O>();
        stored::read::<O>(&label, &framed, present, &schemas).map(|read| read.object)
    }
}

/// As [`Reads`], for one class.
pub(crate) fn reads<O: Object>(old: &Locked) -> Result<(), Error> {
    for sample in samples(&old.shape) {
        // A made-up state may be one that a migration or a type refuses; by what, the types cannot say.
        let read = catch_unwind(AssertUnwindSafe(|| old.read::<O>(&sample).map(drop)));
        match read {
            Ok(Err(error)) if OldState::is_refusal(&error) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) | Err(_) => {}
        }
    }
    Ok(())
}

impl Lock {
    pub(crate) fn new(classes: impl IntoIterator<Item = Locked>) -> Self {
        Lock(classes.into_iter().map(|class| (class.name.clone(), class)).collect())
    }

    /// The class of that name.
    pub fn class(&self, name: &str) -> Option<&Locked> {
        self.0.get(name)
    }

    /// What a text of a lock says.
    ///
    /// # Errors
    /// The line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut classes = Vec::<Locked>::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let wrong = |why: &str| format!("line {}: {why}: `{line}`", index + 1);
            if let Some(name) = line.strip_prefix("class ") {
                let (name, methods) = (name.to_owned(), BTreeMap::new());
                classes.push(Locked { name, version: 1, shape: Shape::Unit, methods });
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let class = classes.last_mut().ok_or_else(|| wrong("it is of no class"))?;
            let (word, rest) =
                line.trim_start().split_once(' ').ok_or_else(|| wrong("it is short"))?;
            match word {
                "version" => {
                    class.version = rest.parse().map_err(|_| wrong("there is no such version"))?;
                }
                // It follows from the schema, and is written for those who compare.
                "state" => {}
                "schema" => {
                    let mut schema = rest.to_owned();
                    let is_inside =
                        |line: &str| line.starts_with("    ") || line.starts_with("  }");
                    while let Some((_, more)) = lines.next_if(|(_, line)| is_inside(line)) {
                        schema.push('\n');
                        schema.push_str(more);
                    }
                    class.shape = Shape::parse(&schema).map_err(|why| wrong(&why))?;
                }
                "method" => {
                    let (name, types) = rest.split_once('(').ok_or_else(|| wrong("it is short"))?;
                    class.methods.insert(name.to_owned(), format!("({types}"));
                }
                _ => return Err(wrong("there are no such lines")),
            }
        }
        Ok(Lock::new(classes))
    }

    /// What changed since `old`. `reads`: of the classes that there are.
    pub(crate) fn since(&self, old: &Lock, reads: &BTreeMap<&str, Reads>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, class) in &self.0 {
            let mut add = |what: String, breaks| {
                changes.push(Change { class: name.clone(), what, breaks });
            };
            match old.0.get(name) {
                None => add("the class is new".to_owned(), None),
                Some(before) => {
                    compare_states(class, before, reads.get(name.as_str()), &mut add);
                    compare_methods(class, before, &mut add);
                }
            }
        }
        for name in old.0.keys().filter(|name| !self.0.contains_key(*name)) {
            let (class, what) = (name.clone(), "the class is gone".to_owned());
            let breaks = "its objects stay stored, and nobody can call them; register it again";
            changes.push(Change { class, what, breaks: Some(breaks.to_owned()) });
        }
        changes
    }
}

fn compare_states(
    class: &Locked,
    before: &Locked,
    reads: Option<&Reads>,
    add: &mut impl FnMut(String, Option<String>),
) {
    if (class.version, &class.shape) == (before.version, &before.shape) {
        return;
    }
    let what = match class.version == before.version {
        true => "the state has other fields".to_owned(),
        false => format!("the state has version {}, it had {}", class.version, before.version),
    };
    let read = reads.map_or(Ok(()), |reads| reads(before));
    add(what, read.err().map(|error| error.to_string()));
}

fn compare_methods(class: &Locked, before: &Locked, add: &mut impl FnMut(String, Option<String>)) {
    for (name, types) in &class.methods {
        match before.methods.get(name) {
            None => add(format!("method `{name}` is new"), None),
            Some(old) if old == types => {}
            Some(old) => add(
                format!("method `{name}` is {types}, it was {old}"),
                Some(
                    "calls that older code sends do not decode, nor does it understand the answers; \
                     give the new one another name"
                        .to_owned(),
                ),
            ),
        }
    }
    for name in before.methods.keys().filter(|name| !class.methods.contains_key(*name)) {
        add(
            format!("method `{name}` is gone"),
            Some(format!(
                "calls that older code sends fail with `{}`; keep it, or say \
                 `#[rpc(name = \"{name}\")]` on the method that took its place",
                Code::CallUnknownMethod
            )),
        );
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# What older data and older callers rely on. Written by a test; commit it.\n",
        )?;
        self.0.values().try_for_each(|class| write!(f, "\n{class}"))
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Locked { name, version, shape, methods } = self;
        let Fingerprint(print) = self.fingerprint();
        let mut text = format!("class {name}\n  version {version}\n  state {print:016x}\n");
        writeln!(text, "  schema {}", shape.text(2))?;
        for (name, types) in methods {
            writeln!(text, "  method {name}{types}")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { class, what, breaks } = self;
        match breaks {
            None => write!(f, "{class}: {what}; what is stored and called is still understood"),
            Some(breaks) => write!(f, "{class}: {what}, and that BREAKS: {breaks}"),
        }
    }
}

#[cfg(test)]
mod tests;
