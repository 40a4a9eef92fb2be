//! What a class says of calls over HTTP.

use durable::prelude::*;

#[derive(Default, DurableState)]
struct Safe {
    coins: u64,
}

#[durable_object(name = "ui.Safe", http)]
impl Safe {
    /// It changes the object, and would do so again if a proxy asks again.
    #[rpc(http = "GET")]
    pub fn take(&mut self) -> u64 {
        self.coins -= 1;
        self.coins
    }

    #[rpc(http = "PATCH")]
    pub fn mend(&mut self) {}

    #[rpc(http)]
    pub fn look(&self) -> u64 {
        self.coins
    }

    #[rpc(skip, http = "off")]
    pub fn nobody(&self) {}
}

#[derive(Default, DurableState)]
struct Cellar {}

/// Nobody calls it over HTTP, whatever its methods say.
#[durable_object(name = "ui.Cellar")]
impl Cellar {
    #[rpc(http = "GET")]
    pub fn look(&self) {}
}

struct Mute;

#[derive(Default, DurableState)]
struct Booth {}

#[durable_object(name = "ui.Booth", http = "GET")]
impl Booth {
    /// Reported as in any class, and once.
    pub fn say(&self, what: Mute) -> Result<Mute, Mute> {
        Ok(what)
    }
}

fn main() {}
