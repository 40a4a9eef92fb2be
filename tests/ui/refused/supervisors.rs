// A struct that cannot be a tree is told why, all of it at once.
use durable::{Objects, Supervisor};

#[derive(Supervisor)]
#[supervisor(strategy = "one_for_two", intensity = "3", period = "0s", auto_shutdown = "some", colour = "red")]
struct Options {}

#[derive(Supervisor)]
#[supervisor(strategy = "dynamic", period = "5s", period = "6s")]
struct Dynamic {}

struct Nothing;

#[derive(Supervisor)]
struct Fields {
    #[child(restart = "always", shutdown = "soon", backoff = "1s..10ms", size = 3)]
    options: Objects<Nothing>,
    #[child(significant)]
    permanent: Fields2,
    #[child]
    bare: Fields2,
}

#[derive(Supervisor)]
struct Fields2 {
    number: u64,
}

#[derive(Supervisor)]
struct Tuple(Fields2);

#[derive(Supervisor)]
enum Either {
    One,
}

fn main() {}
