//! Calls on their way to a server, of each stub in the order in which they were made.
//!
//! A server that says so keeps the order in which a connection brings a stub's calls, so that many of them may be under way. Until
//! that is known of a connection, and after it has broken, a stub's next call waits for those before it.

use std::collections::{BTreeMap, VecDeque};

/// Calls that wait for their turn to leave. `T`: one of them.
pub(crate) struct InOrder<T> {
    stubs: BTreeMap<u64, Line<T>>,
    /// Those whose turn it is.
    ready: VecDeque<Ticket<T>>,
    /// Counts connections.
    connection: u64,
    /// Whether this one's other end keeps the order.
    is_kept: bool,
    /// The next call's place among all.
    next: u64,
}

/// A call whose turn it is, until it is [over](InOrder::over) or [comes back](InOrder::comes_back).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket<T> {
    pub(crate) stub: u64,
    /// Its place among all calls.
    number: u64,
    pub(crate) call: T,
}

/// The calls of one stub.
struct Line<T> {
    /// By their places.
    waiting: BTreeMap<u64, T>,
    /// How many have left that are not over.
    away: usize,
    /// The connection that they have left by.
    connection: u64,
}

impl<T> InOrder<T> {
    pub(crate) fn new() -> Self {
        InOrder {
            stubs: BTreeMap::new(),
            ready: VecDeque::new(),
            connection: 0,
            is_kept: false,
            next: 0,
        }
    }

    /// A call is made.
    pub(crate) fn ask(&mut self, stub: u64, call: T) {
        let number = self.next;
        self.next += 1;
        self.wait(stub, number, call);
    }

    /// There is a new connection. Of those that have left by an earlier one it will be said what became of them; those that
    /// were about to leave by it wait again.
    pub(crate) fn connected(&mut self) {
        let ready = std::mem::take(&mut self.ready);
        self.connection += 1;
        self.is_kept = false;
        let stubs: Vec<u64> = ready.iter().map(|ticket| ticket.stub).collect();
        for Ticket { stub, number, call } in ready {
            let line = self.stubs.get_mut(&stub).expect("it was ready to leave");
            line.away -= 1;
            line.waiting.insert(number, call);
        }
        stubs.into_iter().for_each(|stub| self.let_go(stub));
    }

    /// The other end of the connection with this number keeps the order of what it brings.
    pub(crate) fn keeps_order(&mut self, connection: u64) {
        if connection != self.connection || self.is_kept {
            return;
        }
        self.is_kept = true;
        let stubs: Vec<u64> = self.stubs.keys().copied().collect();
        stubs.into_iter().for_each(|stub| self.let_go(stub));
    }

    /// A call of this stub that had left is over, well or not.
    pub(crate) fn over(&mut self, stub: u64) {
        let line = self.stubs.get_mut(&stub).expect("a call of it was away");
        line.away -= 1;
        self.let_go(stub);
    }

    /// One that had left has not been taken: it is as if it had not.
    pub(crate) fn comes_back(&mut self, ticket: Ticket<T>) {
        let Ticket { stub, number, call } = ticket;
        let line = self.stubs.get_mut(&stub).expect("a call of it was away");
        line.away -= 1;
        self.wait(stub, number, call);
    }

    /// Whether there is one whose turn it is.
    pub(crate) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// One whose turn it is. It leaves by the connection that there is now.
    pub(crate) fn next(&mut self) -> Option<Ticket<T>> {
        self.ready.pop_front()
    }

    /// The number of the connection that there is now.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// All that wait, and none of which waits any more: whoever goes by these says that they are over.
    pub(crate) fn give_up(&mut self) -> Vec<T> {
        let ready = std::mem::take(&mut self.ready);
        let mut all: BTreeMap<u64, T> = BTreeMap::new();
        for Ticket { stub, number, call } in ready {
            self.stubs.get_mut(&stub).expect("it is ready to leave").away -= 1;
            all.insert(number, call);
        }
        for line in self.stubs.values_mut() {
            all.append(&mut line.waiting);
        }
        self.stubs.retain(|_, line| line.away > 0);
        all.into_values().collect()
    }

    fn wait(&mut self, stub: u64, number: u64, call: T) {
        let line = self.stubs.entry(stub).or_insert_with(|| Line {
            waiting: BTreeMap::new(),
            away: 0,
            connection: 0,
        });
        line.waiting.insert(number, call);
        self.let_go(stub);
    }

