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
fn every_code_stands_in_the_errors_page() {
    let page = include_str!("../../docs/errors.md");
    for code in Code::ALL {
        assert!(page.contains(&format!("`{code}`")), "docs/errors.md does not list `{code}`");
    }
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
