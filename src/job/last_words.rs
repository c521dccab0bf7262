//! What a program said last before it ended with an error: its status alone tells little.

/// The class of the error of a program that ended with another status than 0.
const STATUS: &str = "ExitStatus";

/// The last line that a program wrote to stderr, if that is what its failure is about: of an error of another class the last line
/// is a place in a stack.
#[must_use]
pub fn last_words<'b>(exception: Option<&str>, backtrace: &'b [String]) -> Option<&'b str> {
    let lines = backtrace.iter().rev().map(|line| line.trim());
    lines.into_iter().find(|line| !line.is_empty()).filter(|_| exception == Some(STATUS))
}
