//! The class: a cart, whose sums are its struct and whose lines and orders lie under keys.

use std::fmt;

use durable::prelude::*;

/// What a cart may cost. It also keeps every sum far from the ends of an `i64`.
pub(crate) const TOTAL_CENTS_MAX: i64 = 1_000_000;

/// So many pieces of one article.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Line {
    pub(crate) pieces: u32,
    /// The price of one piece.
    pub(crate) cents: i64,
}

impl Line {
    /// Never wraps: what is too much for an `i64` is too much for a cart, too.
    pub(crate) fn sum_cents(&self) -> i64 {
        i64::from(self.pieces).saturating_mul(self.cents)
    }
}

/// What is in a cart, or was in it when it was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, DurableState)]
pub(crate) struct Contents {
    pub(crate) total_cents: i64,
    /// By article, in the order of their names.
    pub(crate) lines: Vec<(String, Line)>,
}

/// Why a cart did not do what it was asked for. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) enum Refused {
    /// No pieces, or a price below zero.
    NoOffer {
        pieces: u32,
        cents: i64,
    },
    /// So many cents.
    TooDear(i64),
    /// The article.
    NotThere(String),
    Empty,
    /// It is not what the customer has seen.
    Changed {
        seen_cents: i64,
        now_cents: i64,
    },
    /// What lies under a key is not what this release expects there; says what to do. A disk that
    /// fails is not among them: it fails the call itself.
    Unusable(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Unusable(error.to_string())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NoOffer { pieces, cents } => {
                write!(f, "{pieces} pieces at {cents} cents are no offer")
            }
            Refused::TooDear(cents) => {
                write!(f, "the cart would cost {cents} cents, the limit is {TOTAL_CENTS_MAX}")
            }
            Refused::NotThere(sku) => write!(f, "there is no {sku} in the cart"),
            Refused::Empty => write!(f, "the cart is empty"),
            Refused::Changed { seen_cents, now_cents } => {
                write!(f, "the cart costs {now_cents} cents, not {seen_cents}; look at it again")
            }
            Refused::Unusable(reason) => f.write_str(reason),
        }
    }
}

/// A customer's cart, named by the customer. The struct is encoded anew after every turn, so it
/// holds sums; what grows lies under keys: `line/SKU` and `order/NUMBER`.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Cart {
    /// The sum of all lines. It changes in the same commit as they do.
    pub(crate) total_cents: i64,
    /// Orders so far; carts that were stored before orders were counted had none.
    #[serde(default)]
    pub(crate) orders: u32,
}

/// What the first version stored.
#[derive(DurableState)]
pub(crate) struct CartV1 {
    /// In euros. Floats do not add up, so the second version counts cents.
    total: f64,
}

#[durable_object(name = "shop.Cart", version = 2)]
impl Cart {
    /// Puts `pieces` more of an article into the cart, all of which cost `cents` each from now on.
    /// Returns the new total in cents.
    pub async fn add(
        &mut self,
        cx: &mut Context<'_, Self>,
        sku: String,
        pieces: u32,
        cents: i64,
    ) -> Result<i64, Refused> {
        if pieces == 0 || cents < 0 {
            return Err(Refused::NoOffer { pieces, cents });
        }
        let key = line_key(&sku);
        let old = cx.kv().get::<Line>(&key).await?;
        let had = old.as_ref().map_or(0, |line| line.pieces);
        let line = Line { pieces: had.saturating_add(pieces), cents };
        cx.kv().put(&key, &line)?;
        self.total_cents -= old.as_ref().map_or(0, Line::sum_cents);
        self.total_cents = self.total_cents.saturating_add(line.sum_cents());
        if self.total_cents > TOTAL_CENTS_MAX {
            // The line that was put and the sum go back to what they were: a turn that is refused
            // has changed nothing.
            return Err(Refused::TooDear(self.total_cents));
        }
        Ok(self.total_cents)
    }

    /// Takes an article out of the cart, and returns the new total in cents.
    pub async fn remove(
        &mut self,
        cx: &mut Context<'_, Self>,
        sku: String,
    ) -> Result<i64, Refused> {
        let key = line_key(&sku);
        let Some(line) = cx.kv().get::<Line>(&key).await? else {
            return Err(Refused::NotThere(sku));
        };
        cx.kv().delete(&key).await?;
        self.total_cents -= line.sum_cents();
        Ok(self.total_cents)
    }

    /// What is in the cart.
    pub async fn contents(&self, cx: &Context<'_, Self>) -> Result<Contents, Error> {
        let mut lines = Vec::new();
        let mut list = cx.kv().list().prefix("line/");
        while let Some((key, line)) = list.next::<Line>().await? {
            let sku = key.as_str().and_then(|key| key.strip_prefix("line/"));
            lines.push((sku.expect("keys of lines are text").to_owned(), line));
        }
        Ok(Contents { total_cents: self.total_cents, lines })
    }

    /// Orders what is in the cart, for the total that the customer has seen, and empties it.
    /// Returns the number of the order.
    pub async fn check_out(
        &mut self,
        cx: &mut Context<'_, Self>,
        seen_cents: i64,
    ) -> Result<u32, Refused> {
        let contents = self.contents(cx).await?;
        if contents.lines.is_empty() {
            return Err(Refused::Empty);
        }
        let now_cents = contents.total_cents;
        if now_cents != seen_cents {
            return Err(Refused::Changed { seen_cents, now_cents });
        }
        self.orders += 1;
        self.total_cents = 0;
        cx.kv().put(order_key(self.orders), &contents)?;
        cx.kv().delete_many(contents.lines.iter().map(|(sku, _)| line_key(sku))).await?;
        Ok(self.orders)
    }

    /// An order by its number, from 1.
    pub async fn order(
        &self,
        cx: &Context<'_, Self>,
        number: u32,
    ) -> Result<Option<Contents>, Error> {
        cx.kv().get(order_key(number)).await
    }

    #[migrate(from = 1)]
    fn count_cents(old: CartV1) -> Self {
        Cart { total_cents: (old.total * 100.0).round() as i64, orders: 0 }
    }
}

fn line_key(sku: &str) -> String {
    format!("line/{sku}")
}

/// Keys are in the order of their bytes, so numbers have as many digits as the largest.
fn order_key(number: u32) -> String {
    format!("order/{number:010}")
}
