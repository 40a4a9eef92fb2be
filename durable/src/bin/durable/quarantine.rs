//! What `quarantine` says and does.

use std::path::Path;

use durable::{DataDirectory, Error, ObjectId, Quarantined};
use serde_json::{Value, json};

use crate::args::QuarantineCommand;
use crate::output::{Output, Table};

pub(crate) fn run(dir: &Path, command: &QuarantineCommand) -> Result<Output, Error> {
    let directory = DataDirectory::open(dir)?;
    match command {
        QuarantineCommand::List { after } => {
            let after = after.as_deref().map(str::parse).transpose()?;
            Ok(listed(&directory.quarantined(after)?))
        }
        QuarantineCommand::Release { id } => {
            let id: ObjectId = id.parse()?;
            let was = directory.release(id)?;
            let text = match was {
                true => format!("{id} runs again when the directory is run\n"),
                false => format!("{id} was not quarantined\n"),
            };
            Ok(Output::new(json!({ "released": was, "id": id }), text))
        }
    }
}

fn listed(found: &[Quarantined]) -> Output {
    let mut table = Table::new(["object", "id", "since", "retry at", "failed trials", "reason"]);
    for one in found {
        let label = one.name.clone().unwrap_or_else(|| one.id.to_string());
        table.add([
            format!("{}({})", one.class, label.escape_debug()),
            one.id.to_string(),
            one.since.to_string(),
            one.retry_at.to_string(),
            one.failed_trials.to_string(),
            one.reason.escape_debug().to_string(),
        ]);
    }
    let last = found.last().map(|one| one.id.to_string());
    let json = json!({ "quarantined": found.iter().map(row).collect::<Vec<_>>(), "last": last });
    let text = if found.is_empty() { "nothing is quarantined\n".to_owned() } else { table.text() };
    Output::new(json, text)
}

fn row(one: &Quarantined) -> Value {
    json!({
        "id": one.id, "class": one.class, "name": one.name, "reason": one.reason,
        "since_ms": one.since.0, "retry_at_ms": one.retry_at.0, "failed_trials": one.failed_trials,
    })
}
