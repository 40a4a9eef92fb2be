//! What older data and older callers rely on is written down, and a test says what a change of it breaks.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use durable::{Object, RuntimeBuilder};
use durable_testing::{assert_locked, assert_state_golden};

/// What this package's own classes rely on.
#[test]
fn the_classes_of_the_workload_are_as_they_were() {
    let program = |builder| tests::releases::second(tests::classes::bank(builder));
    assert_locked("durable.lock", program);
}

macro_rules! class {
    ($module:ident, $options:tt, $fields:tt, $methods:tt) => {
        mod $module {
            use durable::prelude::*;

            #[derive(Default, DurableState)]
            pub struct Cart $fields

            #[allow(dead_code)]
            #[derive(DurableState)]
            pub struct Line { pub sku: String, pub count: u32 }

            class!(@object $options $methods);
        }
    };
    (@object [$($option:tt)*] { $($method:item)* }) => {
        #[durable_object(name = "test.Cart" $($option)*)]
        impl Cart { $($method)* }
    };
}

class!(first, [], { pub lines: Vec<Line> }, {
    pub fn add(&mut self, sku: String, count: u32) { self.lines.push(Line { sku, count }); }
    pub fn count(&self) -> Result<u64, String> { Ok(self.lines.len() as u64) }
});
class!(grown, [], { pub lines: Vec<Line>, #[serde(default)] pub is_paid: bool }, {
    pub fn add(&mut self, sku: String, count: u32) { self.lines.push(Line { sku, count }); }
    pub fn count(&self) -> Result<u64, String> { Ok(self.lines.len() as u64) }
    pub fn pay(&mut self) { self.is_paid = true; }
});
class!(strict, [], { pub lines: Vec<Line>, pub is_paid: bool }, {
    pub fn add(&mut self, count: u32, sku: String) { self.lines.push(Line { sku, count }); }
});
class!(unversioned, [, version = 2], { pub lines: Vec<Line>, pub is_paid: bool }, {
    pub fn add(&mut self, sku: String, count: u32) { self.lines.push(Line { sku, count }); }
    pub fn count(&self) -> Result<u64, String> { Ok(self.lines.len() as u64) }
});

mod migrated {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Cart {
        pub lines: Vec<String>,
    }

    #[derive(DurableState)]
    pub struct CartV1 {
        lines: Vec<super::first::Line>,
    }

    #[durable_object(name = "test.Cart", version = 2)]
    impl Cart {
        pub fn add(&mut self, sku: String, _count: u32) {
            self.lines.push(sku);
        }

        pub fn count(&self) -> Result<u64, String> {
            Ok(self.lines.len() as u64)
        }

        #[migrate(from = 1)]
        fn names(old: CartV1) -> Result<Self, String> {
            if old.lines.len() == 1_000 {
                return Err("too many".to_owned());
            }
            Ok(Cart { lines: old.lines.into_iter().map(|line| line.sku).collect() })
        }
    }
}

fn program<C: Object>(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<C>()
}

/// What the panic of an `assert_locked` says.
fn says(path: &Path, program: fn(RuntimeBuilder) -> RuntimeBuilder) -> String {
    let panic = catch_unwind(|| assert_locked(path, program)).expect_err("something changed");
    panic.downcast::<String>().map(|text| *text).expect("a text")
}

#[test]
fn a_lock_says_what_changed_what_it_breaks_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("durable.lock");
    assert_locked(&path, program::<first::Cart>);
    assert_locked(&path, program::<first::Cart>);
    let written = fs::read_to_string(&path).unwrap();
    for line in [
        "class test.Cart",
        "  version 1",
        "  schema {\n    lines: [{\n      sku: text\n      count: u32\n    }]\n  }",
        "  method add(String, u32) -> ()",
        "  method count() -> Result<u64, String>",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }

    let said = says(&path, program::<grown::Cart>);
    assert!(!said.contains("BREAKS"), "{said}");
    for part in [
        "test.Cart: the state has other fields; what is stored and called is still understood",
        "test.Cart: method `pay` is new",
        "+     is_paid: bool",
        "+   method pay() -> ()",
        "DURABLE_LOCK=write",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }

    let said = says(&path, program::<strict::Cart>);
    for part in [
        "test.Cart: the state has other fields, and that BREAKS",
        "missing field `is_paid`",
        "give it `#[serde(default)]`, or set `version = 2` and add `#[migrate(from = 1)]`",
        "method `add` is (u32, String) -> (), it was (String, u32) -> (), and that BREAKS",
        "method `count` is gone, and that BREAKS",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }

    let said = says(&path, program::<unversioned::Cart>);
    assert!(said.contains("the state has version 2, it had 1, and that BREAKS"), "{said}");
    assert!(said.contains("add `#[migrate(from = 1)]`"), "{said}");
    let said = says(&path, program::<migrated::Cart>);
    assert!(!said.contains("BREAKS"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), written, "nothing was accepted");
}

#[test]
fn golden_states_are_kept_for_each_schema_and_read_by_all_later_ones() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("golden/test.Cart");
    let line = || first::Line { sku: "pen".to_owned(), count: 3 };
    assert_state_golden(&folder, &first::Cart { lines: vec![line()] });
    assert_state_golden(&folder, &first::Cart { lines: vec![line()] });
    let other = catch_unwind(|| assert_state_golden(&folder, &first::Cart { lines: Vec::new() }));
    let said = *other.expect_err("other bytes").downcast::<String>().unwrap();
    assert!(said.contains("in other bytes"), "{said}");
    assert_state_golden(&folder, &grown::Cart::default());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

    let strict = catch_unwind(|| assert_state_golden(&folder, &strict::Cart::default()));
    let said = *strict.expect_err("a field is missing").downcast::<String>().unwrap();
    for part in ["v001-", "missing field `is_paid`", "+     is_paid: bool"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}
