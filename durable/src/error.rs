//! The one error type of the crate: a stable code, what to do next, and what happened to the call.
//!
//! It knows nothing of where errors come from; every floor above builds its errors with [`Code::error`].

mod call_error;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::call_error::CallError;
use crate::cut::CutOff;

/// What went wrong, what to do next, and what happened to the call.
///
/// Cheap to clone: a failed commit gives the same error to everyone who waited for it. The text is for people and
/// may change; the [code](Error::code) and [kind](Error::kind) are stable.
///
/// ```
/// use durable::{Code, ErrorKind, Outcome};
///
/// let error = Code::ObjectOverloaded.error("1,024 calls wait at bank.Account(ada), the limit is 1,024; call later");
/// assert_eq!(error.code(), "object.overloaded");
/// assert_eq!(error.kind(), ErrorKind::Backoff);
/// assert_eq!(error.outcome(), Outcome::NotStarted);
/// ```
#[derive(Clone)]
pub struct Error(Arc<Body>);

#[derive(Clone)]
struct Body {
    code: Code,
    message: String,
    /// `None`: the error is not about one object.
    object: Option<String>,
    outcome: Outcome,
    /// How long to wait before the next try. `None`: nobody knows.
    retry_after: Option<Duration>,
    /// What was cut off. Empty: it is another error, or came over a wire.
    cut: Vec<CutOff>,
    /// `None`: nothing below this crate reported the failure.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Call again; the reason has probably passed.
    Retry,
    /// Call again, later and more slowly.
    Backoff,
    /// The call itself is wrong; the same call will fail again.
    FixCall,
    /// The runtime is closed or closing.
    Closed,
    /// Stored bytes cannot be used; they were left as they are, and a person must look.
    Corrupt,
    /// A bug, in the object or in this crate.
    Internal,
}

/// What happened to the call that an error answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// No turn began; nothing changed. An object that its storage kept from coming into memory was tried again already.
    NotStarted,
    /// A turn ran and everything that it did was undone.
    RolledBack,
    /// The turn's changes are durable; only the answer was lost.
    Committed,
    /// A turn ran, or may still run; whether its changes are kept cannot be said.
    Unknown,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $kind:ident, $outcome:ident $(| $other:ident)*;)+) => {
        /// The stable identity of an error: `noun.adjective`, listed with its cure in the [errors page](crate::guide::errors).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the errors page.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            /// The code as text, for logs and wires.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// What a caller should do about it.
            pub const fn kind(self) -> ErrorKind {
                match self { $(Code::$variant => ErrorKind::$kind,)+ }
            }

            /// What it means, with space around it.
            #[cfg(feature = "http")]
            pub(crate) const fn summary(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc),+),)+ }
            }

            /// What may have happened to a call that the system fails with it; [`Error::outcome`] says which it is. The first is
            /// what an error of the code says unless it is known better.
            pub const fn outcomes(self) -> &'static [Outcome] {
                match self { $(Code::$variant => &[Outcome::$outcome $(, Outcome::$other)*],)+ }
            }
        }
    };
}

