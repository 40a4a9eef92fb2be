//! Methods that return streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::http::serve;
use durable::prelude::*;
use futures_util::{Stream, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Streams of it that are there.
static THERE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        THERE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default, DurableState)]
struct Journal {
    lines: Vec<String>,
}

#[durable_object(name = "edge.Journal", http)]
impl Journal {
    pub fn write(&mut self, line: String) -> impl Stream<Item = usize> + use<> {
        self.lines.push(line);
        stream::iter([self.lines.len()])
    }

    #[rpc(http = "GET")]
    pub fn lines(&self, from: usize) -> impl Stream<Item = String> + use<> {
        stream::iter(self.lines.get(from..).unwrap_or_default().to_vec())
    }

    #[rpc(http = "GET")]
    pub fn endless(&self) -> impl Stream<Item = u64> + use<> {
        THERE.fetch_add(1, Ordering::SeqCst);
        let counted = Counted;
        stream::unfold(0, move |at| {
            let _ = &counted;
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Some((at, at + 1))
            }
        })
    }

    #[rpc(http = "off")]
    pub fn secrets(&self) -> impl Stream<Item = u64> + use<> {
        stream::iter([1])
    }
}

/// Reads until the connection ends, or `enough` has come. Chunks' sizes stand between the events.
async fn read(stream: &mut TcpStream, enough: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&all).contains(enough) {
            let mut part = [0; 1_024];
            match stream.read(&mut part).await.unwrap_or(0) {
                0 => return,
                read => all.extend_from_slice(&part[..read]),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it comes");
    String::from_utf8_lossy(&all).into_owned()
}

/// The events of a response.
fn events(response: &str) -> Vec<&str> {
    let is_event = |line: &&str| ["data:", "event:"].iter().any(|start| line.starts_with(start));
    response.lines().filter(is_event).collect()
}

#[tokio::test]
async fn each_item_is_an_event_and_so_is_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Journal>().start().await.unwrap();
    let server = serve(&runtime, ([127, 0, 0, 1], 0)).await.unwrap();
    let ask = async |request: &str, enough: &str| {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        (read(&mut stream, enough).await, stream)
    };
    let write = async |line: &str| {
        let body = serde_json::json!({ "line": line }).to_string();
        let request = crate::client::posting("/edge.Journal/a/write", "", &body);
        ask(&request, "data: null").await.0
    };
    let written = write("one").await;
    assert!(written.contains("content-type: text/event-stream\r\n"), "{written}");
    assert_eq!(events(&written), ["data: 1", "event: done", "data: null"]);
    write("two\nlines").await;
    let lines = "GET /edge.Journal/a/lines?from=0 HTTP/1.1\r\nhost: x\r\n\r\n";
    let (lines, _) = ask(lines, "data: null").await;
    let expected = ["data: \"one\"", "data: \"two\\nlines\"", "event: done", "data: null"];
    assert_eq!(events(&lines), expected);

    let endless = "GET /edge.Journal/a/endless HTTP/1.1\r\nhost: x\r\n\r\n";
    let (_, connection) = ask(endless, "data: 3\n").await;
    assert_eq!(THERE.load(Ordering::SeqCst), 1);
    drop(connection);
    while THERE.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let (_, mut connection) = ask(endless, "data: 3\n").await;
    assert!(runtime.evict(runtime.get::<Journal>("a").id().unwrap()).await.unwrap());
    let cut = read(&mut connection, "\"type\"").await;
    let cut = events(&cut);
    assert!(cut.contains(&"event: failed"), "{cut:?}");
    assert!(cut.iter().any(|data| data.contains("stream.cut")), "{cut:?}");
    let secrets = "GET /edge.Journal/a/secrets HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(ask(secrets, "\"type\"").await.0.starts_with("HTTP/1.1 404"));
}
