//! Bounds of servers, of their sockets, and of clients elsewhere.

use std::time::Duration;

/// Bytes that the body of an HTTP request may have unless the server says otherwise. It is held in memory whole, and so are the
/// values that are made of it.
pub const HTTP_BODY_BYTES: usize = 1024 * 1024;

/// How long the body of an HTTP request may take to come, unless the server says otherwise.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much time calls over HTTP have, unless somebody says otherwise: as long as a turn usually may run.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// How much time an HTTP request may give its call, unless the server says otherwise. A client that waits longer asks again.
pub const HTTP_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// Connections that a server has at a time; more wait to be taken.
pub const HTTP_CONNECTIONS_MAX: usize = 65_536;

/// How long a connection may take for the headers of a request, or rest between two: those that say nothing take room.
pub const HTTP_HEADERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may take nothing of what it is sent. What waits for it stays in memory.
pub const HTTP_STALL: Duration = Duration::from_secs(30);

/// Bytes of the headers of a request.
pub const HTTP_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Headers of a request. It is what hyper takes if it is told nothing, and takes at the least cost.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Requests of one connection of HTTP/2 that are under way.
pub const HTTP_STREAMS_MAX: u32 = 256;

/// How often a server asks whether the other end of a connection of HTTP/2 is still there.
pub const HTTP_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long that may take to say so. The connection is closed then.
pub const HTTP_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a server waits for requests under way when it is shut down.
pub const HTTP_SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// How often something is sent of a stream without items: what stands between closes connections that rest for longer.
#[cfg(feature = "http")]
pub(crate) const HTTP_BEAT: Duration = Duration::from_secs(15);

/// How long a server waits before it takes connections again when it could not.
#[cfg(feature = "http")]
pub(crate) const HTTP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Sockets of one object at a time.
pub const SOCKETS_OF_OBJECT_MAX: usize = 32_768;

/// Sockets of a runtime at a time.
pub const SOCKETS_MAX: usize = 1 << 20;

/// Tags of one socket.
pub const SOCKET_TAGS_MAX: usize = 10;

/// Bytes of a tag.
pub const SOCKET_TAG_BYTES_MAX: usize = 256;

/// Bytes of what is attached to a socket, encoded.
pub const SOCKET_ATTACHMENT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a text that is answered without the object, and of its answer.
pub const SOCKET_RESPONSE_BYTES_MAX: usize = 2 * 1024;

/// Bytes of a message, whoever sends it.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of why a socket is closed.
pub const SOCKET_REASON_BYTES_MAX: usize = 123;

/// Messages that wait to be written to a socket. One that has more is cut.
pub const SOCKET_QUEUE_MAX: usize = 4_096;

/// Bytes of the messages that wait to be written to a socket. One that has more is cut.
pub const SOCKET_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a turn may do about sockets; a message to many of them counts once.
pub const SOCKET_TURN_MAX: usize = 16_384;

/// Bytes of the messages that a turn sends, and of what it attaches; of a message to many sockets, once, and 8 for each of them.
pub const SOCKET_TURN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that are read of a socket at once, and gathered before they are written to it.
#[cfg(feature = "http")]
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 * 1024;

/// How long it may take to open a socket that an object dials.
pub const SOCKET_DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages of one socket that are on their way to its object.
pub const SOCKET_UNDER_WAY_MAX: usize = 16;

/// How often a server asks whether a socket's other end is still there, if it hears nothing.
pub const SOCKET_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a socket's other end has to say that it closes, too, and to take what it is sent.
pub const SOCKET_CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it is waited each time before an object is told again that a socket has ended that could not hear it.
#[cfg(feature = "http")]
pub(crate) const SOCKET_END_PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// How long a runtime that is shut down waits for its sockets to close.
pub const SOCKET_SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Events of a tag that are kept for those who follow it.
pub const EVENTS_KEPT: u64 = 1_000;

/// How often a client tries to connect, and how often it sends a call that servers do not take, before it gives up.
pub const CLIENT_TRIES: u32 = 6;

/// Calls of a client that are under way at a time.
pub const CLIENT_CALLS_MAX: usize = 16_384;

/// How long a client waits after its first try to connect; after each further one twice as long.
pub const CLIENT_CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How long a try to connect may take.
pub const CLIENT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a client asks whether a server is still there that has calls of it.
pub const CLIENT_PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long a server may take to say that it is. Its connection is given up then.
pub const CLIENT_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than a call has time a client waits for what the server says of that.
pub const CLIENT_GRACE: Duration = Duration::from_secs(1);
