// A class has one name, which storage and wires can keep.
mod missing {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object]
    impl Cart {}
}

mod missing_beside_others {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(version = 2)]
    impl Cart {}
}

mod twice {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(name = "shop.Cart", name = "shop.Basket")]
    impl Cart {}
}

mod empty {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(name = "")]
    impl Cart {}
}

mod strange {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(name = "shop Cart")]
    impl Cart {}
}

mod too_long {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(name = "shop.CartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCartCart")]
    impl Cart {}
}

mod bare {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object("shop.Cart")]
    impl Cart {}
}

mod not_text {
    #[derive(Default, durable::DurableState)]
    pub struct Cart;

    #[durable::durable_object(name = Cart)]
    impl Cart {}
}

fn main() {}
