//! The names of classes over the life of a data directory: who is renamed, who is deleted, who is new.
//!
//! Every shard has its own row of every class. A crash may come when some shards have taken a change and others have not;
//! each row counts its changes, so that the newest row of a class is the one that holds.

use std::collections::BTreeMap;

/// A class, as a shard has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Stays with it for ever.
    pub(crate) class_no: u32,
    /// `None`: it was deleted.
    pub(crate) name: Option<String>,
    /// What the ids of its objects are made with: the name that it was born with, or something like it. Never changes.
    pub(crate) origin: String,
    /// How often its name was changed.
    pub(crate) changes: u64,
}

/// What a program says of its data's past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Renamed { from: String, to: String },
    Deleted { name: String },
}

/// Why a directory's classes and a program do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Two shards say different things of one class.
    Contradiction { class_no: u32, names: [Option<String>; 2] },
    /// A class would get the name of one that has objects.
    Taken { from: String, to: String },
}

/// What is known of all classes, from what every shard says.
///
/// # Errors
/// [`Misfit::Contradiction`].
pub(crate) fn merge(
    shards: impl IntoIterator<Item = impl IntoIterator<Item = Class>>,
) -> Result<BTreeMap<u32, Class>, Misfit> {
    let mut merged = BTreeMap::<u32, Class>::new();
    for class in shards.into_iter().flatten() {
        let Some(known) = merged.get_mut(&class.class_no) else {
            merged.insert(class.class_no, class);
            continue;
        };
        let is_same = known.name == class.name || known.changes != class.changes;
        if !is_same || known.origin != class.origin {
            let names = [known.name.clone(), class.name];
            return Err(Misfit::Contradiction { class_no: class.class_no, names });
        }
        if class.changes > known.changes {
            *known = class;
        }
    }
    let mut owners = BTreeMap::new();
    for class in merged.values() {
        let Some(name) = &class.name else { continue };
        if let Some(other) = owners.insert(name, class.class_no) {
            let names = [Some(name.clone()), merged[&other].name.clone()];
            return Err(Misfit::Contradiction { class_no: class.class_no, names });
        }
    }
    Ok(merged)
}

/// Carries out what a program says: renames, deletions, and then the classes that are new. A step whose class is not
/// there was carried out before, or there never was such a class. `has_objects`: of the class with this number.
///
/// # Errors
/// [`Misfit::Taken`], and whatever `has_objects` fails with.
pub(crate) fn settle<E: From<Misfit>>(
    classes: &mut BTreeMap<u32, Class>,
    steps: &[Step],
    registered: &[&str],
    mut has_objects: impl FnMut(u32) -> Result<bool, E>,
) -> Result<(), E> {
    for step in steps {
        match step {
            Step::Renamed { from, to } => {
                let Some(class_no) = number_of(classes, from) else { continue };
                if let Some(taken) = number_of(classes, to) {
                    if has_objects(taken)? {
                        return Err(Misfit::Taken { from: from.clone(), to: to.clone() }.into());
                    }
                    // A program was started that knew the new name and not that it is one.
                    change(classes, taken, None);
                }
                change(classes, class_no, Some(to.clone()));
            }
            Step::Deleted { name } => {
                if let Some(class_no) = number_of(classes, name) {
                    change(classes, class_no, None);
                }
            }
        }
    }
    for name in registered {
        if number_of(classes, name).is_none() {
            let class_no = classes.keys().max().map_or(1, |highest| highest + 1);
            let is_taken = classes.values().any(|class| class.origin == **name);
            // Classes' names have no `#`.
            let origin = if is_taken { format!("{name}#{class_no}") } else { (*name).to_owned() };
            let name = Some((*name).to_owned());
            classes.insert(class_no, Class { class_no, name, origin, changes: 0 });
        }
    }
    Ok(())
}

fn number_of(classes: &BTreeMap<u32, Class>, name: &str) -> Option<u32> {
    let named = classes.values().find(|class| class.name.as_deref() == Some(name));
    named.map(|class| class.class_no)
}

