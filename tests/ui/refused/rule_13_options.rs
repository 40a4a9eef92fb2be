// An unknown option lists those that there are; a wrong value says what is right, at the value.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart;

#[durable_object(
    name = "shop.Cart",
    timeout = "5s",
    idle = "soon",
    history = "30d",
    version = 0,
    visibility = "open",
    migrations = "no/such/folder"
)]
impl Cart {
    #[rpc(rename = "old")]
    pub fn renamed(&self) {}

    #[rpc]
    pub fn nothing(&self) {}

    #[rpc(name)]
    pub fn nameless(&self) {}

    #[rpc(name = "private")]
    fn private(&self) {}

    #[rpc(name = "free")]
    pub fn free() {}

    #[rpc(skip, name = "both")]
    pub fn both(&self) {}

    #[on_activate(sometimes)]
    fn wake(&mut self) {}
}

fn main() {}
