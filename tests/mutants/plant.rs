//! Plants mutants in the text of a file.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::Mutant;

/// What is wrong with the mutants themselves.
pub fn check(mutants: &[&Mutant]) -> Vec<String> {
    let (mut wrong, mut names) = (Vec::new(), BTreeSet::new());
    for Mutant { name, edits, found_by, .. } in mutants {
        if !names.insert(name) {
            wrong.push(format!("two mutants are called {name}; give one another name"));
        }
        if edits.is_empty() || found_by.is_empty() {
            wrong.push(format!("mutant {name} has no place, or no check that may find it"));
        }
        let switch = switch(name);
        if edits.iter().any(|edit| !edit.replace.contains(&switch)) {
            wrong.push(format!("mutant {name} is always there; put it behind `{switch}`"));
        }
    }
    wrong
}

fn switch(name: &str) -> String {
    format!("crate::mutant(\"{name}\")")
}

/// The text of `file` with every mutant in it.
///
/// # Errors
/// The mutants that do not apply to it.
pub fn plant(mutants: &[&Mutant], file: &str, text: &str) -> Result<String, String> {
    let (mut places, mut wrong) = (Vec::<(Range<usize>, &str, &str)>::new(), Vec::new());
    for (name, edit) in mutants.iter().flat_map(|mutant| {
        mutant.edits.iter().filter(|edit| edit.file == file).map(|edit| (mutant.name, edit))
    }) {
        let found: Vec<_> = text.match_indices(edit.find).map(|(start, _)| start).collect();
        let [start] = found[..] else {
            wrong.push(format!(
                "mutant {name} no longer applies to {file}; its text must occur once and occurs {} times, \
                 say where the bug is planted now:\n    {}",
                found.len(),
                edit.find.trim().replace('\n', "\n    ")
            ));
            continue;
        };
        places.push((start..start + edit.find.len(), edit.replace, name));
    }
    places.sort_by_key(|(place, ..)| place.start);
    for pair in places.windows(2) {
        if pair[0].0.end > pair[1].0.start {
            wrong.push(format!(
                "mutants {} and {} are planted in the same text of {file}; move one",
                pair[0].2, pair[1].2
            ));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let mut planted = text.to_owned();
    for (place, replace, _) in places.into_iter().rev() {
        planted.replace_range(place, replace);
    }
    Ok(planted)
}
