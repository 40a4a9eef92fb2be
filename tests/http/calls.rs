//! Calls and what they give.

use std::time::Duration;

use durable::Stub;
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{ask, post_with, posting, read};
use crate::{Account, Booth, served, served_as};

#[tokio::test]
async fn a_call_by_json_gives_json() {
    let served = served().await;
    let reply = served.post("/edge.Account/ada/deposit", r#"{"cents": 500}"#).await;
    assert_eq!((reply.status, &*reply.body), (200, "500"));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let ada = served.runtime.get::<Account>("ada");
    assert_eq!(ada.balance().await.unwrap(), 500, "it is the object that the program knows");
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "500");
    let head = "HEAD /edge.Account/ada/balance HTTP/1.1\r\nhost: x\r\n\r\n";
    let head = ask(served.address(), head).await;
    assert_eq!((head.status, &*head.body, &*head.headers["content-length"]), (200, "", "3"));
    for body in ["", "{}", " { } "] {
        let reply = served.post("/edge.Account/ada/nothing", body).await;
        assert_eq!((reply.status, &*reply.body), (200, "null"), "{body:?}");
    }
    let most = served.post("/edge.Account/bob/deposit", r#"{"cents":18446744073709551615}"#).await;
    assert_eq!(most.body, u64::MAX.to_string(), "integers are exact");
}

#[tokio::test]
async fn what_a_method_rejects_is_undone_and_told_as_it_is() {
    let served = served().await;
    served.post("/edge.Account/ada/deposit", r#"{"cents":5}"#).await;
    let reply = served.post("/edge.Account/ada/withdraw", r#"{"cents":7,"note":"x"}"#).await;
    assert_eq!(reply.problem(), (422, "call.rejected".to_owned()));
    assert_eq!(reply.json()["error"]["missing_cents"], 7);
    assert_eq!(reply.says("outcome"), "rolled_back");
    assert_eq!(reply.says("object"), "edge.Account(ada)");
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "5");
    let reply = served.post("/edge.Account/ada/withdraw", r#"{"cents":2}"#).await;
    assert_eq!((reply.status, &*reply.body), (200, "3"));
}

#[tokio::test]
async fn an_object_is_reached_by_any_name_and_by_its_id() {
    let served = served().await;
    let longest = "n".repeat(1_024);
    for (segment, name) in [
        ("ada", "ada"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2Fb%2f..", "a/b/.."),
        ("%E5%90%8D%F0%9F%90%99", "名🐙"),
        ("name:ada", "ada"),
        ("name:", ""),
        ("name:%2E%2E", ".."),
        ("name:id:5", "id:5"),
        ("%6Eame:name:x", "name:x"),
        (&longest, &longest),
    ] {
        let reply = served.post(&format!("/edge.Account/{segment}/called"), "").await;
        assert_eq!((reply.status, reply.json()), (200, name.into()), "{segment}");
    }
    let ada = served.runtime.get::<Account>("ada");
    ada.deposit(3).await.unwrap();
    let id = ada.id().unwrap();
    assert_eq!(served.get(&format!("/edge.Account/id:{id}/balance")).await.body, "3");

    let reply = served.post(&format!("/edge.Account/{longest}n/called"), "").await;
    assert_eq!(reply.problem(), (400, "name.too_long".to_owned()));
    for segment in ["id:5", "id:", "id:zz"] {
        let reply = served.post(&format!("/edge.Account/{segment}/called"), "").await;
        assert_eq!(reply.problem(), (400, "id.malformed".to_owned()), "{segment}");
    }
    let foreign = served.runtime.get::<Booth>(1).id().unwrap();
    let reply = served.post(&format!("/edge.Account/id:{foreign}/called"), "").await;
    assert_eq!(reply.problem(), (404, "id.foreign".to_owned()));
    for segment in ["%", "a%2", "%zz", "%ff"] {
        let reply = served.post(&format!("/edge.Account/{segment}/called"), "").await;
        assert_eq!(reply.problem(), (400, "request.malformed".to_owned()), "{segment}");
    }
}

#[tokio::test]
async fn a_typed_key_has_one_name() {
    let served = served().await;
    for segment in ["x", "-1", "007", "+7", "", "name:", "4294967296"] {
        let reply = served.post(&format!("/edge.Booth/{segment}/visit"), r#"{"ms":0}"#).await;
        let expected = if segment.is_empty() { "request.unknown_path" } else { "key.malformed" };
        assert_eq!(reply.says("code"), expected, "{segment}");
    }
    assert_eq!(served.post("/edge.Booth/7/visit", r#"{"ms":0}"#).await.body, "1");
    assert_eq!(served.runtime.get::<Booth>(7).visit(0).await.unwrap(), 2);
}

#[tokio::test]
async fn a_call_that_is_made_again_with_its_key_takes_effect_once() {
    let served = served().await;
    let again = async |key: &str, body: &str| {
        let key = format!("idempotency-key: {key}\r\n");
        post_with(served.address(), "/edge.Account/ada/deposit", &key, body).await
    };
    for key in ["order-17", "\"order-17\"", "order-17"] {
        assert_eq!(again(key, r#"{"cents":5}"#).await.body, "5", "{key}");
    }
    assert_eq!(again("order-18", r#"{"cents":5}"#).await.body, "10");
    let other = again("order-17", r#"{"cents":6}"#).await;
    assert_eq!(other.problem(), (422, "call.mismatched".to_owned()));
    assert_eq!(again("", r#"{"cents":6}"#).await.problem(), (400, "call.key_invalid".to_owned()));
    let twice = "a\r\nidempotency-key: b";
    let twice = again(twice, r#"{"cents":6}"#).await;
    assert_eq!(twice.problem(), (400, "request.malformed".to_owned()));
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "10");
}

#[tokio::test]
async fn a_call_has_as_much_time_as_it_is_given() {
    let served = served_as(|edge| edge.timeout_max(Duration::from_millis(300))).await;
    let slowly = async |timeout: &str| {
        let timeout = format!("durable-timeout: {timeout}\r\n");
        let body = r#"{"cents":1,"ms":20000}"#;
        post_with(served.address(), "/edge.Account/ada/deposit_slowly", &timeout, body).await
    };
    for timeout in ["50ms", "9h", "18446744073709551615h"] {
        let reply = slowly(timeout).await;
        assert_eq!(reply.problem(), (504, "call.expired".to_owned()), "{timeout}");
        assert_ne!(reply.says("outcome"), "committed");
    }
    for timeout in ["5", "s", "-1s", "1.5s", "5 s", "5sec", "", "99999999999999999999s"] {
        let reply = slowly(timeout).await;
        assert_eq!(reply.problem(), (400, "request.malformed".to_owned()), "{timeout:?}");
    }
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "0");
}

#[tokio::test]
async fn calls_without_a_time_have_the_usual_one() {
    let served = served_as(|edge| edge.timeout(Duration::from_millis(50))).await;
    let reply = served.post("/edge.Account/ada/deposit_slowly", r#"{"cents":1,"ms":20000}"#).await;
    assert_eq!(reply.problem(), (504, "call.expired".to_owned()));
}

#[tokio::test]
async fn a_trace_travels_with_the_call_unless_it_is_malformed() {
    let served = served().await;
    let carried = async |key: &str, headers: &str| {
        let body = format!(r#"{{"key":"{key}"}}"#);
        let reply = post_with(served.address(), "/edge.Account/ada/carried", headers, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json().as_str().map(str::to_owned)
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let whole = format!("traceparent: {parent}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
    assert_eq!(carried("traceparent", &whole).await.as_deref(), Some(parent));
    assert_eq!(carried("tracestate", &whole).await.as_deref(), Some("a=1,b=2"));
    let with_bad_state = format!("traceparent: {parent}\r\ntracestate: =\r\n");
    assert_eq!(carried("traceparent", &with_bad_state).await.as_deref(), Some(parent));
    assert_eq!(carried("tracestate", &with_bad_state).await, None);
    let twice = format!("traceparent: {parent}\r\ntraceparent: {parent}\r\n");
    for headers in ["", "traceparent: 00-0-0-01\r\n", "tracestate: a=1\r\n", &twice] {
        assert_eq!(carried("traceparent", headers).await, None, "{headers}");
    }
}

#[tokio::test]
async fn connections_call_beside_each_other() {
    let served = served().await;
    let clients = (0..64).map(|client| {
        let address = served.address();
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..20 {
                let path = format!("/edge.Account/{}/deposit", client % 4);
                let request = posting(&path, "", r#"{"cents":1}"#);
                stream.write_all(request.as_bytes()).await.unwrap();
                let reply = read(&mut stream, false).await.unwrap();
                assert_eq!(reply.status, 200, "{reply:?}");
            }
        }
    });
    join_all(clients).await;
    for name in ["0", "1", "2", "3"] {
        let balance = served.get(&format!("/edge.Account/{name}/balance")).await;
        assert_eq!(balance.body, "320", "each call took effect once");
    }
}

#[tokio::test]
async fn who_hangs_up_takes_back_what_has_not_begun() {
    let served = served().await;
    let begun = posting("/edge.Account/ada/deposit_slowly", "", r#"{"cents":1,"ms":500}"#);
    let waiting = posting("/edge.Account/ada/deposit", "", r#"{"cents":100}"#);
    let ada = served.runtime.get::<Account>("ada");
    ada.balance().await.unwrap();
    let mut first = TcpStream::connect(served.address()).await.unwrap();
    first.write_all(begun.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = TcpStream::connect(served.address()).await.unwrap();
    second.write_all(waiting.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop((first, second));
    assert_eq!(ada.deposit(10).await.unwrap(), 11, "one had begun, the other had not");
}
