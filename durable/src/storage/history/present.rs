//! What the writer has stored last of databases whose past is kept, so that it need not follow their logs for each commit.
//!
//! It is the writer's own memory of what it has handed to SQLite: an entry is as its object's commit left the database, and
//! is let go when that commit turns out not to be stored. Whoever asks says which commit must be the last.

use std::collections::BTreeMap;

use crate::kernel::pages::PageOverlay;
use crate::limits::HISTORY_PAGES_KEPT_MAX;
use crate::sql::Page;
use crate::storage::numbers::ObjectNo;

/// The databases that are known.
#[derive(Default)]
pub(in crate::storage) struct Present {
    databases: BTreeMap<ObjectNo, Known>,
    /// Pages of all of them.
    pages: usize,
}

struct Known {
    commit_no: u64,
    overlay: PageOverlay<Page>,
}

impl Present {
    /// Takes what commit `commit_no` of an object has left. `None`: it is not known.
    pub(super) fn take(
        &mut self,
        object_no: ObjectNo,
        commit_no: u64,
    ) -> Option<PageOverlay<Page>> {
        let known = self.databases.remove(&object_no)?;
        self.pages -= known.overlay.held();
        (known.commit_no == commit_no).then_some(known.overlay)
    }

    /// Remembers what a commit leaves. Others are forgotten if there are too many pages.
    pub(super) fn put(&mut self, object_no: ObjectNo, commit_no: u64, overlay: PageOverlay<Page>) {
        self.forget(object_no);
        self.pages += overlay.held();
        self.databases.insert(object_no, Known { commit_no, overlay });
        while self.pages > HISTORY_PAGES_KEPT_MAX {
            let Some((_, known)) = self.databases.pop_first() else { return };
            self.pages -= known.overlay.held();
        }
    }

    /// Commits up to `to` have left a database alone that was as `from` left it.
    pub(super) fn pass(&mut self, object_no: ObjectNo, (from, to): (u64, u64)) {
        if let Some(known) = self.databases.get_mut(&object_no)
            && known.commit_no == from
        {
            known.commit_no = to;
        }
    }

    /// The object's commit is not stored, or it is erased.
    pub(in crate::storage) fn forget(&mut self, object_no: ObjectNo) {
        let _ = self.take(object_no, 0);
    }

    /// Nothing of the batch is stored.
    pub(in crate::storage) fn clear(&mut self) {
        *self = Present::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SQL_PAGE_BYTES;

    fn of(pages: u32) -> PageOverlay<Page> {
        PageOverlay::of_image((1..=pages).map(|no| (no, vec![0; SQL_PAGE_BYTES].into())))
    }

    #[test]
    fn only_what_the_last_commit_left_is_given() {
        let (mut present, object_no) = (Present::default(), ObjectNo(1));
        present.put(object_no, 4, of(1));
        assert!(present.take(object_no, 5).is_none());
        assert!(present.take(object_no, 4).is_none(), "what is out of date is let go");
        present.put(object_no, 4, of(1));
        present.pass(object_no, (3, 9));
        present.pass(object_no, (4, 6));
        assert_eq!(present.take(object_no, 6).expect("known").held(), 1);
        present.put(object_no, 7, of(1));
        present.forget(object_no);
        assert!(present.take(object_no, 7).is_none());
        assert_eq!(present.pages, 0);
    }

    #[test]
    fn pages_are_bounded() {
        let mut present = Present::default();
        for object_no in 1..=100 {
            present.put(ObjectNo(object_no), 1, of(200));
            let held: usize = present.databases.values().map(|known| known.overlay.held()).sum();
            assert_eq!(present.pages, held);
            assert!(held <= HISTORY_PAGES_KEPT_MAX, "{held} pages");
        }
        assert!(present.take(ObjectNo(100), 1).is_some());
    }
}
