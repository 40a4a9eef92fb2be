//! A stream of results, as its caller has it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, ready};

use futures_util::Stream;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use tokio::sync::mpsc;

use crate::error::{Code, Error};
use crate::limits::STREAM_ITEMS_MAX;

/// What a method gives that returns `impl Stream`: items, as they come, of an object in this process.
///
/// The method's turn is over when its caller has this. The object goes on meanwhile, and so the stream may not borrow from it: in
/// edition 2024 `impl Stream<Item = T> + use<>` says so. It is polled beside the object, like [spawned
/// work](crate::Context::spawn), from the moment when what the turn did is durable, and only as far as its reader has room for
/// [16](crate::limits::STREAM_ITEMS_MAX) more items; it keeps its object in memory for 15 minutes at most, and ends with the
/// object's stay there. A stream that is dropped is not polled any more.
///
/// ```
/// use durable::prelude::*;
/// use futures_util::{Stream, stream};
///
/// #[derive(Default, DurableState)]
/// struct Journal { lines: Vec<String> }
///
/// #[durable_object(name = "doc.Journal")]
/// impl Journal {
///     pub fn write(&mut self, line: String) { self.lines.push(line); }
///
///     /// The lines that there are, a page at a time, while others write.
///     pub fn lines(&self, cx: &Context<'_, Self>) -> impl Stream<Item = String> + use<> {
///         let me = cx.me();
///         stream::unfold((me, 0), |(me, at)| async move {
///             let line = me.line(at).await.ok()??;
///             Some((line, (me, at + 1)))
///         })
///     }
///
///     pub fn line(&self, at: usize) -> Option<String> { self.lines.get(at).cloned() }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Journal>().start().await?;
/// let journal = runtime.get::<Journal>("ada");
/// journal.write("a".into()).await?;
/// journal.write("b".into()).await?;
/// let mut lines = journal.lines().await?;
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Its last item is `stream.cut` if it ended before it was done: the object left memory, the stream panicked, or its time was over.
/// Without that error it is whole.
///
/// # Source
/// Response streaming of gRPC, and `IAsyncEnumerable` methods of Orleans grains.
#[must_use = "a stream that is dropped is not polled any more"]
pub struct ItemStream<T> {
    /// An item, or that there are no more. Without the latter the stream was cut. `None`: it has ended.
    items: Option<mpsc::Receiver<Option<T>>>,
}

/// Where the items of a stream go.
pub(crate) struct Sink<T>(mpsc::Sender<Option<T>>);

impl<T> ItemStream<T> {
    pub(crate) fn new() -> (Sink<T>, Self) {
        let (sink, items) = mpsc::channel(STREAM_ITEMS_MAX);
        (Sink(sink), ItemStream { items: Some(items) })
    }

    /// The next item. `None`: there are no more.
    ///
    /// # Errors
    /// `stream.cut` if it has ended before it was done; then there are no more.
    ///
    /// # Cancel safety
    /// If the future is dropped no item is lost.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|task| self.poll_item(task)).await
    }

    fn poll_item(&mut self, task: &mut TaskContext<'_>) -> Poll<Option<Result<T, Error>>> {
        let Some(items) = &mut self.items else { return Poll::Ready(None) };
        let next = match ready!(items.poll_recv(task)) {
            Some(Some(item)) => return Poll::Ready(Some(Ok(item))),
            Some(None) => None,
            None => Some(Err(Code::StreamCut.error(
                "the stream ended before it was done, because its object left memory, or it panicked or took too \
                 long; ask the object again for what is missing",
            ))),
        };
        self.items = None;
        Poll::Ready(next)
    }
}

impl<T> Stream for ItemStream<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(task)
    }
}

// An item is never pinned.
impl<T> Unpin for ItemStream<T> {}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream").field("has_ended", &self.items.is_none()).finish()
    }
}

const HERE_ONLY: &str = "a stream of results is for callers in the same process";

/// Always fails: a stream is for callers in the same process.
impl<T: Serialize> Serialize for ItemStream<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom(HERE_ONLY))
    }
}

/// Always fails: a stream is for callers in the same process.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for ItemStream<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(HERE_ONLY))
    }
}

impl<T> Sink<T> {
    /// Takes everything that a stream gives, as fast as its reader does, until either ends.
    pub(crate) async fn drain(self, stream: impl Stream<Item = T>) {
        let Sink(sink) = self;
        let (mut stream, mut gone) = (pin!(stream), pin!(sink.closed()));
        loop {
            // Room first: nothing is asked for that nobody would take yet.
            let Ok(room) = sink.reserve().await else { return };
            let item = poll_fn(|task| {
                if let Poll::Ready(item) = stream.as_mut().poll_next(task) {
                    return Poll::Ready(Some(item));
                }
                gone.as_mut().poll(task).map(|()| None)
            });
            let Some(item) = item.await else { return };
            let is_last = item.is_none();
            room.send(item);
            if is_last {
                return;
            }
        }
    }
}