    /// Lets those go whose turn it is.
    fn let_go(&mut self, stub: u64) {
        let Some(line) = self.stubs.get_mut(&stub) else { return };
        loop {
            let is_free = self.is_kept && line.connection == self.connection;
            if line.away > 0 && !is_free {
                return;
            }
            let Some((number, call)) = line.waiting.pop_first() else { break };
            line.away += 1;
            line.connection = self.connection;
            self.ready.push_back(Ticket { stub, number, call });
        }
        if line.away == 0 {
            self.stubs.remove(&stub);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn left(calls: &mut InOrder<u32>) -> Vec<u32> {
        std::iter::from_fn(|| calls.next()).map(|ticket| ticket.call).collect()
    }

    #[test]
    fn one_at_a_time_until_the_other_end_keeps_the_order() {
        let mut calls = InOrder::new();
        calls.connected();
        for call in 0..4 {
            calls.ask(7, call);
        }
        calls.ask(8, 10);
        assert_eq!(left(&mut calls), [0, 10]);
        calls.over(7);
        assert_eq!(left(&mut calls), [1]);
        calls.keeps_order(1);
        assert_eq!(left(&mut calls), [2, 3]);
        calls.connected();
        calls.keeps_order(1);
        calls.ask(7, 4);
        assert_eq!(
            left(&mut calls),
            Vec::<u32>::new(),
            "it waits for those of the connection before"
        );
    }

    #[test]
    fn what_comes_back_leaves_before_what_was_made_after_it() {
        let mut calls = InOrder::new();
        calls.connected();
        calls.keeps_order(1);
        (0..3).for_each(|call| calls.ask(7, call));
        let tickets: Vec<_> = std::iter::from_fn(|| calls.next()).collect();
        calls.connected();
        calls.keeps_order(2);
        calls.ask(7, 3);
        let mut tickets = tickets.into_iter();
        calls.over(7);
        tickets.next();
        for ticket in tickets.rev() {
            assert_eq!(left(&mut calls), Vec::<u32>::new());
            calls.comes_back(ticket);
        }
        assert_eq!(left(&mut calls), [1, 2, 3]);
    }

    #[test]
    fn what_was_about_to_leave_by_a_connection_that_broke_waits_again() {
        let mut calls = InOrder::new();
        calls.connected();
        calls.keeps_order(1);
        (0..3).for_each(|call| calls.ask(7, call));
        calls.connected();
        assert_eq!(left(&mut calls), [0], "nobody knows whether the new one keeps the order");
        calls.keeps_order(2);
        assert_eq!(left(&mut calls), [1, 2]);
    }

    #[test]
    fn who_gives_up_has_all_that_wait_in_order() {
        let mut calls = InOrder::new();
        (0..3).for_each(|call| calls.ask(7, call));
        calls.ask(8, 3);
        assert_eq!(calls.give_up(), [0, 1, 2, 3]);
        assert!(calls.stubs.is_empty() && calls.next().is_none());
        calls.ask(7, 4);
        assert_eq!(left(&mut calls), [4]);
    }

    proptest! {
        /// A connection takes what it is given in order, up to where it breaks; what is behind that comes back, in any order.
        #[test]
        fn each_stub_has_its_order_over_any_breaks(steps in prop::collection::vec((0..6u8, 0..3u64, any::<bool>()), 1..200)) {
            let mut calls: InOrder<u32> = InOrder::new();
            let (mut made, mut taken) = (0u32, HashMap::<u64, Vec<u32>>::new());
            let mut away: Vec<(u64, Ticket<u32>)> = Vec::new();
            let mut answered: Vec<u64> = Vec::new();
            for (what, stub, is_taken) in steps {
                match what {
                    0 | 1 => {
                        calls.ask(stub, made);
                        made += 1;
                    }
                    2 => calls.connected(),
                    3 => calls.keeps_order(calls.connection()),
                    // The connection's next call is taken, or comes back if the connection has broken before it came.
                    4 if !away.is_empty() => {
                        let (connection, ticket) = away.remove(0);
                        if is_taken || connection == calls.connection() {
                            taken.entry(ticket.stub).or_default().push(ticket.call);
                            answered.push(ticket.stub);
                        } else {
                            // So did all behind it.
                            let behind = away.iter().position(|(other, _)| *other != connection);
                            let rest = away.split_off(behind.unwrap_or(away.len()));
                            let lost = std::mem::replace(&mut away, rest);
                            lost.into_iter().rev().for_each(|(_, ticket)| calls.comes_back(ticket));
                            calls.comes_back(ticket);
                        }
                    }
                    _ => answered.pop().into_iter().for_each(|stub| calls.over(stub)),
                }
                let connection = calls.connection();
                away.extend(std::iter::from_fn(|| calls.next()).map(|ticket| (connection, ticket)));
            }
            for (stub, order) in &taken {
                prop_assert!(order.is_sorted(), "{stub}: {order:?}");
            }
        }
    }
}
