//! What becomes of parents and children when an object is copied, and when their classes get other names.

use std::path::Path;

use durable::prelude::*;
use durable::{DataDirectory, RuntimeBuilder};

/// A place with seats below it, under whatever names they have in this release.
macro_rules! hall {
    ($module:ident, $hall:literal, $seat:literal) => {
        mod $module {
            use durable::StubRef;
            use durable::prelude::*;

            #[derive(Default, DurableState)]
            pub struct Seat {
                taken: u64,
            }

            #[durable_object(name = $seat, history)]
            impl Seat {
                pub fn take(&mut self) -> u64 {
                    self.taken += 1;
                    self.taken
                }

                pub fn taken(&self) -> u64 {
                    self.taken
                }

                pub fn parent(&self, cx: &Context<'_, Self>) -> Option<ObjectId> {
                    cx.parent()
                }
            }

            #[derive(Default, DurableState)]
            pub struct Hall {
                last: Option<StubRef<Seat>>,
            }

            #[durable_object(name = $hall, history)]
            impl Hall {
                pub async fn seat(
                    &mut self,
                    cx: &mut Context<'_, Self>,
                    name: String,
                ) -> Result<u64, Error> {
                    let seat = cx.child::<Seat>(name);
                    self.last = Some(seat.to_ref()?);
                    seat.take().await
                }

                /// The seat that was taken last, of whomever it is.
                pub async fn again(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
                    cx.bind(self.last.as_ref().expect("one was taken"))?.take().await
                }

                /// Its seats, each with its class and its id.
                pub async fn seats(
                    &self,
                    cx: &Context<'_, Self>,
                ) -> Result<Vec<(String, ObjectId)>, Error> {
                    let page = cx.children().page().await?;
                    let told = |child: &durable::OwnedChild| {
                        let name = child.name().unwrap_or("?");
                        (format!("{}({name})", child.class()), child.id())
                    };
                    Ok(page.iter().map(told).collect())
                }
            }
        }
    };
}

hall!(old, "kinship.Hall", "kinship.Seat");
hall!(new, "inn.Hall", "inn.Seat");

fn before(dir: &Path) -> RuntimeBuilder {
    Runtime::builder(dir).register::<old::Hall>().register::<old::Seat>()
}

fn after(dir: &Path) -> RuntimeBuilder {
    let builder = Runtime::builder(dir).register::<new::Hall>().register::<new::Seat>();
    builder.renamed("kinship.Hall", "inn.Hall").renamed("kinship.Seat", "inn.Seat")
}

#[tokio::test]
async fn a_fork_has_neither_the_children_nor_the_parent_of_what_it_is_made_of() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = before(dir.path()).start().await.unwrap();
    let hall = runtime.get::<old::Hall>("hall");
    let id = hall.id().unwrap();
    assert_eq!(hall.seat("a".to_owned()).await.unwrap(), 1);
    let (_, a) = hall.seats().await.unwrap()[0];
    let then = runtime.bookmark(id).await.unwrap();
    let copy = runtime.fork::<old::Hall>(id, &then, "copy").await.unwrap();
    let copy = runtime.get_by_id::<old::Hall>(copy).unwrap();
    assert_eq!(copy.seats().await.unwrap(), [], "they stay with whom they belong to");
    assert_eq!(copy.again().await.unwrap(), 2, "a reference leads to where it led");
    assert_eq!(copy.seat("a".to_owned()).await.unwrap(), 1, "of the same name, and another");
    assert_ne!(copy.seats().await.unwrap()[0].1, a);
    let seat = runtime.get_by_id::<old::Seat>(a).unwrap();
    let then = runtime.bookmark(a).await.unwrap();
    let loose = runtime.fork::<old::Seat>(a, &then, "a").await.unwrap();
    let loose = runtime.get_by_id::<old::Seat>(loose).unwrap();
    assert_eq!((seat.taken().await.unwrap(), loose.taken().await.unwrap()), (2, 2));
    assert_eq!((seat.parent().await.unwrap(), loose.parent().await.unwrap()), (Some(id), None));
    assert_eq!(hall.seats().await.unwrap().len(), 1, "the copy is not one of them");
    assert!(runtime.delete(id).await.unwrap());
    assert_eq!(seat.taken().await.unwrap_or(0), 0, "it goes with its parent");
    assert_eq!((loose.take().await.unwrap(), copy.again().await.unwrap()), (3, 2));
    runtime.shutdown().await.unwrap();
    assert!(DataDirectory::open(dir.path()).unwrap().verify().unwrap().is_sound());
}

#[tokio::test]
async fn parents_and_children_of_renamed_classes_stay_what_they_are_to_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = before(dir.path()).start().await.unwrap();
    let hall = runtime.get::<old::Hall>("hall");
    let id = hall.id().unwrap();
    for name in ["a", "b"] {
        assert_eq!(hall.seat(name.to_owned()).await.unwrap(), 1);
    }
    let known = hall.seats().await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    for n in 2..4 {
        let runtime = after(dir.path()).start().await.unwrap();
        let hall = runtime.get::<new::Hall>("hall");
        assert_eq!(hall.id().unwrap(), id);
        for (_, seat) in &known {
            let seat = runtime.get_by_id::<new::Seat>(*seat).unwrap();
            assert_eq!(seat.parent().await.unwrap(), Some(id));
        }
        let renamed = |(label, id): &(String, ObjectId)| (label.replace("kinship", "inn"), *id);
        let renamed: Vec<_> = known.iter().map(renamed).collect();
        assert_eq!(hall.seats().await.unwrap(), renamed);
        assert_eq!(hall.seat("a".to_owned()).await.unwrap(), 2 * n - 2, "the same one");
        assert_eq!(hall.again().await.unwrap(), 2 * n - 1, "and so is what was stored of it");
        runtime.shutdown().await.unwrap();
        drop(runtime);
        assert!(DataDirectory::open(dir.path()).unwrap().verify().unwrap().is_sound());
    }
    let runtime = after(dir.path()).start().await.unwrap();
    assert!(runtime.delete(id).await.unwrap());
    assert_eq!(runtime.list::<new::Seat>().page().await.unwrap().len(), 0, "they went along");
    runtime.shutdown().await.unwrap();
}
