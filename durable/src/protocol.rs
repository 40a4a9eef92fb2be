//! How typed calls look over HTTP: what a client says beside what every request over HTTP says.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;

/// The type of bodies of typed calls and of their answers: encoded [`Wishes`] and arguments, and an encoded reply or the id of
/// a send. What else there is is a problem, as for other calls. Another layout has another name.
pub(crate) const CALL: &str = "application/vnd.durable.call.v1";

/// A request says the number of its stub by it, so that a server can keep the order of a stub's calls on a connection.
pub(crate) const STUB: &str = "durable-stub";

/// A request says by it what address its connection comes from, as the client sees that. If the server sees another one, somebody
/// stands between who may have several connections, so that the order of one of them means nothing.
pub(crate) const FROM: &str = "durable-from";

/// An answer says by it that its server does.
pub(crate) const KEEPS_ORDER: &str = "durable-keeps-order";

/// How much time the call has.
pub(crate) const TIMEOUT: &str = "durable-timeout";

/// What stands before an id in a path, and before a name that could be taken for something else.
pub(crate) const ID: &str = "id:";
pub(crate) const NAME: &str = "name:";

/// What stands before the arguments.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wishes<'a> {
    /// The types of the method's arguments, as the client's code has them.
    pub(crate) args: &'a str,
    /// The type that it returns.
    pub(crate) returns: &'a str,
    /// `None`: as the class says.
    pub(crate) is_relaxed: Option<bool>,
    pub(crate) key: Option<&'a str>,
    pub(crate) is_patient: bool,
    /// `None`: its caller waits. Inner: how long it is kept there before it is run.
    pub(crate) kept: Option<Option<Duration>>,
    pub(crate) jurisdiction: Option<&'a str>,
    pub(crate) location_hint: Option<&'a str>,
    pub(crate) metadata: Metadata,
}

/// An address as both ends of a connection write it.
pub(crate) fn written(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// A text as a segment of a path.
#[cfg(feature = "client")]
pub(crate) fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(char::from(byte));
            }
            byte => into.push_str(&format!("%{byte:02X}")),
        }
    }
}
