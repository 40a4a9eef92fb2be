//! Checks the history of one object, against its own methods or against a model.

use std::marker::PhantomData;
use std::sync::Arc;

use durable::alone::{self, Alone};
use durable::{Object, ObjectId, Stub, WallMs};

use super::linear::{self, Model, Step, Verdict};
use crate::history::{Outcome, Recorded};
use crate::ledger::Turned;
use crate::result::{TestError, TestResult};
use crate::sim::Sim;

/// Configurations that are looked at before a history counts as too large.
const STATES_MAX: usize = 1_000_000;

/// Checks an object against its own methods.
pub(crate) fn against_itself<O: Object<Stub = S>, S: Stub<O>>(sim: &Sim, stub: &S) -> TestResult {
    let id = stub.id()?;
    let (calls, seed) = (sim.calls_to(O::CLASS.name, id)?, sim.seed());
    let name = stub.name().map(Arc::from);
    // What a turn was told and drew belongs to its call, so that two calls that are alike but for that differ.
    let told = |(mut call, turned): (Recorded, Turned)| {
        append(&mut call.args, turned);
        call
    };
    // A call that nobody has answered and whose turn never ended has done nothing, and may not have asked for the time.
    let may_have_run = |(call, turned): &(Recorded, Turned)| {
        !turned.is_repeat && (turned.has_ended || matches!(call.outcome, Outcome::Ok(_)))
    };
    let calls: Vec<_> = calls.into_iter().filter(may_have_run).map(told).collect();
    let own = Own::<O> { id, name, seed, class: PhantomData };
    let birth = alone::birth::<O>(&own.alone(Turned::default()));
    let birth = birth.map_err(|why| cannot(stub, &why))?;
    verdict(
        stub,
        linear::check(&calls.iter().collect::<Vec<_>>(), &Born { own, birth }, STATES_MAX),
    )
}

/// Checks an object against a model.
pub(crate) fn against<O: Object<Stub = S>, S: Stub<O>>(
    sim: &Sim,
    stub: &S,
    model: &impl Model,
) -> TestResult {
    let calls = sim.calls_to(O::CLASS.name, stub.id()?)?;
    let calls = calls.iter().filter(|(_, turned)| !turned.is_repeat);
    let calls: Vec<_> = calls.map(|(call, _)| call).collect();
    verdict(stub, linear::check(&calls, model, STATES_MAX))
}

fn verdict(stub: &impl std::fmt::Debug, verdict: Verdict) -> TestResult {
    match verdict {
        Verdict::Linearizable => Ok(()),
        Verdict::Violation(explained) => {
            Err(TestError::of_check("history", format!("{stub:?}: {explained}")))
        }
        Verdict::TooLarge { states } => Err(TestError::new(format!(
            "the history of {stub:?} has too many orders, {states} were looked at; make fewer calls at once"
        ))),
        Verdict::NotModelled(why) => Err(cannot(stub, &why)),
    }
}

fn cannot(stub: &impl std::fmt::Debug, why: &str) -> TestError {
    TestError::new(format!(
        "the history of {stub:?} cannot be checked: {why}; say with a `Model` what its calls do"
    ))
}

/// An object's own methods, as the model of it.
struct Own<O> {
    id: ObjectId,
    name: Option<Arc<str>>,
    seed: u64,
    class: PhantomData<fn() -> O>,
}

struct Born<O> {
    own: Own<O>,
    birth: Vec<u8>,
}

impl<O: Object> Own<O> {
    fn alone(&self, turned: Turned) -> Alone {
        let entropy = crate::world::turn_entropy(self.seed, turned.number);
        let alone = Alone::new(self.id, self.name.clone(), entropy);
        match turned.now {
            Some(now) => alone.at(now),
            None => alone,
        }
    }
}

impl<O: Object> Model for Born<O> {
    type State = Vec<u8>;

    fn initial(&self) -> Vec<u8> {
        self.birth.clone()
    }

    fn step(&self, state: &Vec<u8>, call: &Recorded) -> Result<Step<Vec<u8>>, String> {
        let (args, turned) = split(&call.args);
        let stepped = alone::step::<O>(&self.own.alone(turned), state, &call.method, args)?;
        Ok(Step { state: stepped.state, reply: stepped.reply })
    }

    fn show_args(&self, call: &Recorded) -> String {
        let (args, _) = split(&call.args);
        linear::bytes(args)
    }
}

/// Bytes that [`append`] appends.
const APPENDED: usize = 17;

/// Writes what is known of a turn behind the arguments of its call. A turn that drew nothing needs no number.
fn append(args: &mut Vec<u8>, turned: Turned) {
    let number = if turned.has_drawn { turned.number } else { 0 };
    args.extend(number.to_le_bytes());
    args.push(u8::from(turned.now.is_some()));
    args.extend(turned.now.unwrap_or_default().0.to_le_bytes());
}

fn split(args: &[u8]) -> (&[u8], Turned) {
    let (args, appended) = args.split_at(args.len() - APPENDED);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let now = (appended[8] == 1).then(|| WallMs(number(&appended[9..])));
    (args, Turned { number: number(&appended[..8]), now, ..Turned::default() })
}