codes! {
    /// The class is not registered with this runtime.
    ClassUnknown = "class.unknown", FixCall, NotStarted | RolledBack;
    /// Two registered classes have one name.
    ClassDuplicate = "class.duplicate", FixCall, NotStarted;
    /// A class would be renamed to the name of one that has objects.
    ClassTaken = "class.taken", FixCall, NotStarted;
    /// A class name is empty, too long, or has a character that is not allowed.
    ClassInvalid = "class.invalid", FixCall, NotStarted;
    /// The text is not an object id.
    IdMalformed = "id.malformed", FixCall, NotStarted | RolledBack;
    /// The id belongs to another class, or to another data directory.
    IdForeign = "id.foreign", FixCall, NotStarted | RolledBack;
    /// The id of an object that is reached by its name elsewhere is known there only.
    IdAway = "id.away", FixCall, NotStarted;
    /// An object's name is longer than the limit.
    NameTooLong = "name.too_long", FixCall, NotStarted | RolledBack;
    /// A stored name cannot be read as the class's typed key.
    KeyMalformed = "key.malformed", FixCall, NotStarted;
    /// Too many calls wait at one object, or so many that this one would not begin in time.
    ObjectOverloaded = "object.overloaded", Backoff, NotStarted;
    /// Too many calls are in flight in this runtime.
    RuntimeOverloaded = "runtime.overloaded", Backoff, NotStarted;
    /// As many calls as may are under way in the object's class.
    ClassOverloaded = "class.overloaded", Backoff, NotStarted;
    /// The object has had as many calls as the rate of its class lets it have.
    RateExceeded = "rate.exceeded", Backoff, NotStarted;
    /// The runtime is shut down or shutting down.
    RuntimeClosed = "runtime.closed", Closed, NotStarted | RolledBack | Unknown;
    /// The call's time ran out.
    CallExpired = "call.expired", Retry, NotStarted | RolledBack;
    /// The method panicked; its changes were undone.
    CallPanicked = "call.panicked", Internal, RolledBack;
    /// The activation ended while the method ran; its changes were undone.
    CallAborted = "call.aborted", Retry, RolledBack;
    /// The call would wait for itself.
    CallCycle = "call.cycle", FixCall, NotStarted;
    /// The turn ran over its class's limit and was cut off; its changes were undone.
    CallOverlong = "call.overlong", Backoff, RolledBack;
    /// The call's idempotency key was used for another call: of another method, or with other arguments.
    CallMismatched = "call.mismatched", FixCall, NotStarted;
    /// The call cannot carry an idempotency key, or not this one.
    CallKeyInvalid = "call.key_invalid", FixCall, NotStarted | RolledBack;
    /// The call cannot carry such metadata, or not so much of it.
    CallMetadataInvalid = "call.metadata_invalid", FixCall, NotStarted;
    /// The text is no context of a trace.
    TraceMalformed = "trace.malformed", FixCall, NotStarted;
    /// An interceptor does not let the call pass.
    CallRefused = "call.refused", FixCall, NotStarted;
    /// A server does not let the call pass.
    CallDenied = "call.denied", FixCall, NotStarted;
    /// The class has no method of that name.
    CallUnknownMethod = "call.unknown_method", FixCall, NotStarted | RolledBack | Committed;
    /// Arguments or a result that came over a wire do not decode as the method's types.
    CallUndecodable = "call.undecodable", FixCall, NotStarted | RolledBack | Committed;
    /// Arguments or a result that go over a wire are too large, or their `Serialize` refuses.
    CallUnencodable = "call.unencodable", FixCall, NotStarted | RolledBack | Committed;
    /// `#[on_activate]` failed, so the object cannot start.
    ObjectUnstartable = "object.unstartable", Internal, NotStarted;
    /// The object cannot start or keeps crashing, and is kept from running for a while.
    ObjectQuarantined = "object.quarantined", Backoff, NotStarted;
    /// The stored state does not decode as the class's state.
    StateUndecodable = "state.undecodable", Corrupt, NotStarted;
    /// The stored state is damaged: its checksum or its frame is wrong.
    StateTorn = "state.torn", Corrupt, NotStarted;
    /// The stored state was written by newer code.
    StateNewer = "state.newer", Corrupt, NotStarted;
    /// The stored state was written with other fields, and cannot be read by their names.
    StateChanged = "state.changed", Corrupt, NotStarted;
    /// The stored state has an older version, and no migration brings it to this code's.
    StateUnmigrated = "state.unmigrated", Corrupt, NotStarted;
    /// The schema that the stored state was written with is not stored.
    SchemaMissing = "schema.missing", Corrupt, NotStarted;
    /// The schema that the stored state was written with is damaged.
    SchemaTorn = "schema.torn", Corrupt, NotStarted;
    /// The state is larger than the limit once encoded.
    StateTooLarge = "state.too_large", FixCall, RolledBack | NotStarted;
    /// The state cannot be encoded.
    StateUnencodable = "state.unencodable", FixCall, RolledBack | NotStarted;
    /// A turn that may not write has written under a key.
    KvReadOnly = "kv.read_only", FixCall, RolledBack;
    /// A key has no bytes.
    KvKeyEmpty = "kv.key_empty", FixCall, RolledBack;
    /// A key is longer than the limit.
    KvKeyTooLong = "kv.key_too_long", FixCall, RolledBack;
    /// A value is larger than the limit once encoded.
    KvValueTooLarge = "kv.value_too_large", FixCall, RolledBack;
    /// A value cannot be encoded.
    KvUnencodable = "kv.unencodable", FixCall, RolledBack;
    /// A stored value does not decode as the type that was asked for.
    KvUndecodable = "kv.undecodable", Corrupt, RolledBack;
    /// A stored value is damaged: its checksum or its header is wrong.
    KvTorn = "kv.torn", Corrupt, RolledBack;
    /// A stored value was written by newer code.
    KvNewer = "kv.newer", Corrupt, RolledBack;
    /// A list is asked for what cannot be.
    KvListInvalid = "kv.list_invalid", FixCall, RolledBack;
    /// A turn that may not write has run SQL that writes.
    SqlReadOnly = "sql.read_only", FixCall, RolledBack;
    /// The SQL does what an object's SQL may not do.
    SqlDenied = "sql.denied", FixCall, RolledBack | NotStarted;
    /// The SQL cannot be compiled or run.
    SqlInvalid = "sql.invalid", FixCall, RolledBack | NotStarted;
    /// The parameters are not those of the statement.
    SqlMisbound = "sql.misbound", FixCall, RolledBack;
    /// A text, a value, a row or a result is larger than the limit.
    SqlTooLarge = "sql.too_large", FixCall, RolledBack | NotStarted;
    /// What the SQL writes breaks a constraint.
    SqlConstraint = "sql.constraint", FixCall, RolledBack | NotStarted;
    /// The object's database is as large as it may be.
    SqlFull = "sql.full", FixCall, RolledBack | NotStarted;
    /// The database has rolled the turn's transaction back by itself.
    SqlRolledBack = "sql.rolled_back", Retry, RolledBack | NotStarted;
    /// A row does not decode as the type that was asked for.
    SqlUndecodable = "sql.undecodable", FixCall, RolledBack;
    /// A query that is to find one row has found none, or several.
    SqlNotOne = "sql.not_one", FixCall, RolledBack;
    /// A migration cannot be applied.
    SqlUnmigrated = "sql.unmigrated", Internal, RolledBack | NotStarted;
    /// A migration that was applied has another text than then.
    SqlChanged = "sql.changed", Corrupt, RolledBack | NotStarted;
    /// The object's database was migrated, or written, by newer code.
    SqlNewer = "sql.newer", Corrupt, RolledBack | NotStarted;
    /// A turn that may not write has set or cancelled its object's alarm.
    AlarmReadOnly = "alarm.read_only", FixCall, RolledBack;
    /// An alarm is set to a time that is too far away.
    AlarmTooFar = "alarm.too_far", FixCall, RolledBack;
    /// The handler of an alarm has failed.
    AlarmFailed = "alarm.failed", Retry, RolledBack;
    /// A dead letter would take the place of an alarm that is set.
    AlarmTaken = "alarm.taken", FixCall, NotStarted;
    /// A schedule is to run when it cannot: its period, its cron expression, its name or its policy is wrong.
    ScheduleMalformed = "schedule.malformed", FixCall, RolledBack | NotStarted;
    /// There is no time zone of that name.
    ZoneUnknown = "zone.unknown", FixCall, RolledBack | NotStarted;
    /// A turn that may not write has set or cancelled a schedule of its object.
    ScheduleReadOnly = "schedule.read_only", FixCall, RolledBack;
    /// A schedule is to call another object.
    ScheduleForeign = "schedule.foreign", FixCall, RolledBack;
    /// The object has as many schedules as it may have.
    ScheduleTooMany = "schedule.too_many", FixCall, RolledBack;
    /// The arguments of a schedule's call are larger than the limit.
    ScheduleTooLarge = "schedule.too_large", FixCall, RolledBack;
    /// The stored schedules of an object are damaged.
    ScheduleTorn = "schedule.torn", Corrupt, NotStarted | RolledBack;
    /// The stored schedules of an object were written by newer code.
    ScheduleNewer = "schedule.newer", Corrupt, NotStarted | RolledBack;
    /// A turn that may not write has sent a call, or taken one back.
    SendReadOnly = "send.read_only", FixCall, RolledBack;
    /// A call is sent inside of a turn, and not as part of it.
    SendInTurn = "send.in_turn", FixCall, NotStarted;
    /// A turn sends more calls than it may.
    SendTooMany = "send.too_many", FixCall, RolledBack;
    /// The calls that are sent have more bytes than they may.
    SendTooLarge = "send.too_large", FixCall, RolledBack | NotStarted;
    /// A call is to be sent at a time that is too far away.
    SendTooFar = "send.too_far", FixCall, RolledBack | NotStarted;
    /// Too many sends wait.
    SendOverloaded = "send.overloaded", Backoff, RolledBack | NotStarted;
    /// A send is being delivered, so that it cannot be taken back.
    SendLeaving = "send.leaving", Retry, NotStarted;
    /// The text names no send.
    SendUnknown = "send.unknown", FixCall, NotStarted | RolledBack;
    /// The object keeps as many results of calls with idempotency keys as it may.
    ResultOverloaded = "result.overloaded", Backoff, NotStarted;
    /// The result of a call with an idempotency key is larger than may be kept.
    ResultTooLarge = "result.too_large", FixCall, RolledBack;
    /// The result that is kept under an idempotency key is damaged.
    ResultTorn = "result.torn", Corrupt, NotStarted | RolledBack;
    /// The result that is kept under an idempotency key was written by newer code.
    ResultNewer = "result.newer", Corrupt, NotStarted | RolledBack;
    /// As much work that turns of the object have spawned is under way as may be.
    SpawnOverloaded = "spawn.overloaded", Backoff, RolledBack;
    /// A stream of results has ended before it was done.
    StreamCut = "stream.cut", Retry, Committed;
    /// A message of a socket, or what is answered by itself, is larger than the limit.
    SocketTooLarge = "socket.too_large", FixCall, RolledBack;
    /// A turn sends more to sockets than it may, or there are as many sockets as may be.
    SocketOverloaded = "socket.overloaded", Backoff, RolledBack | NotStarted;
    /// A socket cannot have such a tag, or not so many.
    SocketTagInvalid = "socket.tag_invalid", FixCall, RolledBack;
    /// What is attached to a socket is larger than the limit.
    SocketAttachmentTooLarge = "socket.attachment_too_large", FixCall, RolledBack;
    /// There is no such dead letter.
    LetterUnknown = "letter.unknown", FixCall, NotStarted;
    /// What travels with a dead letter is damaged.
    LetterTorn = "letter.torn", Corrupt, NotStarted;
    /// What travels with a dead letter was written by newer code.
    LetterNewer = "letter.newer", Corrupt, NotStarted;
    /// Savepoints are nested too deeply.
    SavepointTooDeep = "savepoint.too_deep", FixCall, RolledBack;
    /// Another process holds the data directory.
    StorageLocked = "storage.locked", Retry, NotStarted;
    /// The data directory was written by a newer format of this crate.
    StorageNewer = "storage.newer", FixCall, NotStarted;
    /// The data directory's files contradict each other or cannot be read.
    StorageCorrupt = "storage.corrupt", Corrupt, NotStarted | RolledBack | Unknown;
    /// The disk is full.
    StorageFull = "storage.full", Backoff, RolledBack | NotStarted;
    /// The disk failed to read or write.
    StorageFailed = "storage.failed", Backoff, RolledBack | NotStarted | Unknown;
    /// The disk failed to sync; the shard takes no more writes.
    StorageSyncFailed = "storage.sync_failed", Closed, Unknown | NotStarted | RolledBack;
    /// A newer activation of the object has committed.
    StorageFenced = "storage.fenced", Retry, RolledBack | NotStarted;
    /// There is no data directory at the path.
    StorageMissing = "storage.missing", FixCall, NotStarted;
    /// A backup would be written where something is already.
    BackupExists = "backup.exists", FixCall, NotStarted;
    /// The directory is a backup that is being written, or that was cut off.
    BackupIncomplete = "backup.incomplete", FixCall, NotStarted;
    /// Another backup of this runtime is under way.
    BackupRunning = "backup.running", Retry, NotStarted;
    /// The text is not a bookmark.
    BookmarkMalformed = "bookmark.malformed", FixCall, NotStarted;
    /// The bookmark is another object's, or of a moment that the object never had, or that was stored together with a later one.
    BookmarkForeign = "bookmark.foreign", FixCall, NotStarted;
    /// The object's history does not go back that far.
    HistoryPruned = "history.pruned", FixCall, NotStarted;
    /// The class keeps no history.
    HistoryOff = "history.off", FixCall, NotStarted;
    /// A stored row of an object's history is damaged, or missing.
    HistoryTorn = "history.torn", Corrupt, NotStarted;
    /// A stored row of an object's history was written by newer code.
    HistoryNewer = "history.newer", Corrupt, NotStarted;
    /// An object would be made where one is.
    ObjectExists = "object.exists", FixCall, NotStarted;
    /// A supervisor or a child is to be what it cannot be.
    SupervisorInvalid = "supervisor.invalid", FixCall, NotStarted;
    /// No supervisor of the tree has this path.
    SupervisorUnknown = "supervisor.unknown", FixCall, NotStarted;
    /// The supervisor is ending, or has ended.
    SupervisorStopped = "supervisor.stopped", Closed, NotStarted;
    /// The supervisor has as many children, or requests, as it may have.
    SupervisorFull = "supervisor.full", Backoff, NotStarted;
    /// The top of the tree has restarted too often, so the runtime was shut down.
    SupervisorMelted = "supervisor.melted", Internal, Unknown;
    /// The supervisor has a child of that name.
    ChildDuplicate = "child.duplicate", FixCall, NotStarted;
    /// The supervisor has no child of that name.
    ChildUnknown = "child.unknown", FixCall, NotStarted;
    /// The child runs, so that it can neither be started nor forgotten.
    ChildRunning = "child.running", FixCall, NotStarted;
    /// The child is about to be restarted, so that it can neither be started nor forgotten.
    ChildRestarting = "child.restarting", FixCall, NotStarted;
    /// The child has failed to start.
    ChildUnstartable = "child.unstartable", Internal, NotStarted;
    /// A child of a dynamic supervisor is gone when it does not run.
    ChildDynamic = "child.dynamic", FixCall, NotStarted;
    /// An object would be the child of one that is as deep in its tree as may be.
    ChildTooDeep = "child.too_deep", FixCall, NotStarted;
    /// A child was asked for by its id alone, and is not stored, so that nobody knows whose it is.
    ChildOrphaned = "child.orphaned", FixCall, NotStarted;
    /// The object watches as many others as it may.
    MonitorFull = "monitor.full", FixCall, RolledBack;
    /// The class is stopped by its supervisor, and is started again by it.
    ClassStopped = "class.stopped", Backoff, NotStarted;
    /// So many objects of the class have failed that it is closed for a while.
    ClassFailing = "class.failing", Backoff, NotStarted;
    /// The shutdown has cut off what had not ended when its time was over.
    ShutdownCut = "shutdown.cut", Internal, RolledBack;
    /// A server would take calls of other machines, and nothing says who may call.
    ServerUnguarded = "server.unguarded", FixCall, NotStarted;
    /// The address of a server cannot be taken.
    ServerUnbound = "server.unbound", Retry, NotStarted;
    /// As many calls of a client are under way as may be.
    ClientOverloaded = "client.overloaded", Backoff, NotStarted;
    /// A server cannot be reached, or its answer did not come.
    ServerUnreachable = "server.unreachable", Retry, NotStarted | Committed | Unknown;
    /// What answers is no server of this crate, or one of another version.
    ServerForeign = "server.foreign", FixCall, NotStarted | Committed | Unknown;
    /// A setting of the runtime is out of range.
    ConfigInvalid = "config.invalid", FixCall, NotStarted;
}

