//! Sockets of objects: WebSockets that stay open while their object is not in memory. Feature `http`.
//!
//! The guide [Real time](crate::guide::real_time) says how they are used.

mod attached;
mod dial;
mod line;
mod lobby;

pub use crate::object::{Event, Followed, Sockets};
pub use crate::wire::{Close, Closed, Dial, Goal, Message, Socket, SocketError, SocketErrorKind};
#[doc(hidden)]
pub use crate::wire::{Ending, Signal, Wire};

pub(crate) use self::dial::Dialing;
pub(crate) use self::line::{Connecting, Heard, Joining, Port, Told};
#[doc(hidden)]
pub use self::line::{Line, Refused};
pub(crate) use self::lobby::{Lobbies, Lobby, Numbers};
