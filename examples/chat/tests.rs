//! Rooms in simulated worlds, and what needs none.
#![allow(clippy::disallowed_methods, reason = "sockets come from the real world")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use durable_testing::prelude::*;
use frames::{parameter, to_name, to_text};
use futures_util::{SinkExt, StreamExt};
use pace::Paces;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const DAY: Duration = Duration::from_secs(86_400);

#[durable_testing::test(runtime = rooms, seeds = 60)]
async fn a_message_that_is_said_again_is_stored_once(sim: Sim) -> TestResult {
    let room = sim.get::<Room>("hall");
    sim.faults(Faults::all().power_cuts(1..3));
    let said = sim.clients(3, async |client| {
        let mut acknowledged = Vec::new();
        for number in 0..5 {
            let (name, id) = (*client.pick(&["ada", "bob"]), number.to_string());
            for _ in 0..3 {
                let say = room.say(name.to_owned(), id.clone(), "hello".to_owned());
                if let Ok(seq) = say.await {
                    acknowledged.push((seq, name.to_owned(), id.clone()));
                }
            }
        }
        acknowledged
    });
    let acknowledged: Vec<_> = said.await.into_iter().flatten().collect();
    sim.heal().await?;
    let stored = room.messages(0).await?;
    let ids: BTreeSet<_> = stored.iter().map(|said| (&said.name, &said.id)).collect();
    assert_eq!(ids.len(), stored.len(), "none is there twice");
    for (seq, name, id) in acknowledged {
        let is_it = |said: &&frames::Said| said.seq == seq && said.name == name && said.id == id;
        assert!(stored.iter().any(|said| is_it(&said)), "{seq} of {name} is lost");
    }
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

#[durable_testing::test(runtime = rooms, seeds = 1)]
async fn messages_go_after_thirty_days_and_their_numbers_with_them(sim: Sim) -> TestResult {
    let room = sim.get::<Room>("hall");
    let say = async |id: &str| room.say("ada".to_owned(), id.to_owned(), "hello".to_owned()).await;
    let kept = async || -> Result<Vec<i64>, Error> {
        Ok(room.messages(0).await?.iter().map(|said| said.seq).collect())
    };
    assert_eq!(say("a").await?, 1);
    sim.advance(20 * DAY).await;
    assert_eq!(say("b").await?, 2);
    assert_eq!(kept().await?, [1, 2]);
    sim.advance(12 * DAY).await;
    assert_eq!(kept().await?, [2]);
    sim.advance(20 * DAY).await;
    assert!(kept().await?.is_empty());
    assert!(sim.alarm(&room)?.is_none(), "a room in which nothing was said is left alone");
    assert_eq!(say("c").await?, 3);
    Ok(())
}

#[durable_testing::test(runtime = rooms, seeds = 1)]
async fn the_newest_ten_thousand_stay(sim: Sim) -> TestResult {
    let room = sim.get::<Room>("hall");
    for number in 1..=10_003 {
        room.say("ada".to_owned(), number.to_string(), "hello".to_owned()).relaxed().await?;
    }
    assert_eq!(room.messages(0).await?.len(), 200, "a page of them, the newest");
    sim.run_alarm(&room).await?;
    // What has gone is not known any more.
    let again = async |id: &str| room.say("ada".to_owned(), id.to_owned(), "".to_owned()).await;
    assert_eq!((again("4").await?, again("3").await?), (4, 10_004));
    Ok(())
}

#[tokio::test]
async fn a_room_out_of_memory_keeps_its_members_and_is_not_woken_by_pings() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = rooms(Runtime::builder(dir.path())).start().await.unwrap();
    let server = serve(&runtime, Some(0)).await.unwrap();
    let address = server.address();
    let enter = async |name: &str| {
        let url = format!("ws://{address}/chat.Room/hall/?name={name}");
        let mut socket = tokio_tungstenite::connect_async(url).await.unwrap().0;
        assert!(heard(&mut socket).await.contains("hello"));
        socket
    };
    let mut ada = enter("ada").await;
    let room = runtime.get::<Room>("hall");
    assert!(runtime.evict(room.id().unwrap()).await.unwrap());
    ada.send("ping".into()).await.unwrap();
    assert_eq!(heard(&mut ada).await, "pong");
    assert_eq!(runtime.resident_objects(), 0);
    let mut bob = enter("bob").await;
    assert_eq!(heard(&mut ada).await, r#"{"type":"joined","name":"bob"}"#);
    ada.send(r#"{"typing":true}"#.into()).await.unwrap();
    assert_eq!(heard(&mut bob).await, r#"{"type":"typing","name":"ada","typing":true}"#);
    assert!(runtime.list::<Room>().page().await.unwrap().is_empty(), "nothing is stored yet");
    assert!(runtime.evict(room.id().unwrap()).await.unwrap());
    ada.send(r#"{"say":"hello","id":"x"}"#.into()).await.unwrap();
    assert!(
        heard(&mut ada).await.starts_with(r#"{"type":"message","seq":1,"name":"ada","id":"x""#)
    );
    assert_eq!(runtime.list::<Room>().page().await.unwrap().len(), 1);
    runtime.shutdown().await.unwrap();
}

/// The text that comes next.
async fn heard(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> String {
    socket.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

#[test]
fn a_member_may_say_five_messages_at_once_and_then_one_a_second() {
    let mut paces = Paces::default();
    let now_ms = 1_700_000_000_000;
    assert!((0..5).all(|_| paces.take("ada", now_ms).is_ok()));
    assert_eq!(paces.take("ada", now_ms), Err(1_000));
    assert_eq!(paces.take("bob", now_ms), Ok(()));
    assert_eq!(paces.take("ada", now_ms + 999), Err(1));
    assert_eq!(paces.take("ada", now_ms + 1_000), Ok(()));
    assert_eq!(paces.take("ada", now_ms + 1_000), Err(1_000));
    // The clock was set back by a day.
    assert_eq!(paces.take("ada", now_ms - 86_400_000), Err(1_000));
    assert!((0..5).all(|_| paces.take("ada", now_ms + 60_000).is_ok()));
}

#[test]
fn names_and_texts_are_short_and_plain() {
    assert_eq!(to_name(" ada lovelace "), Some("ada lovelace"));
    let long = "é".repeat(32);
    assert_eq!(to_name(&long), Some(&*long));
    for name in ["", "  ", &"é".repeat(33), "a\nb", "\u{7f}"] {
        assert_eq!(to_name(name), None, "{name:?}");
    }
    assert_eq!(to_text(" a\u{0}\r\n\tb \n"), Ok("a\n\tb".to_owned()));
    assert!(to_text(&"é".repeat(2_000)).is_ok());
    assert!(to_text(&"é".repeat(2_001)).is_err() && to_text(" \u{1} ").is_err());
}

#[test]
fn a_query_is_read_without_its_escapes() {
    let query = "name=a%C3%A9+b%26c&since=41&none&bad=%e9&cut=%4";
    assert_eq!(parameter(query, "name").as_deref(), Some("aé b&c"));
    assert_eq!(parameter(query, "since").as_deref(), Some("41"));
    for name in ["none", "bad", "cut", "ame"] {
        assert_eq!(parameter(query, name), None, "{name}");
    }
}

#[test]
fn the_frames_are_what_clients_expect() {
    use frames::{Frame, Said};
    let text = |frame: Frame<'_>| frame.to_message().unwrap().as_text().unwrap().to_owned();
    let said = Said { seq: 7, name: "ada".into(), id: "x".into(), text: "<b>".into(), at_ms: 5 };
    assert_eq!(
        text(Frame::Message { said: &said }),
        r#"{"type":"message","seq":7,"name":"ada","id":"x","text":"<b>","at_ms":5}"#
    );
    assert_eq!(
        text(Frame::Slow { id: "x", wait_ms: 900 }),
        r#"{"type":"slow","id":"x","wait_ms":900}"#
    );
    assert_eq!(
        text(Frame::Refused { id: None, why: "no" }),
        r#"{"type":"refused","id":null,"why":"no"}"#
    );
}
