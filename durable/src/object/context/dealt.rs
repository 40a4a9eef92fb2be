//! What a turn has done beside changing its object's struct.

use super::{Context, Scene};
use crate::error::Error;
use crate::kernel::schedule::Deeds;
use crate::kv::KvChange;
use crate::object::Object;
use crate::object::alarm::Deed;
use crate::object::kv::KvDealt;
use crate::object::sql::SqlDealt;
use crate::object::work::Spawned;
use crate::storage::SendWrite;

/// What a turn leaves of its dealings with its object's stores.
#[derive(Debug, Default)]
pub(crate) struct Dealt {
    /// What it has done to the KV, in the order of keys.
    pub(crate) kv: Vec<KvChange>,
    pub(crate) sql: SqlDealt,
    pub(crate) alarm: Deed,
    pub(crate) schedules: Deeds,
    /// What it has done about sends.
    pub(crate) sends: SendWrite,
    /// What is to be done after it.
    pub(crate) spawned: Spawned,
    /// Nothing of the object is to be left.
    pub(crate) erases: bool,
    /// Why it cannot be kept, even if the method did without. `None`: it can.
    pub(crate) fault: Option<Error>,
}

impl<O: Object> Context<'_, O> {
    /// Takes what the turn has done beside changing the struct. `None`: nothing, as most do.
    #[inline]
    pub(crate) fn left(&mut self) -> Option<Box<Dealt>> {
        if self.has_dealt() { Some(Box::new(self.take_dealt())) } else { None }
    }

    /// As [`left`](Self::left), with nothing where there is nothing.
    pub(crate) fn into_dealt(mut self) -> Dealt {
        self.take_dealt()
    }

    fn has_dealt(&mut self) -> bool {
        self.erases
            || self.desk.has_dealt()
            || self.sql.has_dealt()
            || self.alarm.has_dealt()
            || self.schedules.has_dealt()
            || self.sends.has_dealt()
            || self.work.has_dealt()
            || self.has_dealt_with_sockets()
    }

    #[cfg(feature = "http")]
    fn has_dealt_with_sockets(&mut self) -> bool {
        self.sockets.has_dealt()
    }

    #[cfg(not(feature = "http"))]
    fn has_dealt_with_sockets(&mut self) -> bool {
        false
    }

    #[cold]
    fn take_dealt(&mut self) -> Dealt {
        let erases = self.erases;
        let KvDealt { changes: kv, fault } = self.desk.take_dealt();
        let mut sql = self.sql.take_dealt();
        let (alarm, alarm_fault) = self.alarm.take_dealt();
        let (schedules, schedule_fault) = self.schedules.take_dealt();
        let (sends, send_fault) = self.sends.take_dealt();
        #[cfg_attr(not(feature = "http"), expect(unused_mut, reason = "nothing is added"))]
        let mut spawned = self.work.take_dealt();
        let fault = fault.or(sql.fault.take()).or(alarm_fault).or(schedule_fault).or(send_fault);
        #[cfg(feature = "http")]
        let fault = {
            let (frames, socket_fault) = self.sockets.take_dealt();
            spawned.frames = frames;
            fault.or(socket_fault)
        };
        let fault = fault.or_else(|| match self.scene {
            Scene::Slot { slot, .. } => spawned.fault(slot),
            Scene::Alone(_) => None,
        });
        Dealt { kv, sql, alarm, schedules, sends, spawned, erases, fault }
    }
}
