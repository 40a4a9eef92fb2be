use super::*;
use std::collections::BTreeSet;

#[test]
fn every_code_is_one_noun_and_one_adjective_and_stands_once() {
    let mut seen = BTreeSet::new();
    for code in Code::ALL {
        let (noun, adjective) = code.as_str().split_once('.').expect("a dot");
        assert!(noun.chars().all(|c| c.is_ascii_lowercase()), "{code}");
        assert!(adjective.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
        assert!(seen.insert(code.as_str()), "{code} stands twice");
    }
}

#[test]
fn the_errors_page_lists_every_code_with_its_kind_and_outcomes() {
    let page = include_str!("../../docs/errors.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), Code::ALL.len(), "one row for each code");
    for (code, row) in Code::ALL.iter().zip(rows) {
        let outcomes: Vec<_> = code.outcomes().iter().map(|it| format!("{it:?}")).collect();
        let begin = format!("| `{code}` | {:?} | {} | ", code.kind(), outcomes.join(", "));
        assert!(row.starts_with(&begin), "the row of `{code}` is to begin with `{begin}`: {row}");
    }
}

#[test]
fn no_outcome_of_a_code_stands_twice_and_the_first_is_the_usual_one() {
    for code in Code::ALL {
        let outcomes = code.outcomes();
        for (index, outcome) in outcomes.iter().enumerate() {
            assert!(!outcomes[..index].contains(outcome), "{code}: {outcome:?} stands twice");
        }
        assert_eq!(code.error("text").outcome(), outcomes[0]);
    }
}

#[test]
fn only_what_stops_and_what_is_far_leave_a_caller_without_certainty() {
    let unknown = Code::ALL.iter().filter(|code| code.outcomes().contains(&Outcome::Unknown));
    let unknown: Vec<_> = unknown.map(|code| code.as_str()).collect();
    let stops = ["runtime.closed", "storage.corrupt", "storage.failed", "storage.sync_failed"];
    assert_eq!(
        unknown,
        [&stops[..], &["supervisor.melted", "server.unreachable", "server.foreign"]].concat()
    );
}

#[test]
fn an_error_travels_without_loss() {
    for code in Code::ALL {
        let error = code.error("text").with_object("a.B(c)").with_outcome(Outcome::Unknown);
        let error = error.with_retry_after(Duration::from_millis(1_500));
        let bytes = postcard::to_stdvec(&error).expect("an error encodes");
        let arrived: Error = postcard::from_bytes(&bytes).expect("an error decodes");
        assert_eq!(format!("{arrived:?}"), format!("{error:?}"));
        assert_eq!(arrived.retry_after(), error.retry_after());
    }
}

#[test]
fn an_error_names_its_code_first() {
    let error = Code::ClassUnknown.error("class a.B is not registered");
    assert_eq!(error.to_string(), "class.unknown: class a.B is not registered");
}
