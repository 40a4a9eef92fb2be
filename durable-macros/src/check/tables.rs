//! The folder of `migrations = "…"`: numbered files of SQL, without a gap.

use std::path::Path;

use syn::LitStr;

use crate::errors::Errors;
use crate::model::TableMigration;

/// What a file is called.
const EXAMPLE: &str = "call it as in `0001_orders.sql`";

/// The migrations in the folder that `folder` names, from the crate's directory, by number.
pub(super) fn migrations(folder: Option<&LitStr>, errors: &mut Errors) -> Vec<TableMigration> {
    let Some(folder) = folder else { return Vec::new() };
    let read = list(&folder.value()).and_then(arrange);
    match read {
        Ok(files) => {
            let path =
                |file: &str| LitStr::new(&format!("/{}/{file}", folder.value()), folder.span());
            let migration = |(number, file): (u32, String)| {
                let name = file.split_once('_').expect("files were looked at").1;
                let name = name.strip_suffix(".sql").expect("files were looked at").to_owned();
                TableMigration { number, name, path: path(&file) }
            };
            files.into_iter().map(migration).collect()
        }
        Err(why) => {
            errors.at(folder, why);
            Vec::new()
        }
    }
}

/// The files of a folder, in no order.
fn list(folder: &str) -> Result<Vec<String>, String> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let unread = |why: &dyn std::fmt::Display| {
        format!(
            "the folder `{folder}` cannot be read: {why}; name it from the crate's directory, and put `0001_….sql` in it"
        )
    };
    let entries =
        Path::new(&root).join(folder).read_dir().map_err(|error| unread(&error.kind()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unread(&error))?;
        let file = entry.file_name().into_string().map_err(|_| unread(&"a name is not UTF-8"))?;
        // What editors and version control leave there.
        if !file.starts_with('.') {
            files.push(file);
        }
    }
    Ok(files)
}

/// The files by number, from 1 and without a gap.
fn arrange(files: Vec<String>) -> Result<Vec<(u32, String)>, String> {
    let mut numbered = Vec::with_capacity(files.len());
    for file in files {
        numbered.push((number_of(&file)?, file));
    }
    numbered.sort();
    if numbered.is_empty() {
        return Err(format!("the folder has no migration in it; put one there and {EXAMPLE}"));
    }
    for (expected, (number, file)) in (1..).zip(&numbered) {
        if *number < expected {
            let before = &numbered[expected as usize - 2].1;
            return Err(format!(
                "`{before}` and `{file}` have one number; give the newer one the next"
            ));
        }
        if *number > expected {
            return Err(format!(
                "migration {expected} is missing before `{file}`; number them from 1 without a gap"
            ));
        }
    }
    Ok(numbered)
}

fn number_of(file: &str) -> Result<u32, String> {
    let parts = file.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
    let number = parts.filter(|(digits, name)| digits.len() == 4 && !name.is_empty());
    let number = number.and_then(|(digits, _)| digits.parse::<u32>().ok()).filter(|it| *it > 0);
    number.ok_or_else(|| format!("`{file}` is not the name of a migration; {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(files: &[&str]) -> Result<Vec<u32>, String> {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        arrange(files).map(|files| files.into_iter().map(|(number, _)| number).collect())
    }

    #[test]
    fn migrations_are_numbered_from_one_without_a_gap() {
        assert_eq!(arranged(&["0002_b.sql", "0001_a.sql"]), Ok(vec![1, 2]));
        for (files, text) in [
            (&[] as &[&str], "no migration"),
            (&["0002_b.sql"], "migration 1 is missing before `0002_b.sql`"),
            (&["0001_a.sql", "0003_c.sql"], "migration 2 is missing before `0003_c.sql`"),
            (&["0001_a.sql", "0001_b.sql"], "`0001_a.sql` and `0001_b.sql` have one number"),
            (&["0000_a.sql", "0001_b.sql"], "`0000_a.sql` is not the name"),
            (&["1_a.sql"], "`1_a.sql` is not the name"),
            (&["0001.sql"], "is not the name"),
            (&["0001_a.txt"], "is not the name"),
        ] {
            let error = arranged(files).expect_err("refused");
            assert!(error.contains(text), "{files:?}: {error}");
        }
    }
}
