//! Methods that return streams of their results.
#![allow(missing_docs, missing_debug_implementations, unused_qualifications)]
use durable::prelude::*;
use durable::{ItemStream, Object};
use futures_util::{Stream, StreamExt, stream};

#[derive(Default, DurableState)]
pub struct Log {
    lines: Vec<String>,
}

#[durable_object(name = "streams.Log")]
impl Log {
    pub fn lines(&self) -> impl Stream<Item = String> + Send + use<> {
        stream::iter(self.lines.clone())
    }

    pub async fn write(
        &mut self,
        cx: &mut Context<'_, Self>,
        line: String,
    ) -> impl Stream<Item = Result<u64, String>> + use<> {
        let _ = cx.now();
        self.lines.push(line);
        stream::once(async { Ok(1) })
    }

    pub fn old(&self) -> impl futures_util::Stream<Item = (u8, u8)> + 'static + use<> {
        stream::empty()
    }
}

async fn read(log: &LogStub) -> Result<(), Error> {
    let mut lines: ItemStream<String> = log.lines().await?;
    let _: Option<Result<String, Error>> = lines.next().await;
    let written: Vec<Result<Result<u64, String>, Error>> =
        log.write("a".into()).await?.collect().await;
    drop(written);
    Ok(())
}

/// What the macros have made of it.
pub(crate) fn check() {
    let _ = read;
    let [lines, ..] = <Log as Object>::CLASS.methods else { unreachable!() };
    assert_eq!((lines.returns, lines.is_stream), ("impl Stream<Item = String>", true));
}
