//! Values of every kind, there and back, and children.

use std::collections::BTreeMap;
use std::time::Duration;

use durable::http::{Server, serve};
use durable::prelude::*;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{ask, post, posting};

#[derive(Serialize, Deserialize)]
enum Shape {
    Round,
    Square { side: u8 },
}

#[derive(Serialize, Deserialize)]
struct All {
    small: i128,
    large: u128,
    least: i64,
    part: f64,
    bytes: Vec<u8>,
    by_number: BTreeMap<u32, String>,
    shapes: (Shape, Shape),
    nothing: Option<()>,
}

#[derive(Default, DurableState)]
struct Mirror {
    marks: u64,
}

#[durable_object(name = "edge.Mirror", http)]
impl Mirror {
    pub fn echo(&self, all: All) -> All {
        all
    }

    pub fn no_number(&self) -> f64 {
        f64::NAN
    }

    pub fn no_json(&mut self) -> BTreeMap<(u8, u8), u8> {
        self.marks += 1;
        BTreeMap::from([((1, 2), 3)])
    }

    pub fn long(&self, bytes: usize) -> String {
        "x".repeat(bytes)
    }

    pub fn mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    #[rpc(http = "GET")]
    pub fn marks(&self) -> u64 {
        self.marks
    }

    pub async fn child(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
        mark: bool,
    ) -> ObjectId {
        let child = cx.child::<Mirror>(name);
        if mark {
            child.mark().await.unwrap();
        }
        child.id().unwrap()
    }
}

async fn mirrors() -> (TempDir, Runtime, Server) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Mirror>().start().await.unwrap();
    let server = serve(&runtime, ([127, 0, 0, 1], 0)).await.unwrap();
    (dir, runtime, server)
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let (_dir, _runtime, server) = mirrors().await;
    let all = concat!(
        r#"{"small":-170141183460469231731687303715884105728,"#,
        r#""large":340282366920938463463374607431768211455,"#,
        r#""least":-9223372036854775808,"part":0.1,"bytes":[0,255],"#,
        r#""by_number":{"7":"seven","11":"\u0000ä"},"#,
        r#""shapes":["Round",{"Square":{"side":3}}],"nothing":null}"#
    );
    let reply = post(server.address(), "/edge.Mirror/m/echo", &format!("{{\"all\":{all}}}")).await;
    assert_eq!((reply.status, &*reply.body), (200, all));
    assert_eq!(post(server.address(), "/edge.Mirror/m/no_number", "").await.body, "null");
}

#[tokio::test]
async fn a_result_that_cannot_be_json_is_said_to_be_kept() {
    let (_dir, runtime, server) = mirrors().await;
    let reply = post(server.address(), "/edge.Mirror/m/no_json", "").await;
    assert_eq!(reply.problem(), (500, "call.unencodable".to_owned()));
    assert_eq!(reply.says("outcome"), "committed");
    assert_eq!(runtime.get::<Mirror>("m").marks().await.unwrap(), 1);
    let long = async |bytes: usize| {
        post(server.address(), "/edge.Mirror/m/long", &format!("{{\"bytes\":{bytes}}}")).await
    };
    let most = durable::limits::WIRE_BYTES_MAX - 2;
    assert_eq!(long(most).await.body.len(), most + 2);
    assert_eq!(long(most + 1).await.problem(), (500, "call.unencodable".to_owned()));
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_cut_off() {
    let (_dir, _runtime, server) = mirrors().await;
    let bytes = durable::limits::WIRE_BYTES_MAX - 2;
    let request = posting("/edge.Mirror/m/long", "", &format!("{{\"bytes\":{bytes}}}"));
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    // From here on time goes as fast as nothing happens.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    tokio::time::resume();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200") && rest.len() < bytes, "{}", rest.len());
}

#[tokio::test]
async fn a_child_is_reached_by_its_id_once_it_is_stored() {
    let (_dir, runtime, server) = mirrors().await;
    let child = async |name: &str, mark: bool| {
        let body = format!(r#"{{"name":"{name}","mark":{mark}}}"#);
        let reply = post(server.address(), "/edge.Mirror/parent/child", &body).await;
        reply.json().as_str().expect("an id").to_owned()
    };
    let marks = async |id: String| {
        runtime.evict(id.parse().unwrap()).await.unwrap();
        let path = format!("/edge.Mirror/id:{id}/marks");
        ask(server.address(), &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    };
    assert_eq!(marks(child("kept", true).await).await.body, "1");
    runtime.evict(runtime.get::<Mirror>("parent").id().unwrap()).await.unwrap();
    let reply = marks(child("never", false).await).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(reply.says("code"), "child.orphaned");
    let named = "GET /edge.Mirror/kept/marks HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(ask(server.address(), named).await.body, "0", "it is another object");
}
