//! The pages of one object's database: in memory what its commits have changed, below that what the shard has stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::damaged;
use crate::error::Error;
use crate::kernel::pages::{Commit, Found, PageOverlay};
use crate::sql::{Page, SqlChange};
use crate::storage::numbers::{CommitSeq, ObjectNo};
use crate::storage::rows::sql::{PageError, SqlWrite, StoredSql, log};
use crate::storage::{Fence, Shard};

/// The pages of an object's database.
pub(crate) struct Pages {
    /// Where the other pages are. `None`: there are none.
    below: Option<Below>,
    state: Mutex<State>,
}

struct Below {
    shard: Arc<Shard>,
    object_no: ObjectNo,
    fence: Arc<Fence>,
}

struct State {
    overlay: PageOverlay<Page>,
    /// Why a page could not be read, until somebody takes it. `None`: all could.
    fault: Option<Error>,
}

impl Pages {
    /// Those of an object in a shard. `is_born`: something of the object may be stored.
    pub(crate) fn open(
        shard: &Arc<Shard>,
        object_no: ObjectNo,
        fence: &Arc<Fence>,
        is_born: bool,
    ) -> Result<Arc<Self>, Error> {
        let mut overlay = PageOverlay::new(0);
        if is_born {
            let StoredSql { count, log } =
                shard.read_sql(object_no)?.map_err(|error| damaged(&error))?;
            overlay = PageOverlay::new(count);
            for (row, (bytes, (count, deltas))) in (1..).zip(log) {
                let replayed = overlay.replay((count, bytes), deltas);
                replayed.map_err(|_| damaged(&PageError::LogMeaning { row }))?;
            }
        }
        let below = Below { shard: Arc::clone(shard), object_no, fence: Arc::clone(fence) };
        Ok(Self::new(overlay, Some(below)))
    }

    /// Those of an image, with nothing below.
    pub(crate) fn of_image(image: &BTreeMap<u32, Page>) -> Arc<Self> {
        let pages = image.iter().map(|(number, page)| (*number, Arc::clone(page)));
        Self::new(PageOverlay::of_image(pages), None)
    }

    fn new(overlay: PageOverlay<Page>, below: Option<Below>) -> Arc<Self> {
        Arc::new(Pages { below, state: Mutex::new(State { overlay, fault: None }) })
    }

    /// A page, for SQLite. `Ok(None)`: the database ends before it; `Err`: see [`take_fault`](Self::take_fault).
    pub(super) fn read(&self, number: u32) -> Result<Option<Page>, ()> {
        let mut state = self.state.lock();
        match state.overlay.find(number) {
            Found::Page(page) => return Ok(Some(page)),
            Found::Beyond => return Ok(None),
            Found::Below => {}
        }
        let read = match &self.below {
            Some(Below { shard, object_no, .. }) => shard.read_sql_page(*object_no, number),
            None => Ok(Err(PageError::Missing { number })),
        };
        match read.and_then(|page| page.map_err(|error| damaged(&error))) {
            Ok(page) => Ok(Some(page)),
            Err(error) => {
                state.fault.get_or_insert(error);
                Err(())
            }
        }
    }

    /// A page, from SQLite.
    pub(super) fn write(&self, number: u32, page: &[u8]) {
        self.state.lock().overlay.write(number, page.into());
    }

    pub(super) fn truncate(&self, count: u32) {
        self.state.lock().overlay.truncate(count);
    }

    pub(super) fn count(&self) -> u32 {
        self.state.lock().overlay.count()
    }

    /// Why a page could not be read.
    pub(super) fn take_fault(&self) -> Option<Error> {
        self.state.lock().fault.take()
    }

    /// The transaction of the turn is committed: what it wrote is kept. Gives whether it changed anything.
    pub(super) fn keep(&self) -> bool {
        self.state.lock().overlay.keep()
    }

    /// The transaction of the turn is rolled back.
    pub(crate) fn undo(&self) {
        self.state.lock().overlay.undo();
    }

    /// Lets go of what is durable by now where it is read from.
    pub(crate) fn settle(&self) {
        let Some(Below { shard, fence, .. }) = &self.below else { return };
        let durable = shard.durable();
        // The watermark passes failed commits, too; a turn that runs meanwhile goes on seeing one state.
        if fence.broken().is_none() {
            self.state.lock().overlay.on_durable(durable.0);
        }
    }

    /// Whether anything is kept and not handed over.
    pub(crate) fn has_changes(&self) -> bool {
        self.state.lock().overlay.has_changes()
    }

    /// What is kept and not handed over.
    pub(crate) fn change(&self) -> SqlChange {
        let State { overlay, .. } = &*self.state.lock();
        SqlChange { page_count: overlay.count(), pages: overlay.changes().collect() }
    }

    /// What the next commit is to store of what is kept. `None`: nothing has changed, or it is an image.
    pub(crate) fn take(&self) -> Option<Box<SqlWrite>> {
        self.below.as_ref()?;
        let State { overlay, .. } = &mut *self.state.lock();
        let commit = overlay.take()?;
        let count = overlay.count();
        Some(Box::new(match commit {
            Commit::Log { deltas } => SqlWrite::Log { deltas: log::encode(count, &deltas) },
            Commit::Fold { pages } => SqlWrite::Fold { count, pages },
        }))
    }

    /// What was taken last was handed over.
    pub(crate) fn on_submit(&self, place: CommitSeq, is_fold: bool) {
        self.state.lock().overlay.on_submit(place.0, is_fold);
    }

    /// All pages, of an image or of a database that was never stored.
    pub(crate) fn image(&self) -> BTreeMap<u32, Page> {
        self.state.lock().overlay.image().collect()
    }
}
