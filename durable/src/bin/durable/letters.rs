//! What `dead-letters` says and does.

use std::collections::BTreeMap;
use std::path::Path;

use durable::{DataDirectory, DeadLetter, DeadLetterId, Error, Metadata};
use serde_json::{Value, json};

use crate::args::LettersCommand;
use crate::output::{Output, Table};

pub(crate) fn run(dir: &Path, command: &LettersCommand) -> Result<Output, Error> {
    let directory = DataDirectory::open(dir)?;
    match command {
        LettersCommand::List { after } => {
            let after = after.as_deref().map(str::parse).transpose()?;
            Ok(listed(&directory.dead_letters(after)?))
        }
        LettersCommand::Retry { letter } => {
            let letter: DeadLetterId = letter.parse()?;
            directory.retry_dead_letter(letter)?;
            let text =
                format!("dead letter {letter} is what it was again; it runs at the next start\n");
            Ok(Output::new(json!({ "retried": letter.to_string() }), text))
        }
        LettersCommand::Drop { letter } => {
            let letter: DeadLetterId = letter.parse()?;
            directory.drop_dead_letter(letter)?;
            let text = format!("dead letter {letter} is gone\n");
            Ok(Output::new(json!({ "dropped": letter.to_string() }), text))
        }
    }
}

fn listed(letters: &[DeadLetter]) -> Output {
    let mut table = Table::new(["letter", "object", "kind", "attempts", "at", "metadata", "error"]);
    for letter in letters {
        let DeadLetter { id, class, object, name, kind, error, at, attempts, .. } = letter;
        let label = name.clone().unwrap_or_else(|| object.to_string());
        let object = format!("{class}({})", label.escape_debug());
        let (at, error) = (format!("{} ms", at.0), error.escape_debug().to_string());
        let kind = match &letter.schedule {
            Some(name) => format!("{kind} {}", name.escape_debug()),
            None => kind.to_string(),
        };
        let metadata = match &letter.metadata {
            Ok(metadata) => metadata_text(metadata),
            Err(error) => format!("unusable: {}", error.escape_debug()),
        };
        table.add([id.to_string(), object, kind, attempts.to_string(), at, metadata, error]);
    }
    let last = letters.last().map(|letter| letter.id.to_string());
    let json =
        json!({ "dead_letters": letters.iter().map(letter).collect::<Vec<_>>(), "last": last });
    let text = if letters.is_empty() { "no dead letters\n".to_owned() } else { table.text() };
    Output::new(json, text)
}

/// `-`: there is none.
fn metadata_text(metadata: &Metadata) -> String {
    let entries = metadata.iter().map(|(key, value)| format!("{key}={}", value.escape_debug()));
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() { "-".to_owned() } else { entries.join(" ") }
}

fn letter(letter: &DeadLetter) -> Value {
    let metadata =
        letter.metadata.as_ref().map(|metadata| metadata.iter().collect::<BTreeMap<_, _>>());
    json!({
        "letter": letter.id.to_string(), "class": letter.class, "id": letter.object,
        "name": letter.name, "kind": letter.kind.to_string(), "error": letter.error,
        "at_ms": letter.at.0, "attempts": letter.attempts,
        "scheduled_at_ms": letter.scheduled_at.0, "schedule": letter.schedule,
        "method": letter.method, "metadata": metadata.as_ref().ok(),
        "metadata_error": metadata.as_ref().err(),
    })
}