fn change(classes: &mut BTreeMap<u32, Class>, class_no: u32, name: Option<String>) {
    let class = classes.get_mut(&class_no).expect("its number was just found");
    class.name = name;
    class.changes += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(class_no: u32, name: Option<&str>, origin: &str, changes: u64) -> Class {
        Class { class_no, name: name.map(str::to_owned), origin: origin.to_owned(), changes }
    }

    fn renamed(from: &str, to: &str) -> Step {
        Step::Renamed { from: from.to_owned(), to: to.to_owned() }
    }

    fn deleted(name: &str) -> Step {
        Step::Deleted { name: name.to_owned() }
    }

    /// The classes after a start, by number; class 9 has objects, and no other has.
    fn after(before: &[Class], steps: &[Step], registered: &[&str]) -> Result<Vec<Class>, Misfit> {
        let mut classes = merge([before.to_vec()])?;
        settle(&mut classes, steps, registered, |class_no| Ok::<_, Misfit>(class_no == 9))?;
        Ok(classes.into_values().collect())
    }

    #[test]
    fn new_classes_are_numbered_in_their_order() {
        let made = after(&[], &[], &["a", "b"]).expect("nothing is in the way");
        assert_eq!(made, [class(1, Some("a"), "a", 0), class(2, Some("b"), "b", 0)]);
        assert_eq!(after(&made, &[], &["b"]).expect("known"), made);
    }

    #[test]
    fn a_renamed_class_keeps_its_number_and_its_origin() {
        let before = [class(1, Some("a"), "a", 0)];
        let steps = [renamed("a", "b"), renamed("b", "c")];
        let settled = after(&before, &steps, &["c"]).expect("nothing is in the way");
        assert_eq!(settled, [class(1, Some("c"), "a", 2)]);
        assert_eq!(after(&settled, &steps, &["c"]).expect("said again"), settled);
    }

    #[test]
    fn a_name_that_is_free_again_has_another_origin() {
        let before = [class(1, Some("b"), "a", 1)];
        let settled = after(&before, &[], &["a"]).expect("the name is free");
        assert_eq!(settled[1], class(2, Some("a"), "a#2", 0));
    }

    #[test]
    fn a_name_with_objects_is_not_taken() {
        let before = [class(1, Some("a"), "a", 0), class(9, Some("b"), "b", 0)];
        let misfit = after(&before, &[renamed("a", "b")], &["b"]).expect_err("both are there");
        assert_eq!(misfit, Misfit::Taken { from: "a".to_owned(), to: "b".to_owned() });
        let empty = [class(9, Some("a"), "a", 0), class(2, Some("b"), "b", 0)];
        let settled = after(&empty, &[renamed("a", "b")], &["b"]).expect("`b` has no objects");
        assert_eq!(settled, [class(2, None, "b", 1), class(9, Some("b"), "a", 1)]);
    }

    #[test]
    fn a_deleted_class_leaves_its_number_behind() {
        let before = [class(1, Some("a"), "a", 0)];
        let settled = after(&before, &[deleted("a")], &[]).expect("deleted");
        assert_eq!(settled, [class(1, None, "a", 1)]);
        assert_eq!(after(&settled, &[deleted("a")], &[]).expect("said again"), settled);
        let anew = after(&settled, &[], &["a"]).expect("the name is free");
        assert_eq!(anew[1], class(2, Some("a"), "a#2", 0));
    }

    #[test]
    fn the_newest_row_of_a_class_holds_and_equals_must_agree() {
        let one = [class(1, Some("b"), "a", 1)];
        let late = [class(1, Some("a"), "a", 0), class(2, Some("c"), "c", 0)];
        let merged = merge([one.to_vec(), late.to_vec()]).expect("one shard is late");
        assert_eq!(merged[&1].name.as_deref(), Some("b"));
        assert_eq!(merged[&2].name.as_deref(), Some("c"));
        let other = [class(1, Some("x"), "a", 1)];
        assert!(merge([one.to_vec(), other.to_vec()]).is_err(), "one number, two names");
        let twice = [class(1, Some("a"), "a", 0), class(2, Some("a"), "z", 0)];
        assert!(merge([twice.to_vec()]).is_err(), "one name, two numbers");
    }
}
