//! The shard's writer without any object, as the benches' measure of what objects cost above it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::Error;
use crate::host::Host;
use crate::id::{ClassKey, Placement};
use crate::state::Fingerprint;
use crate::storage::frame::{self, Codec, Header};
use crate::storage::{
    Birth, ClassNo, ClassRow, Declared, Fence, ObjectNo, Release, Store, WriteSet,
};

const CLASS: &str = "bench.Bare";

/// Rows of a store that are committed to directly.
pub struct BareWriter {
    store: Store,
    rows: Vec<Mutex<BareRow>>,
}

struct BareRow {
    birth: Birth,
    object_no: ObjectNo,
    fence: Arc<Fence>,
    commit_no: u64,
}

impl BareWriter {
    /// Opens a store in `dir` with `rows` objects that do not exist yet. Inside a tokio runtime.
    ///
    /// # Errors
    /// As `RuntimeBuilder::start`.
    pub async fn open(dir: &Path, rows: usize) -> Result<Self, Error> {
        let class = ClassRow {
            name: CLASS,
            fingerprint: Fingerprint(0),
            schema: &[],
            keeps_history: false,
        };
        let store = Store::open(
            &Host::os(),
            dir,
            &Config::default(),
            Declared { rows: &[class], steps: &[] },
        )?;
        let class_no = store.class(CLASS).expect("it was just made known").class_no;
        let key = ClassKey::new(store.id_key(), CLASS);
        let mut made = Vec::with_capacity(rows);
        for row in 0..rows {
            made.push(Mutex::new(BareRow::new(&store, class_no, &key, row).await?));
        }
        Ok(BareWriter { store, rows: made })
    }

    /// Commits `bytes` to one row, and waits until that is durable.
    ///
    /// # Errors
    /// What the commit failed with.
    pub async fn commit(&self, row: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut framed = vec![0; frame::HEADER_BYTES];
        framed.extend_from_slice(bytes);
        let header =
            Header { codec: Codec::Postcard, state_version: 1, fingerprint: Fingerprint(0) };
        frame::finish(header, &mut framed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut row = self.rows[row].lock();
            row.commit_no += 1;
            let is_first = row.commit_no == 1;
            self.store.shard(&row.birth.id).submit(WriteSet {
                fence: Arc::clone(&row.fence),
                object_no: row.object_no,
                commit_no: row.commit_no,
                birth: is_first.then(|| Box::new(row.birth.clone())),
                snapshot: Some(framed.into()),
                kv: Vec::new(),
                erases: false,
                history: None,
                sql: None,
                alarm: None,
                schedules: None,
                sends: None,
                result: None,
                release: Some(Arc::new(Answer(Mutex::new(Some(sender))))),
            });
        }
        receiver.await.expect("the writer answers before it ends")
    }
}

impl BareRow {
    async fn new(
        store: &Store,
        class_no: ClassNo,
        key: &ClassKey,
        row: usize,
    ) -> Result<Self, Error> {
        let name = row.to_string();
        let id = key.named(&name, None);
        let shard = store.shard(&id);
        let object_no = shard.load(&id, class_no).await?.object_no;
        let birth = Birth {
            id,
            class_no,
            name: Some(name.into()),
            placement: Placement::new(),
            lineage: None,
        };
        Ok(BareRow { birth, object_no, fence: Fence::new(shard.next_epoch()), commit_no: 0 })
    }
}

impl fmt::Debug for BareWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BareWriter").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

struct Answer(Mutex<Option<oneshot::Sender<Result<(), Error>>>>);

impl Release for Answer {
    fn release(&self, durable: Result<(), &Error>) {
        if let Some(sender) = self.0.lock().take() {
            // Whoever no longer waits does not need to be told.
            let _ = sender.send(durable.map_err(Clone::clone));
        }
    }
}
