//! A class that is reached with JSON, or with encoded values, whatever its type.

use std::fmt::{self, Write as _};
use std::future::{IntoFuture, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde_json::{Deserializer, Serializer};

#[cfg(feature = "openapi")]
use super::MethodShape;
use super::query::query;
use super::{Exposed, ExposedMethod, Exposure, Feed, Request, Response, sockets};
use crate::caller::{Kept, Who, WhoKey, undecodable, unencodable, unstreamable};
#[cfg(feature = "openapi")]
use crate::class::Access;
use crate::class::{Durability, MethodSpec};
use crate::directory::Group;
use crate::error::{Code, Error, Outcome};
use crate::item_stream::ItemStream;
use crate::limits::WIRE_BYTES_MAX;
use crate::metadata::Metadata;
use crate::object::{BoxFuture, Object};
use crate::socket::Joining;
use crate::stub::Call;

/// A class that has opted in, for callers who know neither its type nor those of its methods.
pub(crate) trait Door: Send + Sync {
    /// The class's name.
    fn class(&self) -> &'static str;

    /// One of the methods that can be called.
    fn method(&self, name: &str) -> Option<&'static ExposedMethod>;

    /// What it says of itself.
    #[cfg(feature = "openapi")]
    fn described(&self) -> Described;

    /// The method that takes whole requests. `None`: there is none.
    fn fetch(&self) -> Option<&'static ExposedMethod>;

    /// What the class says of one of them.
    fn spec(&self, name: &str) -> &'static MethodSpec;

    /// Makes a call, which is not made elsewhere: permits, deadlines and interceptors are as for calls of this process.
    fn call(&self, asked: Asked<'_>) -> BoxFuture<'static, Result<Answer, Error>>;

    /// The method that whoever lets sockets pass is asked about. `None`: the class takes no sockets.
    fn entrance(&self) -> Option<&'static ExposedMethod>;

    /// A socket comes. `timeout`: how much time the object has for whatever happens to it.
    fn join(&self, who: Who, metadata: Metadata, timeout: Duration) -> Result<Joining, Error>;

    /// Keeps a call that nobody waits for. `delay`: how long at least. `None`: not longer than those before it.
    fn keep(&self, asked: Asked<'_>, delay: Option<Duration>) -> Kept;
}

/// What a class says of itself to callers who do not read Rust.
#[cfg(feature = "openapi")]
pub(crate) struct Described {
    pub(crate) class: &'static str,
    /// Its objects take only so many calls in a time.
    pub(crate) has_rate: bool,
    /// Those that can be called, in source order.
    pub(crate) methods: Vec<DescribedMethod>,
}

/// A method of it.
#[cfg(feature = "openapi")]
pub(crate) struct DescribedMethod {
    pub(crate) method: &'static ExposedMethod,
    pub(crate) shape: &'static MethodShape,
    /// It takes `&mut self`.
    pub(crate) may_change: bool,
    /// It returns a stream.
    pub(crate) is_stream: bool,
}

/// A call, as it was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) who: Who,
    pub(crate) method: &'static ExposedMethod,
    pub(crate) args: Args<'a>,
    /// How much time the caller gives it. `None`: as the method says, or else the usual.
    pub(crate) timeout: Option<Duration>,
    pub(crate) usual_timeout: Duration,
    /// What it is known again by. `None`: it has no idempotency key.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) metadata: Metadata,
    pub(crate) wishing: Wishing,
}

/// What only typed callers say.
#[derive(Default)]
pub(crate) struct Wishing {
    /// It waits for room where there is none.
    pub(crate) is_patient: bool,
    /// `None`: as the class says.
    pub(crate) durability: Option<Durability>,
}

/// Arguments, by the names of the parameters.
pub(crate) enum Args<'a> {
    /// An object of JSON.
    Json(&'a [u8]),
    /// The query of a path.
    Query(&'a str),
    /// A whole request, of a method that takes one.
    Fetch(Box<Request>),
    /// Without names, as they leave a process. What is returned is encoded in the same way.
    Wire(&'a [u8]),
}

/// What a method has returned.
pub(crate) enum Answer {
    /// A value.
    Value(Vec<u8>),
    /// Its own error.
    Rejection(Vec<u8>),
    /// A whole response.
    Response(Response),
    /// Values that come one after the other.
    Stream(Items),
}

/// The items of a stream, each as JSON.
pub(crate) type Items = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Error>> + Send>>;

/// Opens the door of a class that has one.
pub(crate) struct Open<O: Object>(pub(crate) Arc<Group<O>>);

impl<O: Object> Exposure<O> for Open<O> {
    type Out = Arc<dyn Door>;

    fn visit(self) -> Self::Out
    where
        O: Exposed,
    {
        Arc::new(Opened(self.0))
    }
}

struct Opened<O: Object>(Arc<Group<O>>);

impl<O: Exposed> Door for Opened<O> {
    fn class(&self) -> &'static str {
        O::CLASS.name
    }

    fn method(&self, name: &str) -> Option<&'static ExposedMethod> {
        O::METHODS.iter().find(|method| method.name == name)
    }

    #[cfg(feature = "openapi")]
    fn described(&self) -> Described {
        let methods = O::METHODS.iter().zip(O::SHAPES).map(|(method, shape)| {
            let spec = self.spec(method.name);
            let may_change = spec.access == Access::Write;
            DescribedMethod { method, shape, may_change, is_stream: spec.is_stream }
        });
        let (class, has_rate) = (O::CLASS.name, O::CLASS.rate.is_some());
        Described { class, has_rate, methods: methods.collect() }
    }

    fn fetch(&self) -> Option<&'static ExposedMethod> {
        const { &O::FETCH }.as_ref().map(|fetch| &fetch.method)
    }

    fn spec(&self, name: &str) -> &'static MethodSpec {
        let spec = O::CLASS.methods.iter().find(|spec| spec.name == name);
        spec.expect("a class knows each of its methods")
    }

    fn call(&self, asked: Asked<'_>) -> BoxFuture<'static, Result<Answer, Error>> {
        let (usual_timeout, timeout) = (asked.usual_timeout, asked.timeout);
        let made = match asked.args {
            Args::Wire(_) => self.make(asked, |reply| Some(encoded::<O>(reply))),
            Args::Fetch(_) => self.make(asked, |reply| Some(Ok(response::<O>(reply)))),
            Args::Json(_) | Args::Query(_) => self.make(asked, |reply| Some(answer::<O>(reply))),
        };
        match made {
            Ok((call, method)) => {
                let timeout = timeout.or(method.timeout).unwrap_or(usual_timeout);
                Box::pin(call.timeout(timeout).into_future())
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn entrance(&self) -> Option<&'static ExposedMethod> {
        sockets::entrance::<O>()
    }

    fn join(&self, who: Who, metadata: Metadata, timeout: Duration) -> Result<Joining, Error> {
        if let WhoKey::Name(name) = &who.key {
            check_key::<O>(name)?;
        }
        sockets::join(&self.0, who, metadata, timeout)
    }

    fn keep(&self, asked: Asked<'_>, delay: Option<Duration>) -> Kept {
        match self.make(asked, |_| None) {
            Ok((call, _)) => Box::pin(call.put(delay)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl<O: Exposed> Opened<O> {
    /// The call that was asked for, and its method.
    fn make(
        &self,
        asked: Asked<'_>,
        unpack: fn(O::Reply) -> Option<Result<Answer, Error>>,
    ) -> Result<(Made<O>, &'static MethodSpec), Error> {
        let Asked { who, method, args, key, metadata, wishing, .. } = asked;
        if let WhoKey::Name(name) = &who.key {
            check_key::<O>(name)?;
        }
        let is_wire = matches!(args, Args::Wire(_));
        let call = decode::<O>(method.name, args)?;
        let method = O::method(&call);
        if method.is_stream && is_wire {
            return Err(unstreamable::<O>(method));
        }
        let address = self.0.address_of(who)?;
        let call = address.call::<Result<Answer, Error>>(call, unpack);
        let call = call.carrying(metadata);
        let call = if let Some(key) = key { call.idempotency_key(key) } else { call };
        let call = if wishing.is_patient { call.wait_for_capacity() } else { call };
        let call =
            if let Some(durability) = wishing.durability { call.wants(durability) } else { call };
        Ok((call, method))
    }
}

/// A call that is made here.
type Made<O> = Call<O, Result<Answer, Error>>;

/// A name is one that the class's own program could have written, so that no two names mean one key.
fn check_key<O: Object>(name: &str) -> Result<(), Error> {
    match name.parse::<O::Key>() {
        Ok(key) if is_written(&key, name) => Ok(()),
        _ => Err(Code::KeyMalformed.error(format!(
            "`{}` is no key of class {}; write it as its `Display` does",
            name.escape_debug().take(NAMED_CHARS_MAX).collect::<String>(),
            O::CLASS.name
        ))),
    }
}

/// Whether a value's `Display` is this text.
fn is_written(value: &impl fmt::Display, text: &str) -> bool {
    /// What is still to be written.
    struct Rest<'a>(&'a str);

    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

/// How much of a wrong name is told.
const NAMED_CHARS_MAX: usize = 64;

fn decode<O: Exposed>(method: &str, args: Args<'_>) -> Result<O::Call, Error> {
    let decoded = match args {
        Args::Json(bytes) => {
            let mut from = Deserializer::from_slice(bytes);
            let call = O::decode_named(method, &mut from);
            call.and_then(|call| from.end().map(|()| call)).map_err(|error| error.to_string())
        }
        Args::Fetch(request) => {
            let fetch = O::FETCH.expect("the method that takes requests was asked for");
            return Ok((fetch.call)(*request));
        }
        Args::Wire(bytes) => {
            return O::decode_call(method, bytes)
                .map_err(|error| undecodable::<O>(&error, Outcome::NotStarted));
        }
        Args::Query(text) => query(text)
            .and_then(|from| O::decode_named(method, from).map_err(|error| error.to_string())),
    };
    decoded.map_err(|why| {
        Code::CallUndecodable.error(format!(
            "`{method}` of class {}: {why}; give its arguments by their names",
            O::CLASS.name
        ))
    })
}

/// What is answered to a whole request.
fn response<O: Exposed>(reply: O::Reply) -> Answer {
    let fetch = O::FETCH.expect("the method that takes requests has returned");
    match (fetch.response)(reply) {
        Ok(response) => Answer::Response(response),
        Err(_) => unreachable!("a method's reply is its own"),
    }
}

/// What is answered to a typed caller.
fn encoded<O: Exposed>(reply: O::Reply) -> Result<Answer, Error> {
    let bytes = O::encode_reply(&reply);
    bytes.map(Answer::Value).map_err(|error| unencodable::<O>(&error, Outcome::Committed))
}

/// What is answered in JSON.
fn answer<O: Exposed>(reply: O::Reply) -> Result<Answer, Error> {
    let reply = match O::feed_named(reply, Fed(O::CLASS.name)) {
        Ok(items) => return Ok(Answer::Stream(items)),
        Err(reply) => reply,
    };
    let mut json = Bounded(Vec::with_capacity(128));
    match O::encode_named(&reply, &mut Serializer::new(&mut json)) {
        Ok(answered) if answered.is_rejected => Ok(Answer::Rejection(json.0)),
        Ok(_) => Ok(Answer::Value(json.0)),
        Err(error) => Err(unwritable(O::CLASS.name, &error)),
    }
}

fn unwritable(class: &str, error: &serde_json::Error) -> Error {
    let text = format!("a result of class {class} cannot be JSON: {error}; mend its `Serialize`");
    Code::CallUnencodable.error(text).with_outcome(Outcome::Committed)
}

/// Makes JSON of the items of a stream, of an object of this class.
struct Fed(&'static str);

impl Feed for Fed {
    type Out = Items;

    fn feed<T: Serialize + Send + 'static>(self, items: ItemStream<T>) -> Items {
        let Fed(class) = self;
        Box::pin(items.map(move |item| {
            let mut json = Bounded(Vec::new());
            let written = item?.serialize(&mut Serializer::new(&mut json));
            written.map_err(|error| unwritable(class, &error)).map(|()| json.0)
        }))
    }
}

/// Takes as many bytes as may go over a wire.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > WIRE_BYTES_MAX {
            let text = format!("it has more than {WIRE_BYTES_MAX} bytes, which is the limit");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
