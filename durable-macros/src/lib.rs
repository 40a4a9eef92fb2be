//! The macros of the `durable` crate, and the test attribute of `durable-testing`. Use them through
//! these crates: generated code names `::durable::__private` and `::durable_testing::__private`.
//!
//! An input goes through four steps, each in files of its own: `attr` and `parse` read tokens
//! without judging them, `check` holds one function for each rule, `model` is what is left of a
//! sound input, and `expand` only prints. Whatever is wrong, the user's own code is emitted, so
//! that an editor keeps completing it.

mod attr;
mod check;
mod errors;
mod expand;
mod model;
mod names;
mod parse;
mod test;

use proc_macro::TokenStream;

/// Makes every value of a type a virtual object, and gives it a typed stub. Goes on the type's
/// `impl` block.
///
/// Public methods with a receiver can be called from outside: a `&mut self` method is a turn that
/// may change the object, a `&self` method reads. Next to the block it emits, for a type called
/// `Account`, the stub `AccountStub`, the message enum `AccountCall`, and the implementation of
/// `durable::Object`.
///
/// # Options
/// - `name = "bank.Account"` (required): identity in storage and on wires; never change it once
///   objects are stored.
/// - `version = 2`: version of the state's layout, 1 unless given. States of older versions go
///   through `#[migrate]`.
/// - `key = CartId`: objects are asked for by this type, which has `Display` and `FromStr`, instead
///   of by plain text.
/// - `idle = "10s"`: how long an object without calls stays in memory (`ms`, `s`, `m`, `h`).
/// - `durability = "relaxed"`: calls are answered before their changes are on the disk; `"synced"` unless it is said.
/// - `alarm_retries = 6`: how often an alarm whose handler failed is tried again before it becomes a
///   dead letter; `alarm_delay = "2s"`: how long before the first time, and twice as long before each
///   later one; `alarm_limit = "15m"`: how long its handler may run. The same holds for runs of the
///   class's schedules, with or without `#[alarm]`.
/// - `children = "one_for_all"`: which of an object's children in memory are restarted when one of
///   them crashes, `"one_for_one"` unless it is said, or `"rest_for_one"`; `intensity = 3` and
///   `period = "5s"`: how many restarts there may be in which time before the object itself fails,
///   1 in 5 s unless it is said.
/// - `crashes = 5` and `crash_period = "60s"`: how often an object may crash within which time before it
///   is quarantined; as the runtime's builder says unless the class does, each by itself.
/// - `turn_limit = "30s"`: how long the turn of a call may run before it is cut off at an `.await` and undone; as the
///   runtime's builder says unless it is said.
/// - `keep_results = "24h"`: for how long the results of calls with idempotency keys are kept, up to `"720h"`; as the runtime's builder
///   says unless it is said, and 24 h if that says nothing.
/// - `rate = "100/s"`: how many calls each object takes in a time (`ms`, `s`, `m`, `h`, or several: `"3/500ms"`), and
///   `burst = 20`: how many at once, as many as in that time unless it is said. More are refused with `rate.exceeded`. Sends,
///   alarms and schedules are no calls, and are not limited.
/// - `in_flight = 10_000`: how many calls of the class's objects may be under way; as the runtime's builder says unless it is
///   said. More are refused with `class.overloaded`.
/// - `migrations = "migrations/account"`: a folder, from the crate's directory, of files called
///   `0001_orders.sql`, `0002_….sql` and so on, which make the tables of the objects' databases. An
///   object is given those that it has not had when it comes into memory, in one commit; never
///   change one that was released. Cargo sees when a file changes; after adding one, save the file
///   with this attribute, too.
/// - `history`: what commits replace is kept, so that an object can be brought back to a former
///   moment (`Runtime::restore_to`), copied as it was then, and compared with it. Taken away again,
///   it takes the kept moments with it at the next start.
/// - `http`: the methods can be called over HTTP, by POST, where the program serves that (feature `http`), with arguments by the names
///   of their parameters. Without it nothing that comes over HTTP reaches the class.
/// - `on_crash = "close_sockets"`: sockets of an object are closed when it crashes; otherwise they stay.
/// - `visibility = "pub(crate)"`: visibility of the generated types, `pub` unless given.
/// - `crate = path`: where the `durable` crate is found, `::durable` unless given.
///
/// # Attributes inside the block
/// - `#[rpc(skip)]`: a public method that cannot be called from outside.
/// - `#[rpc(name = "…")]`: the method's name on wires, when the Rust name has changed.
/// - `#[rpc(timeout = "5s")]`: how much time calls of the method have that do not say it themselves.
/// - `#[rpc(reentrant)]`: a `&self` method that may be called back: if a `&self` turn of the object waits for such a call, through
///   whatever objects, the call does not wait behind a `&mut self` call that came before it. A `&mut self` turn has the object to
///   itself while it waits, so nothing is called back into one: that is `call.cycle`.
/// - `#[rpc(http = "GET")]`: a `&self` method of a class with `http` that is called by GET, with its arguments in the query;
///   `http = "off"`: one that cannot be called over HTTP.
/// - `#[fetch]`: the method that takes whole HTTP requests, of a class with `http`: `async fn fetch(&mut self, cx: &mut Context<'_,
///   Self>, request: Request) -> Response`, with the types of `durable::http` (feature `http`), or a `Result<Response, Response>`, whose
///   `Err` undoes the turn. It takes what no other method of the class does; `async` and `cx` may be left out.
/// - `#[on_connect]`, `#[on_message]`, `#[on_close]`, `#[on_error]`: methods that hear of sockets, of a class with `http`:
///   `fn heard(&mut self, cx: &mut Context<'_, Self>, socket: Socket, message: Message)`, with `request: Request`, `closed: Closed` or
///   `error: SocketError` in the place of the message, and the types of `durable::socket` (feature `http`). The first may return a
///   `Result<(), Response>`, the second a `Result<(), Close>`; `async` and `cx` may be left out. No caller can call them.
/// - `#[on_activate]`: runs when an object comes into memory, before its first turn.
/// - `#[alarm]`: runs when the object's alarm is due: `async fn ring(&mut self, cx: &mut Context<'_,
///   Self>, info: AlarmInfo)`, of which `async`, `cx` and `info` may be left out; it returns nothing,
///   or a `Result<(), E>` with an `E` that is `Display`.
/// - `#[on_child_exit]`: runs when a child of the object has crashed: `async fn saw(&mut self, cx:
///   &mut Context<'_, Self>, exit: ChildExit)`, of which `async`, `cx` and `exit` may be left out;
///   it returns what `#[alarm]` may.
/// - `#[on_down]`: runs when an object has ended that this one watches, by `cx.monitor`; as
///   `#[on_child_exit]`, with `down: Down`.
/// - `#[init]`: makes an object that has no stored state; without it, `Default` does.
/// - `#[migrate(from = 1)]`: makes the state of the next version, or `Self`, of a state that was
///   stored with version 1. It takes that state alone and returns the new one, or a `Result` of it.
///   Versions from the lowest such number up to the class's each need one.
#[proc_macro_attribute]
pub fn durable_object(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::durable_object(args.into(), &item.into()).into()
}

