//! Versions of a state that names alone do not lead between.

use durable::ErrorKind;

use super::{body, runtime};

/// Version 1: whole units.
mod one {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Purse {
        pub units: u32,
        pub owner: String,
    }

    #[durable_object(name = "test.Purse")]
    impl Purse {
        pub fn put(&mut self, units: u32) {
            self.units += units;
            self.owner = "ada".to_owned();
        }
    }
}

/// Version 2: cents.
mod two {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Purse {
        pub cents: u64,
        pub owner: String,
    }

    #[durable_object(name = "test.Purse", version = 2)]
    impl Purse {
        pub fn put(&mut self, cents: u64) {
            self.cents += cents;
            self.owner = "bob".to_owned();
        }
    }
}

/// Version 3: a list, and migrations from all before.
mod three {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Purse {
        pub coins: Vec<(String, u64)>,
    }

    #[derive(DurableState)]
    pub struct PurseV1 {
        units: u32,
        owner: String,
        /// Version 1 gets it by name, like any other version.
        #[serde(default)]
        later: u8,
    }

    #[derive(DurableState)]
    pub struct PurseV2 {
        cents: u64,
        owner: String,
    }

    #[derive(Debug)]
    pub struct Empty(u64);

    impl std::fmt::Display for Empty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "there are {} cents", self.0)
        }
    }

    type Step<T> = Result<T, Empty>;

    #[durable_object(name = "test.Purse", version = 3)]
    impl Purse {
        pub fn show(&self) -> String {
            format!("{:?}", self.coins)
        }

        pub fn put(&mut self, cents: u64) {
            self.coins.push(("more".to_owned(), cents));
        }

        #[migrate(from = 2)]
        fn list(old: PurseV2) -> Step<Self> {
            if old.cents == 0 {
                return Err(Empty(old.cents));
            }
            Ok(Purse { coins: vec![(old.owner, old.cents)] })
        }

        #[migrate(from = 1)]
        fn to_cents(old: PurseV1) -> PurseV2 {
            let cents = u64::from(old.units) * 100 + u64::from(old.later);
            PurseV2 { cents, owner: old.owner }
        }
    }
}

/// Version 4: what happened before 3 is forgotten, and version 3 comes from another name.
mod four {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Purse {
        pub total: u64,
    }

    #[derive(DurableState)]
    pub struct Old {
        coins: Vec<(String, u64)>,
    }

    #[durable_object(name = "test.Purse", version = 4)]
    impl Purse {
        pub fn total(&self) -> u64 {
            self.total
        }

        #[migrate(from = 3)]
        fn sum(old: Old) -> Self {
            Purse { total: old.coins.iter().map(|(_, cents)| cents).sum() }
        }
    }
}

#[tokio::test]
async fn migrations_lead_from_every_version_to_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let one = runtime::<one::Purse>(dir.path()).await;
    one.get::<one::Purse>("first").put(3).await.unwrap();
    one.get::<one::Purse>("poor").put(0).await.unwrap();
    one.shutdown().await.unwrap();
    drop(one);
    let two = runtime::<two::Purse>(dir.path()).await;
    two.get::<two::Purse>("second").put(250).await.unwrap();
    let error = two.get::<two::Purse>("first").put(1).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("state.unmigrated", ErrorKind::Corrupt));
    for part in ["test.Purse(first)", "version 1", "has version 2", "`#[migrate(from = 1)]`"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    two.shutdown().await.unwrap();
    drop(two);

    let before = ["first", "second", "poor"].map(|name| body(dir.path(), name));
    let three = runtime::<three::Purse>(dir.path()).await;
    let [first, second, poor] =
        ["first", "second", "poor"].map(|name| three.get::<three::Purse>(name));
    assert_eq!(first.show().await.unwrap(), "[(\"ada\", 300)]");
    assert_eq!(second.show().await.unwrap(), "[(\"bob\", 250)]");
    let error = poor.put(1).await.unwrap_err();
    assert_eq!(error.code(), "state.unmigrated");
    for part in ["test.Purse(poor)", "`#[migrate(from = 2)]`", "there are 0 cents", "version 1"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    let after = ["first", "second", "poor"].map(|name| body(dir.path(), name));
    assert_eq!(after, before, "nothing was changed, so nothing is stored");
    first.put(1).await.unwrap();
    second.put(1).await.unwrap();
    three.shutdown().await.unwrap();
    drop(three);

    // Older code refuses what it does not know.
    let two = runtime::<two::Purse>(dir.path()).await;
    let error = two.get::<two::Purse>("second").put(1).await.unwrap_err();
    assert_eq!(error.code(), "state.newer");
    assert!(error.message().contains("version 3, this code has version 2"), "{error}");
    two.shutdown().await.unwrap();
    drop(two);

    let four = runtime::<four::Purse>(dir.path()).await;
    assert_eq!(four.get::<four::Purse>("first").total().await.unwrap(), 301);
    assert_eq!(four.get::<four::Purse>("second").total().await.unwrap(), 251);
    let error = four.get::<four::Purse>("poor").total().await.unwrap_err();
    assert_eq!(error.code(), "state.unmigrated");
    four.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "poor"), before[2]);
}

/// A migration whose old type is not what the old version had.
mod mistaken {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Purse {
        pub cents: u64,
    }

    #[derive(DurableState)]
    pub struct Wrong {
        unit: u32,
    }

    #[durable_object(name = "test.Purse", version = 2)]
    impl Purse {
        pub fn cents(&self) -> u64 {
            self.cents
        }

        #[migrate(from = 1)]
        fn to_cents(old: Wrong) -> Self {
            assert!(old.unit != 13, "on purpose");
            Purse { cents: u64::from(old.unit) }
        }
    }
}

#[tokio::test]
async fn a_migration_of_the_wrong_type_says_what_that_type_is_to_have() {
    let dir = tempfile::tempdir().unwrap();
    let one = runtime::<one::Purse>(dir.path()).await;
    one.get::<one::Purse>("first").put(3).await.unwrap();
    one.shutdown().await.unwrap();
    drop(one);
    let before = body(dir.path(), "first");
    let mistaken = runtime::<mistaken::Purse>(dir.path()).await;
    let error = mistaken.get::<mistaken::Purse>("first").cents().await.unwrap_err();
    assert_eq!(error.code(), "state.changed");
    for part in ["field `unit`", "mistaken::Wrong", "the fields that version 1 had"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    mistaken.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "first"), before);
}
