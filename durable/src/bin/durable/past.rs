//! What `history` says of an object.

use durable::HistoryEntry;
use serde_json::{Value, json};

use crate::output::{Output, Table};

pub(crate) fn history(class: &str, who: &str, entries: &[HistoryEntry], limit: usize) -> Output {
    let mut table = Table::new(["commits", "stored at", "method", "bytes", "changed", "bookmark"]);
    for entry in entries {
        table.add([
            commits(entry),
            entry.at.to_string(),
            entry.cause.to_string(),
            entry.bytes.to_string(),
            changed(entry),
            entry.bookmark.to_string(),
        ]);
    }
    let is_last = entries.len() < limit;
    let mut text = table.text();
    if let Some(last) = entries.last() {
        let before = last.before;
        text.push_str(&match is_last {
            true => format!("back to {before}\n"),
            false => format!("more: --until {before}\n"),
        });
    }
    let rows: Vec<_> = entries.iter().map(row).collect();
    let json = json!({ "class": class, "who": who, "entries": rows, "is_last": is_last });
    Output::new(json, text)
}

/// The numbers of an entry's commits.
fn commits(entry: &HistoryEntry) -> String {
    let (first, last) = (entry.first_commit, entry.bookmark.commit());
    if first == last { last.to_string() } else { format!("{first}–{last}") }
}

/// What an entry's commits changed.
fn changed(entry: &HistoryEntry) -> String {
    let mut parts = Vec::new();
    if entry.has_struct {
        parts.push("struct".to_owned());
    }
    for (count, what) in [(entry.keys, "keys"), (entry.pages, "pages")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn row(entry: &HistoryEntry) -> Value {
    json!({
        "bookmark": entry.bookmark, "before": entry.before, "first_commit": entry.first_commit,
        "last_commit": entry.bookmark.commit(), "at_ms": entry.at.0, "cause": entry.cause.to_string(),
        "bytes": entry.bytes, "has_struct": entry.has_struct, "keys": entry.keys, "pages": entry.pages,
    })
}
