//! Whether one more call may come where only so many may be.

/// Decides. `there`: calls that are there, without this one.
///
/// # Errors
/// How many are there.
pub(crate) fn enter(there: usize, max: usize) -> Result<(), usize> {
    if there >= max { Err(there) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_enter_and_no_more() {
        let table = [(0, 1, Ok(())), (7, 8, Ok(())), (8, 8, Err(8)), (9, 8, Err(9))];
        for (there, max, expected) in table {
            assert_eq!(enter(there, max), expected, "{there} of {max}");
        }
    }
}
