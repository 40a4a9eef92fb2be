//! What a test's body gives back.

use std::error::Error as StdError;
use std::fmt;

/// What a simulated test returns.
pub type TestResult<T = ()> = Result<T, TestError>;

/// Why a test did not go well. Any error becomes one by `?`.
pub struct TestError {
    check: String,
    text: String,
}

impl TestError {
    /// A failure that says `text`.
    pub fn new(text: impl Into<String>) -> Self {
        TestError { check: "test".to_owned(), text: text.into() }
    }

    pub(crate) fn of_check(check: impl Into<String>, text: impl Into<String>) -> Self {
        TestError { check: check.into(), text: text.into() }
    }

    pub(crate) fn check(&self) -> &str {
        &self.check
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<E: StdError + 'static> From<E> for TestError {
    fn from(error: E) -> Self {
        TestError { check: "test".to_owned(), text: error.to_string() }
    }
}

impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a test may return.
pub trait IntoResult {
    /// As a result.
    fn into_result(self) -> TestResult;
}

impl IntoResult for () {
    fn into_result(self) -> TestResult {
        Ok(())
    }
}

impl IntoResult for TestResult {
    fn into_result(self) -> TestResult {
        self
    }
}

impl<E: StdError + 'static> IntoResult for Result<(), E> {
    fn into_result(self) -> TestResult {
        self.map_err(TestError::from)
    }
}

/// What a condition may be: a truth, or a result that says why not.
pub trait Holds {
    /// `Err`: why it does not hold.
    fn holds(self) -> Result<(), String>;
}

impl Holds for bool {
    fn holds(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("it does not hold".to_owned()) }
    }
}

impl<E: fmt::Display> Holds for Result<(), E> {
    fn holds(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
