//! The program `durable`, as it is run.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use durable::prelude::*;
use serde_json::Value;

#[derive(Default, DurableState)]
pub struct Journal {
    lines: u64,
}

#[durable_object(name = "cli.Journal", history)]
impl Journal {
    pub fn write(&mut self, cx: &mut Context<'_, Self>, line: String) -> Result<u64, Error> {
        self.lines += 1;
        cx.kv().put(format!("line/{}", self.lines), &line)?;
        Ok(self.lines)
    }

    pub fn lines(&self) -> u64 {
        self.lines
    }
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

async fn journals(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<Journal>().start().await.unwrap()
}

/// What a command says, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one object on one line: {}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }
}

fn durable(args: &[&dyn AsRef<OsStr>]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_durable"))
        .args(args.iter().map(|arg| arg.as_ref()))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn a_running_directory_is_inspected_listed_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let runtime = journals(data).await;
    for name in ["a", "b", "c"] {
        runtime.get::<Journal>(name).write("fog".to_owned()).await.unwrap();
    }
    let said = durable(&[&"inspect", &data]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("format 1, 3 objects"), "{}", said.out);
    assert!(said.out.contains("cli.Journal  1       3"), "{}", said.out);
    let json = durable(&[&"inspect", &data, &"--json"]).json();
    assert_eq!((&json["objects"], &json["classes"][0]["name"]), (&3.into(), &"cli.Journal".into()));
    assert!(json["holder"].as_str().unwrap().contains("pid"));

    let json = durable(&[&"--json", &"list", &data, &"cli.Journal", &"--limit", &"2"]).json();
    assert_eq!((&json["objects"][1]["name"], &json["is_last"]), (&"b".into(), &false.into()));
    let last = json["objects"][1]["id"].as_str().unwrap();
    let said = durable(&[&"list", &data, &"cli.Journal", &"--after", &last]);
    let c = runtime.get::<Journal>("c").id().unwrap();
    assert_eq!(said.out.lines().skip(1).collect::<Vec<_>>(), [format!("{c}  c")]);

    for who in ["c".to_owned(), c.to_string()] {
        let said = durable(&[&"show", &data, &"cli.Journal", &who]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(
            said.out.contains("commits       1\n") && said.out.contains("line/1"),
            "{}",
            said.out
        );
        let json = durable(&[&"show", &data, &"cli.Journal", &who, &"--json"]).json();
        assert_eq!(json["object"]["state"]["bytes_hex"], "01");
        assert_eq!(json["object"]["state"]["value"]["lines"], 1);
        assert!(said.out.contains("\"lines\": 1\n"), "{}", said.out);
        assert_eq!(json["object"]["keys"][0]["key"], "line/1");
    }
    let d = runtime.get::<Journal>("d");
    for key in ["order-2", "order-1"] {
        d.write("rain".to_owned()).idempotency_key(key).await.unwrap();
    }
    let said = durable(&[&"show", &data, &"cli.Journal", &"d"]);
    assert!(said.out.contains("results       2\n"), "{}", said.out);
    assert!(said.out.contains("order-1          write   "), "{}", said.out);
    let json = durable(&[&"show", &data, &"cli.Journal", &"d", &"--json"]).json();
    let results = &json["object"]["results"];
    assert_eq!((&results[0]["key"], &results[1]["key"]), (&"order-1".into(), &"order-2".into()));
    assert_eq!((&results[0]["method"], &results[0]["error"]), (&"write".into(), &Value::Null));
    let kept_s = results[0]["until_ms"].as_u64().unwrap() / 1_000 - now_s();
    assert!((86_000..=86_400).contains(&kept_s), "for a day: {kept_s} s");
    let said = durable(&[&"show", &data, &"cli.Journal", &"nobody"]);
    assert_eq!((said.code, said.out.as_str()), (1, "cli.Journal has no object nobody\n"));
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_backup_is_made_verified_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name| dir.path().join(name);
    let (data, saved, again) = (path("data"), path("saved"), path("again"));
    let runtime = journals(&data).await;
    runtime.get::<Journal>("a").write("fog".to_owned()).await.unwrap();
    let said = durable(&[&"backup", &data, &saved, &"--json"]);
    assert_eq!((said.code, &said.json()["backup"]["objects"]), (0, &1.into()));
    let said = durable(&[&"backup", &data, &saved]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("durable: backup.exists: "), "{}", said.err);
    let said = durable(&[&"verify", &saved]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("sound: 1 shards, 1 objects, 1 keys"), "{}", said.out);
    let said = durable(&[&"restore", &saved, &again]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with("restored "), "{}", said.out);
    runtime.shutdown().await.unwrap();
    let runtime = journals(&again).await;
    assert_eq!(runtime.get::<Journal>("a").lines().await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_listed_and_told_by_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = journals(&data).await;
    runtime.get::<Journal>("a").write("fog".to_owned()).await.unwrap();
    runtime.shutdown().await.unwrap();
    fs::write(data.join("shards/001.db"), "").unwrap();
    let said = durable(&[&"verify", &data]);
    assert_eq!(said.code, 1);
    assert!(
        said.out.starts_with("file.unknown: shards/001.db is none of the 1 shards; "),
        "{}",
        said.out
    );
    let json = durable(&[&"verify", &data, &"--json"]).json();
    assert_eq!(
        (&json["is_sound"], &json["problems"][0]["kind"]),
        (&false.into(), &"file.unknown".into())
    );
    fs::remove_file(data.join("shards/000.db")).unwrap();
    let said = durable(&[&"inspect", &data]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("storage.corrupt"), "{}", said.err);
}

/// Fails whenever it rings.
#[derive(Default, DurableState)]
pub struct Broken;

#[durable_object(name = "cli.Broken", alarm_retries = 0)]
impl Broken {
    pub fn set(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        cx.alarm().set(durable::WallMs(at));
    }

    pub fn refuse(&mut self) -> Result<(), String> {
        Err("never".to_owned())
    }

    #[alarm]
    fn ring(&mut self) -> Result<(), String> {
        Err("no\nbell".to_owned())
    }
}

#[tokio::test]
async fn dead_letters_are_listed_retried_and_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let start = || async { Runtime::builder(data).register::<Broken>().start().await.unwrap() };
    let runtime = start().await;
    let late = 4_102_444_800_000;
    for name in ["a", "b"] {
        let broken = runtime.get::<Broken>(name);
        broken.set(late).await.unwrap();
        let shown = durable(&[&"show", &data, &"cli.Broken", &name]);
        assert!(shown.out.contains("alarm         due at 4102444800000 ms"), "{}", shown.out);
        runtime.run_alarm(broken.id().unwrap()).await.unwrap_err();
    }
    let said = durable(&[&"dead-letters", &data, &"list"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("0-1     cli.Broken(a)  alarm  1"), "{}", said.out);
    assert!(said.out.contains(r"no\nbell"), "{}", said.out);
    let json = durable(&[&"dead-letters", &data, &"list", &"--after", &"0-1", &"--json"]).json();
    let letters = json["dead_letters"].as_array().unwrap();
    assert_eq!((letters.len(), &letters[0]["name"]), (1, &"b".into()));
    assert_eq!(letters[0]["scheduled_at_ms"], late);
    let said = durable(&[&"dead-letters", &data, &"drop", &"0-1"]);
    assert_eq!(said.code, 2, "somebody runs it");
    assert!(said.err.contains("storage.locked"), "{}", said.err);
    runtime.shutdown().await.unwrap();
    let said = durable(&[&"dead-letters", &data, &"drop", &"0-1"]);
    assert_eq!((said.code, said.out.as_str()), (0, "dead letter 0-1 is gone\n"));
    let said = durable(&[&"dead-letters", &data, &"drop", &"0-1"]);
    assert!(said.err.contains("letter.unknown"), "{}", said.err);
    let said = durable(&[&"dead-letters", &data, &"retry", &"0-2", &"--json"]);
    assert_eq!((said.code, &said.json()["retried"]), (0, &"0-2".into()));
    let shown = durable(&[&"show", &data, &"cli.Broken", &"b", &"--json"]).json();
    assert_eq!(shown["object"]["alarm"]["scheduled_at_ms"], late);
    assert_eq!(shown["object"]["dead_letters"], 0);
    let runtime = start().await;
    while runtime.dead_letters(None).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let letters = runtime.dead_letters(None).await.unwrap();
    assert_eq!(letters[0].id.to_string(), "0-3", "it has failed again");
    runtime.get::<Broken>("b").set(late).await.unwrap();
    runtime.shutdown().await.unwrap();
    let said = durable(&[&"dead-letters", &data, &"retry", &"0-3"]);
    assert!(said.err.contains("alarm.taken"), "{}", said.err);
    let said = durable(&[&"dead-letters", &data, &"retry", &"nonsense"]);
    assert!(said.err.contains("letter.unknown"), "{}", said.err);
}

#[tokio::test]
async fn a_dead_letter_of_a_send_is_listed_and_retried_with_what_it_carries() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let died = async |number: i64| {
        let runtime = Runtime::builder(data).register::<Broken>().start().await.unwrap();
        if number == 1 {
            let call = runtime.get::<Broken>("a").refuse().metadata("tenant", "acme");
            call.metadata("note", "a b").send().await.unwrap();
        }
        while runtime.dead_letters(None).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        runtime.shutdown().await.unwrap();
    };
    for number in 1..=2 {
        died(number).await;
        let said = durable(&[&"dead-letters", &data, &"list"]);
        assert!(said.out.contains("note=a b tenant=acme  "), "{}", said.out);
        let json = durable(&[&"dead-letters", &data, &"list", &"--json"]).json();
        let [letter] = &json["dead_letters"].as_array().unwrap()[..] else { panic!("{json}") };
        assert_eq!(letter["letter"], format!("0-{number}"));
        assert_eq!(letter["metadata"]["tenant"], "acme");
        assert_eq!(
            (&letter["metadata"]["note"], letter["metadata_error"].is_null()),
            (&"a b".into(), true)
        );
        let retried = durable(&[&"dead-letters", &data, &"retry", &format!("0-{number}")]);
        assert_eq!(retried.code, 0, "{}", retried.err);
    }
}

#[test]
fn a_wrong_command_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let said = durable(&[&"verify", &dir.path(), &"--json"]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (2, &"storage.missing".into()));
    for args in [&["verify"] as &[&str], &["wipe", "x"], &["list", "x", "y", "--limit", "many"]] {
        let args: Vec<_> = args.iter().map(|arg| arg as &dyn AsRef<OsStr>).collect();
        let said = durable(&args);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.starts_with("error: "), "{}", said.err);
    }
    assert_eq!(durable(&[&"--help"]).code, 0);
}