impl Code {
    /// Makes an error of this code. `message`: lower case, no full stop, names the thing, ends with the next step.
    pub fn error(self, message: impl Into<String>) -> Error {
        let outcome = self.outcomes()[0];
        Error(Arc::new(Body {
            code: self,
            message: message.into(),
            object: None,
            outcome,
            retry_after: None,
            cut: Vec::new(),
            source: None,
        }))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// The stable code, `noun.adjective`.
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind()
    }

    /// What happened to the call.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The text for people, without the code.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The object that it is about, as `class(name)` or `class(id)`; `None` if it is about no single object.
    pub fn object(&self) -> Option<&str> {
        self.0.object.as_deref()
    }

    /// How long to wait before calling again, if that is known: of an object that is quarantined, until a call is let
    /// through; of one that has had as many calls as its rate lets it have, until the next one may come; of one whose calls would
    /// begin too late, until they would not; of a queue that is full, and of whatever else has no room, as long as that usually
    /// takes.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What was cut off: by a shutdown, if this is `shutdown.cut`, all of it, also what the text only counts; if it is
    /// `call.overlong`, the turn.
    pub fn cut(&self) -> &[CutOff] {
        &self.0.cut
    }

    #[cfg(feature = "http")]
    pub(crate) fn known_code(&self) -> Code {
        self.0.code
    }

