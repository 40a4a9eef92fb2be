//! Sends as plain data: what names one, and what is stored of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::id::{Lineage, ObjectId, Placement};
use crate::metadata::Metadata;
use crate::state::DurableState;
use crate::time::WallMs;

/// Names a send in its data directory. Never given to another one; one that a turn made is void if the turn failed.
///
/// ```
/// use durable::prelude::*;
/// use durable::SendId;
/// use std::time::Duration;
///
/// #[derive(Default, DurableState)]
/// struct Trial { reminder: Option<SendId>, reminded: bool }
///
/// #[durable_object(name = "doc.Trial")]
/// impl Trial {
///     pub fn begin(&mut self, cx: &mut Context<'_, Self>) {
///         self.reminder = Some(cx.send_after(Duration::from_secs(7 * 86_400), cx.me().remind()));
///     }
///     pub fn buy(&mut self, cx: &mut Context<'_, Self>) {
///         if let Some(reminder) = self.reminder.take() { cx.cancel_send(reminder); }
///     }
///     pub fn remind(&mut self) { self.reminded = true; }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Trial>().start().await?;
/// let trial = runtime.get::<Trial>("ada");
/// trial.begin().await?;
/// trial.buy().await?;
/// # Ok(())
/// # }
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema,
)]
pub struct SendId {
    /// Where it waits.
    pub(crate) shard: u16,
    /// Of the activation that made it, or of its own if no turn did.
    pub(crate) epoch: u64,
    /// Counted in its epoch, from 1.
    pub(crate) number: u32,
}

#[diagnostic::do_not_recommend]
impl DurableState for SendId {}

impl fmt::Display for SendId {
    /// Three numbers, such as `0-1099511627777-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.epoch, self.number)
    }
}

impl FromStr for SendId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('-');
        let mut next = || parts.next();
        let id = (|| {
            Some(SendId {
                shard: next()?.parse().ok()?,
                epoch: next()?.parse().ok()?,
                number: next()?.parse().ok()?,
            })
        })();
        let is_whole = parts.next().is_none();
        id.filter(|id| is_whole && id.number > 0).ok_or_else(|| {
            Code::SendUnknown.error(format!(
                "`{}` names no send; they have names such as `0-1099511627777-1`",
                text.escape_debug()
            ))
        })
    }
}

/// A send that waits, as one who watches sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendView {
    /// What it is called.
    pub id: SendId,
    /// Whom it calls.
    pub target: ObjectId,
    /// When it leaves, at the earliest. `None`: behind those that were made for its target before it.
    pub until: Option<WallMs>,
}

/// What a commit does about sends, as one who watches sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendsView {
    /// Those that it makes, in their order.
    pub made: Vec<SendView>,
    /// Those that it takes back, if they wait.
    pub taken_back: Vec<SendId>,
    /// The one whose effect it is, or whose end as a dead letter. `None`: it is no send's.
    pub received: Option<SendId>,
}

/// What is stored of the call that a send makes. Fields are added at the end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentCall {
    /// Who sends it. `None`: no object.
    pub(crate) source: Option<ObjectId>,
    /// The target's name, as far as the sender knows it; so the next three.
    pub(crate) name: Option<String>,
    pub(crate) jurisdiction: Option<String>,
    pub(crate) location_hint: Option<String>,
    /// As [`Lineage::encode`] gives it. Empty: it has no parent.
    pub(crate) lineage: Vec<u8>,
    /// The method's name on wires.
    pub(crate) method: String,
    /// Encoded.
    pub(crate) args: Vec<u8>,
    /// When it was to leave at the earliest.
    pub(crate) scheduled: WallMs,
    /// What travels with it.
    pub(crate) metadata: Metadata,
}

impl SentCall {
    /// What its target has wished for. `None`: nothing.
    pub(crate) fn placement(&self) -> Option<Arc<Placement>> {
        let mut placement = Placement::new();
        placement.jurisdiction = self.jurisdiction.as_deref().map(Arc::from);
        placement.location_hint = self.location_hint.as_deref().map(Arc::from);
        (placement != Placement::new()).then(|| Arc::new(placement))
    }

    /// Who its target's parents are. `None`: it has none.
    pub(crate) fn lineage(&self) -> Option<Lineage> {
        if self.lineage.is_empty() { None } else { Lineage::decode(&self.lineage) }
    }
}

/// A send that is made: what its commit stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSend {
    pub(crate) id: SendId,
    /// Who sends it. `None`: no object.
    pub(crate) source: Option<ObjectId>,
    pub(crate) target: ObjectId,
    /// Of the target.
    pub(crate) class_no: u32,
    /// When it leaves, at the earliest; then it waits for no other. `None`: behind those of its pair.
    pub(crate) until: Option<WallMs>,
    /// The call, encoded, with its frame.
    pub(crate) body: Arc<[u8]>,
}

impl NewSend {
    pub(crate) fn view(&self) -> SendView {
        SendView { id: self.id, target: self.target, until: self.until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_send_leads_back_to_it() {
        let id = SendId { shard: 3, epoch: 1 << 41, number: 17 };
        assert_eq!(id.to_string(), "3-2199023255552-17");
        assert_eq!(id.to_string().parse::<SendId>().expect("its own name"), id);
        for wrong in ["", "3", "3-1", "3-1-0", "3-1-2-4", "3--1", "70000-1-1", "a-b-c"] {
            assert_eq!(wrong.parse::<SendId>().expect_err(wrong).code(), "send.unknown");
        }
    }
}