/// Runs an `async fn` as a test in simulated worlds, one world for each seed. Use it as
/// `#[durable_testing::test]`.
///
/// The function takes its world, and returns what any test may return:
///
/// ```text
/// #[durable_testing::test(runtime = bank, seeds = 200)]
/// async fn no_money_is_lost(sim: Sim) -> TestResult { … }
/// ```
///
/// Other attributes, as `#[should_panic]` or `#[cfg(…)]`, work as on any test.
///
/// # Options
/// - `runtime = bank` (required): the function that registers the classes, which the program itself
///   calls too: `fn bank(builder: RuntimeBuilder) -> RuntimeBuilder`.
/// - `seeds = 200`: in how many worlds the test runs, 1 to 1,000,000.
/// - `crash_everywhere`: no chance; one world for each place at which the scenario can crash. Not
///   together with `seeds`.
/// - `wire`: every call between objects goes through the codec, as if it left the process.
/// - `real`: on the real clock and a real disk.
/// - `crate = path`: where the `durable_testing` crate is found, `::durable_testing` unless given.
#[proc_macro_attribute]
pub fn durable_test(args: TokenStream, item: TokenStream) -> TokenStream {
    test::durable_test(args.into(), &item.into()).into()
}

/// Makes a struct or an enum part of an object's durable state: serde's traits and the schema that
/// stored bytes are checked against.
///
/// It takes serde's `rename`, `alias`, `default`, `skip` and `deny_unknown_fields`, and refuses
/// what would make stored bytes ambiguous or different from run to run; each refusal says what to
/// write instead.
///
/// # Options
/// - `#[durable(serde = "own")]` on the type: you derive or write serde's traits yourself.
/// - `#[durable(crate = path)]` on the type: where the `durable` crate is found.
/// - `#[durable(schema = Type)]` on a field with `#[serde(with = "…")]`, or of a type of another
///   crate: the type whose shape the stored bytes have.
#[proc_macro_derive(DurableState, attributes(serde, durable))]
pub fn durable_state(item: TokenStream) -> TokenStream {
    expand::durable_state(item.into()).into()
}

/// Makes a struct a tree of supervision whose fields are the children, in order: it turns into a
/// `durable::Supervisor`, the same as one that is built by hand.
///
/// A field is a `durable::Objects<Class>`, a type with `durable::Task`, or another such struct. A
/// task is called like its field.
///
/// # Options
/// - `name = "bank"`: what the supervisor is called; the struct's name in small letters unless given.
/// - `strategy = "one_for_one"`, `"one_for_all"`, `"rest_for_one"`: which children it restarts.
/// - `intensity = 3`, `period = "5s"`: how many restarts it makes in which time; 1 in 5 s unless
///   given.
/// - `auto_shutdown = "any_significant"`, `"all_significant"`: whether it ends when its significant
///   children have.
/// - `crate = path`: where the `durable` crate is found, `::durable` unless given.
///
/// # Options of a field, in `#[child(…)]`
/// - `restart = "permanent"`, `"transient"`, `"temporary"`: when it is started again.
/// - `shutdown = "5s"`, `"kill"`, `"infinity"`: how it is stopped.
/// - `significant`: its end may end the supervisor.
/// - `backoff = "10ms..1s"`: how long its restarts wait, at first and at most.
#[proc_macro_derive(Supervisor, attributes(supervisor, child))]
pub fn supervisor(item: TokenStream) -> TokenStream {
    expand::derive_supervisor(item.into()).into()
}
