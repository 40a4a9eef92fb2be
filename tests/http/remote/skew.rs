//! A client and a server with different code.

use durable::http::Edge;
use durable::{Client, Outcome};

use super::with_journal;

/// The journal as another version of the code has it.
mod other {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Journal {
        entries: Vec<u64>,
    }

    #[durable_object(name = "edge.Journal", http)]
    impl Journal {
        /// Its argument was another one.
        pub fn push(&mut self, entry: i64) -> u64 {
            self.entries.push(entry.unsigned_abs());
            entry.unsigned_abs()
        }

        /// So was its result.
        pub fn sized(&self, bytes: Vec<u8>) -> usize {
            bytes.len()
        }

        /// There was none.
        pub fn clear(&mut self) {
            self.entries.clear();
        }

        pub fn entries(&self) -> Vec<u64> {
            self.entries.clone()
        }
    }
}

#[tokio::test]
async fn each_difference_has_its_own_error_and_nothing_runs() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let client = Client::connect(&format!("http://{}", server.address()));
    let journal = client.get::<other::Journal>("x");
    let error = journal.clear().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.unknown_method", Outcome::NotStarted));
    // Without the types both would decode, the first one as another number.
    let error = journal.push(-5).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.undecodable", Outcome::NotStarted));
    assert!(
        error.message().contains("(u64) -> u64") && error.message().contains("(i64) -> u64"),
        "{error}"
    );
    let error = journal.sized(vec![1]).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.undecodable", Outcome::NotStarted));
    assert!(error.message().contains("-> usize"), "{error}");
    assert_eq!(journal.entries().await.unwrap(), Vec::<u64>::new(), "what is the same goes on");
}

/// An older server takes bodies of JSON only, and says so of all others.
#[tokio::test]
async fn an_older_server_is_told_from_one_that_is_none() {
    let problem = r#"{"code":"request.wrong_type","outcome":"not_started","detail":"send JSON"}"#;
    let app = axum::Router::new().fallback(move || async move {
        let kind = [("content-type", "application/problem+json")];
        (axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE, kind, problem)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let journal = Client::connect(&format!("http://{address}")).get::<super::Journal>("x");
    let error = journal.push(1).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("server.foreign", Outcome::NotStarted));
    assert!(error.message().contains("one version"), "{error}");
}