#[tokio::test]
async fn a_history_is_listed_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let runtime = journals(data).await;
    let journal = runtime.get::<Journal>("a");
    for line in ["fog", "sun", "rain"] {
        journal.write(line.to_owned()).await.unwrap();
    }
    let past = runtime.history(journal.id().unwrap(), None, 10).await.unwrap();
    let said = durable(&[&"history", &data, &"cli.Journal", &"a"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", said.out);
    for (line, entry) in lines[1..4].iter().zip(&past) {
        assert!(line.starts_with(&entry.bookmark.commit().to_string()), "{line}");
        assert!(line.contains("write") && line.contains("struct, 1 keys"), "{line}");
        assert!(line.ends_with(&entry.bookmark.to_string()), "{line}");
    }
    assert_eq!(lines[4], format!("back to {}", past[2].before));
    let page =
        durable(&[&"history", &data, &"cli.Journal", &"a", &"--limit", &"2", &"--json"]).json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
    assert_eq!(page["is_last"], false);
    assert_eq!(page["entries"][0]["bookmark"], past[0].bookmark.to_string());
    let until = page["entries"][1]["before"].as_str().unwrap().to_owned();
    let rest = durable(&[&"history", &data, &"cli.Journal", &"a", &"--until", &until, &"--json"]);
    assert_eq!(rest.json()["entries"][0]["last_commit"], 1);
    let shown = durable(&[&"show", &data, &"cli.Journal", &"a"]);
    assert!(shown.out.contains("history       back to commit 0"), "{}", shown.out);
    assert_eq!(durable(&[&"history", &data, &"cli.Journal", &"nobody"]).code, 1);
    let wrong = durable(&[&"history", &data, &"cli.Journal", &"a", &"--until", &"noon"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("bookmark.malformed"), "{}", wrong.err);
}

/// Crashes when it is told to.
#[derive(Default, DurableState)]
pub struct Bomb {}

#[durable_object(name = "cli.Bomb")]
impl Bomb {
    pub fn burst(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn quarantined_objects_are_listed_and_released() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = Runtime::builder(&data).register::<Bomb>().start().await.unwrap();
    let bomb = runtime.get::<Bomb>("b");
    for _ in 0..7 {
        bomb.burst().await.unwrap_err();
    }
    let id = bomb.id().unwrap().to_string();
    runtime.quarantined(None, None).await.unwrap();
    let json = durable(&[&"quarantine", &data, &"list", &"--json"]).json();
    assert_eq!(json["quarantined"][0]["id"], id);
    assert_eq!(json["quarantined"][0]["reason"], "on purpose");
    assert_eq!(durable(&[&"quarantine", &data, &"release", &id]).code, 2, "somebody runs it");
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let said = durable(&[&"quarantine", &data, &"list"]);
    assert!(said.out.contains("cli.Bomb(b)") && said.out.contains("on purpose"), "{}", said.out);
    let said = durable(&[&"quarantine", &data, &"release", &id]);
    assert_eq!((said.code, said.out), (0, format!("{id} runs again when the directory is run\n")));
    let said = durable(&[&"quarantine", &data, &"list"]);
    assert_eq!((said.code, said.out.as_str()), (0, "nothing is quarantined\n"));
}
