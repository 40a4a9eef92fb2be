//! A part of a turn that can be undone by itself.

use std::collections::BTreeMap;

use super::Context;
use crate::error::Error;
use crate::kernel::schedule::Deeds;
use crate::kv::{Framed, KvKey};
use crate::object::Object;
use crate::object::alarm::Deed;
use crate::object::send::SendMark;
#[cfg(feature = "http")]
use crate::object::sockets::SocketMark;
use crate::object::sql::Fate;

/// A savepoint that has not ended. Dropped by a panic, it is undone.
pub(super) struct OpenSavepoint<'c, 'a, O: Object> {
    pub(super) cx: &'c Context<'a, O>,
    /// What the turn had done to the KV. `None`: the savepoint has ended.
    pub(super) kv: Option<KvWrites>,
    /// What it had done to the alarm.
    pub(super) alarm: Deed,
    /// What it had done to schedules.
    pub(super) schedules: Deeds,
    /// What it had done about sends.
    pub(super) sends: SendMark,
    /// How much it had spawned.
    pub(super) work: usize,
    /// How much it had done about sockets.
    #[cfg(feature = "http")]
    pub(super) sockets: SocketMark,
}

/// What a turn has done to the KV.
pub(super) type KvWrites = BTreeMap<KvKey, Option<Framed>>;

impl<O: Object> OpenSavepoint<'_, '_, O> {
    pub(super) fn end(&mut self, end: Fate) -> Result<(), Error> {
        let Some(kv) = self.kv.take() else { return Ok(()) };
        if end == Fate::Undo {
            self.cx.desk.reset(kv);
            self.cx.alarm.reset(self.alarm);
            self.cx.schedules.reset(std::mem::take(&mut self.schedules));
            self.cx.sends.reset(self.sends);
            self.cx.work.reset(self.work);
            #[cfg(feature = "http")]
            self.cx.sockets.reset(self.sockets);
        }
        self.cx.sql.end_savepoint(self.cx, end)
    }
}

impl<O: Object> Drop for OpenSavepoint<'_, '_, O> {
    fn drop(&mut self) {
        // The turn fails with what this fails with, if the panic does not end it first.
        let _ = self.end(Fate::Undo);
    }
}
