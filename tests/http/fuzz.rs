//! Bytes that are no requests, and requests that are nobody's: the server goes on serving, and nothing is reached by accident.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Account, Vault, served};

const REQUESTS: u64 = 10_240;
const CLIENTS: u64 = 16;

/// What is changed: right requests, and some that are wrong already.
const TEMPLATES: [&str; 10] = [
    "POST /edge.Account/fuzz/withdraw HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"cents\":1}",
    "GET /edge.Account/fuzz/above?cents=5&strictly=true HTTP/1.1\r\nhost: x\r\n\r\n",
    "POST /edge.Account/fuzz/nothing HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
     2\r\n{}\r\n0\r\n\r\n",
    "POST /edge.Vault/v/open HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    "POST /edge.Account/kept/seize HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
    // Which length holds, and whose the rest is.
    "POST /edge.Account/fuzz/nothing HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
     transfer-encoding: chunked\r\n\r\n0\r\n\r\nPOST /edge.Vault/v/open HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "POST /edge.Account/fuzz/nothing HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
     content-length: 3\r\n\r\n{} ",
    "GET /edge.Account/fuzz/balance HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\u{1}\u{2}\u{3}\u{4}",
    "POST /edge.Account/id:0000000000000000000000000000000000000000000000000000000000000000/deposit HTTP/1.1\r\nhost: x\r\n\
     content-type: application/json\r\nidempotency-key: k\r\ndurable-timeout: 5s\r\n\
     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ncontent-length: 11\r\n\r\n{\"cents\":1}",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"%",
    b"%00",
    b"..",
    b"/",
    b"\xff\xfe",
    b": ",
    b"{",
    b"[[[[[[[[",
    b"\"",
    b"-1",
    b"1e999",
    b"\r\ntransfer-encoding: chunked\r\n",
];

/// splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A request that somebody has spoilt.
fn spoilt(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = TEMPLATES[dice.below(TEMPLATES.len())].as_bytes().to_vec();
    for _ in 0..dice.below(5) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(24)).min(bytes.len());
        match dice.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let piece = PIECES[dice.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let random =
                    (0..dice.below(16)).map(|_| dice.next().to_le_bytes()[0]).collect::<Vec<_>>();
                bytes.splice(at..end, random);
            }
            5 => {
                let many = PIECES[dice.below(PIECES.len())].repeat(1 + dice.below(4_000));
                bytes.splice(at..at, many);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}

/// Sends it, and gives the statuses of all that it is answered.
async fn attack(address: SocketAddr, seed: u64) -> Vec<u16> {
    let attack = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // It may be closed while it is written to.
        let _ = stream.write_all(&spoilt(seed)).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), attack).await;
    let answer = answer.unwrap_or_else(|_| panic!("seed {seed}: the connection stays open"));
    let answer = String::from_utf8_lossy(&answer);
    let statuses = answer.split("HTTP/1.1 ").skip(1);
    statuses.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_spoilt_requests_leave_the_server_serving() {
    let served = served().await;
    let address = served.address();
    let kept = served.runtime.get::<Account>("kept");
    kept.deposit(77).await.unwrap();
    let clients = (0..CLIENTS).map(|client| async move {
        let mut seen = [0_u64; 6];
        for seed in (client..REQUESTS).step_by(CLIENTS as usize) {
            for status in attack(address, seed).await {
                assert!((200..600).contains(&status) && status != 500, "seed {seed}: {status}");
                seen[usize::from(status / 100)] += 1;
            }
        }
        seen
    });
    let seen = join_all(clients).await.into_iter().fold([0; 6], |mut all, one| {
        all.iter_mut().zip(one).for_each(|(all, one)| *all += one);
        all
    });
    // It would be no attack if nothing came through, or everything did.
    assert!(seen[2] > REQUESTS / 20 && seen[4] > REQUESTS / 4, "{seen:?}");
    assert_eq!(served.runtime.get::<Vault>("v").opened().await.unwrap(), 0);
    assert_eq!(kept.balance().await.unwrap(), 77);
    let reply = served.post("/edge.Account/after/deposit", r#"{"cents":1}"#).await;
    assert_eq!((reply.status, &*reply.body), (200, "1"));
}
