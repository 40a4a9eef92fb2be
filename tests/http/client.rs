//! A client that sends bytes as they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server has answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// One member of a problem, which this is.
    pub fn says(&self, member: &str) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("urn:durable:error:{code}"), "{self:?}");
        assert!(problem["title"].as_str().is_some_and(|title| title.ends_with('.')), "{self:?}");
        match &problem[member] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.says("code"))
    }
}

/// Posts JSON.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    post_with(address, path, "", body).await
}

/// Posts JSON with more headers, each ended.
pub async fn post_with(address: SocketAddr, path: &str, headers: &str, body: &str) -> Reply {
    ask(address, &posting(path, headers, body)).await
}

/// A request that posts JSON.
pub fn posting(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request over a connection of its own, and gives the answer.
pub async fn ask(address: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let is_head = request.starts_with("HEAD ");
    read(&mut stream, is_head).await.expect("it answers")
}

/// Reads one answer. `None`: the connection has ended before.
pub async fn read(stream: &mut TcpStream, is_head: bool) -> Option<Reply> {
    let reading = read_patiently(stream, is_head);
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it answers in time")
}

async fn read_patiently(stream: &mut TcpStream, is_head: bool) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if is_head { 0 } else { length }];
    stream.read_exact(&mut body).await.ok()?;
    Some(Reply { status, headers, body: String::from_utf8(body).unwrap() })
}
