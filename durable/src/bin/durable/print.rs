//! What the commands say, but for `show`.

use std::io::{self, Write};
use std::path::Path;

use durable::{Backup, DataDirectory, Error, Listed, ObjectId, Verified};
use serde_json::json;

use crate::output::{Output, Table};

/// Says on the other channel why nothing was done.
pub(crate) fn complain(error: &str) -> io::Result<()> {
    writeln!(io::stderr(), "durable: {error}")
}

pub(crate) fn inspected(directory: &DataDirectory) -> Result<Output, Error> {
    let (summary, classes) = (directory.summary()?, directory.classes()?);
    let mut text = format!(
        "{}: format {}, {} objects, {} bytes in {} shards\n",
        directory.path().display(),
        summary.format,
        summary.objects,
        summary.bytes,
        summary.shards.len()
    );
    if let Some(holder) = &summary.holder {
        text.push_str(&format!("last held by {holder}\n"));
    }
    let mut shards = Table::new(["shard", "objects", "bytes", "boots"]);
    for shard in &summary.shards {
        let numbers = [shard.index.into(), shard.objects, shard.bytes, shard.boots];
        shards.add(numbers.map(|number| number.to_string()));
    }
    let mut table = Table::new(["class", "number", "objects", "schemas", "ids made with"]);
    for class in &classes {
        let name = class.name.clone().unwrap_or_else(|| "(deleted)".to_owned());
        let schemas = class.fingerprints.len().to_string();
        let (number, objects) = (class.number.to_string(), class.objects.to_string());
        table.add([name, number, objects, schemas, class.origin.clone()]);
    }
    text.push_str(&format!("\n{}\n{}", shards.text(), table.text()));
    let shards = summary.shards.iter().map(|shard| {
        json!({ "index": shard.index, "objects": shard.objects, "bytes": shard.bytes, "boots": shard.boots })
    });
    let classes = classes.iter().map(|class| {
        let prints = class.fingerprints.iter().map(|print| format!("{:016x}", print.0));
        json!({
            "number": class.number, "name": class.name, "origin": class.origin, "objects": class.objects,
            "fingerprints": prints.collect::<Vec<_>>(),
        })
    });
    let json = json!({
        "path": directory.path(), "format": summary.format, "objects": summary.objects,
        "bytes": summary.bytes, "holder": summary.holder, "shards": shards.collect::<Vec<_>>(),
        "classes": classes.collect::<Vec<_>>(),
    });
    Ok(Output::new(json, text))
}

/// `after`: the id of an object of the class.
pub(crate) fn listed(
    directory: &DataDirectory,
    class: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Output, Error> {
    let after = after.map(|id| place_of(directory, class, id)).transpose()?;
    let objects = directory.objects(class, prefix, after.as_ref(), limit)?;
    let mut table = Table::new(["id", "name"]);
    for object in &objects {
        table.add([object.id().to_string(), object.name().unwrap_or_default().to_owned()]);
    }
    let is_last = objects.len() < limit;
    let mut text = table.text();
    if let (false, Some(last)) = (is_last, objects.last()) {
        text.push_str(&format!("more: --after {}\n", last.id()));
    }
    let rows: Vec<_> =
        objects.iter().map(|object| json!({ "id": object.id(), "name": object.name() })).collect();
    Ok(Output::new(json!({ "class": class, "objects": rows, "is_last": is_last }), text))
}

/// Where in a listing an object stands.
fn place_of(directory: &DataDirectory, class: &str, id: &str) -> Result<Listed, Error> {
    let id: ObjectId = id.parse()?;
    let name = directory.object(class, &id.to_string())?.and_then(|object| object.name);
    Ok(Listed::at(id, name))
}

pub(crate) fn copied(what: &str, to: &Path, made: Backup) -> Output {
    let Backup { shards, objects, bytes, .. } = made;
    let text =
        format!("{what} {}: {objects} objects, {bytes} bytes in {shards} shards\n", to.display());
    let made = json!({ "path": to, "shards": shards, "objects": objects, "bytes": bytes });
    Output::new(json!({ what: made }), text)
}

pub(crate) fn verified(verified: &Verified) -> Output {
    let Verified { problems, problems_left_out, shards, objects, keys, bytes, .. } = verified;
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("{problem}\n"));
    }
    if *problems_left_out > 0 {
        text.push_str(&format!("and {problems_left_out} more\n"));
    }
    let count = problems.len() as u64 + problems_left_out;
    let found = if count == 0 { "sound".to_owned() } else { format!("{count} problems") };
    text.push_str(&format!(
        "{found}: {shards} shards, {objects} objects, {keys} keys, {bytes} bytes\n"
    ));
    let rows = problems.iter().map(|problem| {
        json!({
            "kind": problem.kind.as_str(), "shard": problem.shard, "object": problem.object,
            "what": problem.what, "advice": problem.kind.advice(),
        })
    });
    let json = json!({
        "is_sound": verified.is_sound(), "problems": rows.collect::<Vec<_>>(), "problems_left_out": problems_left_out,
        "shards": shards, "objects": objects, "keys": keys, "bytes": bytes,
    });
    Output::new(json, text)
}
