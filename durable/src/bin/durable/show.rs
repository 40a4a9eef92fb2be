//! What `show` says of an object.

use durable::{KeptCall, ScheduleView, StoredObject, StoredState};
use serde_json::{Value, json};

use crate::output::{Output, Table};

pub(crate) fn object(object: &StoredObject) -> Output {
    let StoredObject { id, name, class, placement, shard, born, epoch, commits, .. } = object;
    let mut lines = vec![
        ("class", class.clone()),
        ("id", id.to_string()),
        ("name", name.as_deref().unwrap_or("(none)").to_owned()),
        ("shard", shard.to_string()),
        ("born", format!("{} ms since 1970", born.0)),
        ("commits", commits.to_string()),
        ("epoch", epoch.to_string()),
    ];
    let places =
        [("jurisdiction", &placement.jurisdiction), ("location hint", &placement.location_hint)];
    for (what, place) in places {
        lines.extend(place.as_deref().map(|place| (what, place.to_owned())));
    }
    match &object.state {
        Ok(state) => {
            lines.push(("version", state.version.to_string()));
            lines.push(("fingerprint", format!("{:016x}", state.fingerprint.0)));
            lines.push(("state", format!("{} bytes", state.bytes.len())));
            lines.extend(state_lines(state));
        }
        Err(error) => lines.push(("state", format!("unusable: {error}"))),
    }
    if let Some(alarm) = object.alarm {
        let retries = alarm.retry_count;
        let text =
            format!("due at {}, set to {}, {retries} retries", alarm.due, alarm.scheduled_at);
        lines.push(("alarm", text));
    }
    lines.extend(schedule_lines(object));
    if object.dead_letters > 0 {
        lines.push(("dead letters", object.dead_letters.to_string()));
    }
    let (count, bytes) = (object.keys_count, object.values_bytes);
    lines.push(("keys", format!("{count} with {bytes} bytes")));
    if object.results_count > 0 {
        lines.push(("results", object.results_count.to_string()));
    }
    let past = match &object.history {
        Some((commit, at)) => format!("back to commit {commit}, before {} ms since 1970", at.0),
        None => "none is kept".to_owned(),
    };
    lines.push(("history", past));
    let mut text = String::new();
    for (what, value) in lines {
        text.push_str(&format!("{what:14}{value}\n"));
    }
    if !object.keys.is_empty() {
        text.push_str(&format!("\n{}", keys_text(object)));
    }
    if !object.results.is_empty() {
        text.push_str(&format!("\n{}", results_text(object)));
    }
    Output::new(json!({ "object": object_json(object) }), text)
}

fn schedule_lines(object: &StoredObject) -> Vec<(&'static str, String)> {
    let schedules = match &object.schedules {
        Ok(schedules) => schedules,
        Err(error) => return vec![("schedules", format!("unusable: {error}"))],
    };
    let line = |view: &ScheduleView| {
        let ScheduleView { name, when, method, scheduled_at, due, retry_count, .. } = view;
        let name = name.escape_debug();
        let text = format!(
            "{name}: {when}, calls {method}, due at {due} for {scheduled_at}, {retry_count} retries"
        );
        ("schedule", text)
    };
    schedules.iter().map(line).collect()
}

fn schedules_json(object: &StoredObject) -> Value {
    let schedule = |view: &ScheduleView| {
        json!({
            "name": view.name, "when": view.when.to_string(), "method": view.method,
            "scheduled_at_ms": view.scheduled_at.0, "due_ms": view.due.0,
            "retry_count": view.retry_count,
        })
    };
    match &object.schedules {
        Ok(schedules) => schedules.iter().map(schedule).collect(),
        Err(error) => json!({ "error": error }),
    }
}

fn keys_text(object: &StoredObject) -> String {
    let mut table = Table::new(["key", "bytes"]);
    for key in &object.keys {
        table.add([key.key.to_string(), key.bytes.to_string()]);
    }
    let mut text = table.text();
    let left = object.keys_count - object.keys.len() as u64;
    if left > 0 {
        text.push_str(&format!("and {left} more\n"));
    }
    text
}

fn results_text(object: &StoredObject) -> String {
    let mut table = Table::new(["idempotency key", "method", "kept until"]);
    for result in &object.results {
        table.add(match result {
            Ok(KeptCall { key, method, until, .. }) => {
                [key.escape_debug().to_string(), method.clone(), until.to_string()]
            }
            Err(error) => [format!("unusable: {error}"), String::new(), String::new()],
        });
    }
    let mut text = table.text();
    let left = object.results_count.saturating_sub(object.results.len() as u64);
    if left > 0 {
        text.push_str(&format!("and {left} more\n"));
    }
    text
}

fn results_json(object: &StoredObject) -> Value {
    let result = |kept: &Result<KeptCall, String>| match kept {
        Ok(KeptCall { key, method, until, .. }) => {
            json!({ "key": key, "method": method, "until_ms": until.0 })
        }
        Err(error) => json!({ "error": error }),
    };
    object.results.iter().map(result).collect()
}

fn object_json(object: &StoredObject) -> Value {
    let keys = object.keys.iter().map(|key| {
        json!({ "key": key.key.as_str(), "key_hex": hex(key.key.as_bytes()), "bytes": key.bytes })
    });
    let (state, state_error) = match &object.state {
        Ok(state) => (state_json(state), Value::Null),
        Err(error) => (Value::Null, json!(error)),
    };
    let alarm = object.alarm.map(|alarm| {
        json!({
            "due_ms": alarm.due.0, "scheduled_at_ms": alarm.scheduled_at.0,
            "retry_count": alarm.retry_count,
        })
    });
    json!({
        "id": object.id, "name": object.name.as_deref(), "class": object.class,
        "shard": object.shard, "born_ms": object.born.0, "commits": object.commits,
        "epoch": object.epoch,
        "jurisdiction": object.placement.jurisdiction.as_deref(),
        "location_hint": object.placement.location_hint.as_deref(),
        "state": state, "state_error": state_error, "alarm": alarm,
        "schedules": schedules_json(object), "dead_letters": object.dead_letters,
        "keys_count": object.keys_count, "values_bytes": object.values_bytes,
        "keys": keys.collect::<Vec<_>>(),
        "results_count": object.results_count, "results": results_json(object),
        "history": object.history.map(|(commit, at)| json!({ "back_to_commit": commit, "next_at_ms": at.0 })),
    })
}

/// A state as people read it: decoded, or, if that cannot be, its schema and its bytes.
fn state_lines(state: &StoredState) -> Vec<(&'static str, String)> {
    match state.value() {
        Ok(value) => {
            let text = serde_json::to_string_pretty(&value).expect("values of states are plain");
            // The first column stays free.
            vec![("", text.replace('\n', &format!("\n{:14}", "")))]
        }
        Err(error) => {
            let schema = state.schema.as_deref().map_or_else(|| "not stored".to_owned(), hex);
            vec![("unreadable", error), ("schema", schema), ("bytes", hex(&state.bytes))]
        }
    }
}

/// A state as programs read it.
fn state_json(state: &StoredState) -> Value {
    let (value, error) = match state.value() {
        Ok(value) => (json!(value), Value::Null),
        Err(error) => (Value::Null, json!(error)),
    };
    json!({
        "version": state.version, "fingerprint": format!("{:016x}", state.fingerprint.0),
        "value": value, "value_error": error,
        "schema_hex": state.schema.as_deref().map(hex), "bytes_hex": hex(&state.bytes),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