    /// Whether it has this code.
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code
    }

    pub(crate) fn with_object(mut self, object: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).object = Some(object.into());
        self
    }

    /// The same about this object, unless it says itself what it is about.
    #[cfg(feature = "client")]
    pub(crate) fn about(self, object: String) -> Self {
        if self.0.object.is_some() { self } else { self.with_object(object) }
    }

    pub(crate) fn with_cut(mut self, cut: Vec<CutOff>) -> Self {
        Arc::make_mut(&mut self.0).cut = cut;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        Arc::make_mut(&mut self.0).retry_after = Some(wait);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        Arc::make_mut(&mut self.0).outcome = outcome;
        self
    }

    /// No turn of the call began, because its object did not start, which was tried so often.
    pub(crate) fn unstarted(mut self, tries: u32) -> Self {
        let body = Arc::make_mut(&mut self.0);
        if body.code.outcomes().contains(&Outcome::NotStarted) {
            body.outcome = Outcome::NotStarted;
        }
        if tries > 1 {
            let text = std::mem::take(&mut body.message);
            body.message = format!("the object was tried {tries} times: {text}");
        }
        self
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::new(source));
        self
    }
}

/// How an error travels: without its source, which stays where it happened.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Error")]
struct Travelling {
    code: String,
    message: String,
    object: Option<String>,
    outcome: Outcome,
    retry_after: Option<Duration>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Body { code, message, object, outcome, retry_after, .. } = &*self.0;
        let (code, message, object) = (code.to_string(), message.clone(), object.clone());
        let (outcome, retry_after) = (*outcome, *retry_after);
        Travelling { code, message, object, outcome, retry_after }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Travelling { code, message, object, outcome, retry_after } =
            Travelling::deserialize(deserializer)?;
        let known = Code::ALL.iter().find(|known| known.as_str() == code);
        let code =
            *known.ok_or_else(|| D::Error::custom(format!("no error has the code `{code}`")))?;
        let (cut, source) = (Vec::new(), None);
        Ok(Error(Arc::new(Body { code, message, object, outcome, retry_after, cut, source })))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.code())
            .field("message", &self.0.message)
            .field("object", &self.0.object)
            .field("outcome", &self.0.outcome)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// What a panic said, as far as it said it in text.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests;
