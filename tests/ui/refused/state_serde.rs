// serde's attributes that would make stored bytes ambiguous, or hide them from the schema.
use durable::DurableState;

#[derive(DurableState)]
#[serde(rename_all = "camelCase", transparent, bound = "", from = "u64", colour)]
pub struct Cart {
    #[serde(flatten)]
    inner: Inner,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(with = "millis")]
    elapsed: u64,
    #[serde(skip_serializing)]
    cache: u64,
    #[serde(rename(serialize = "a", deserialize = "b"))]
    two_names: u64,
    #[durable(skip)]
    unknown: u64,
}

#[derive(DurableState)]
pub struct Inner;

#[derive(DurableState)]
#[serde(untagged)]
pub enum Untagged {
    A(u64),
}

#[derive(DurableState)]
#[serde(tag = "kind", content = "value")]
pub enum Tagged {
    #[serde(skip)]
    A(u64),
    #[serde(other)]
    B,
}

#[derive(DurableState)]
#[durable(serde = "mine", colour = "red")]
pub struct Options;

fn main() {}
