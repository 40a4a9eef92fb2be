// An alarm's handler is a hook that takes what there is to tell, and says what the runtime understands.
use durable::AlarmInfo;
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart", alarm_retries = 1001, alarm_delay = "soon", alarm_limit = 5)]
impl Cart {
    #[alarm]
    fn ring(&mut self, info: AlarmInfo, cx: &mut Context<'_, Self>) {
        let _ = (info, cx);
    }

    #[alarm]
    pub fn ring_again(&mut self, item: String) {
        let _ = item;
    }

    #[alarm]
    #[init]
    fn first() -> Self {
        Cart { items: Vec::new() }
    }

    #[alarm(at = 5)]
    fn ring_nobody(_: AlarmInfo) {}
}

fn main() {}
