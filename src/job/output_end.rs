//! The end of a run's output, as the lines of a failure record hold it: the end of stderr, then that of stdout if it
//! follows, then where the whole output is.

/// The line behind which the end of stdout follows.
pub const STDOUT_FOLLOWS: &str = "the end of its stdout:";
/// How the line begins that says where the whole output is.
const PLACE: &str = "its whole output is on ";

/// The line that says where the whole output is, and by which command it is printed.
#[must_use]
pub fn place(host: &str, path: &str, print: &str) -> String {
    format!("{PLACE}{host} in {path} ({print})")
}

/// Does this line say where the whole output is?
#[must_use]
pub fn is_place(line: &str) -> bool {
    line.starts_with(PLACE)
}

/// What the run wrote: the lines without those that Windlass added.
pub fn written(lines: &[String]) -> impl Iterator<Item = &str> {
    let lines = match lines.split_last() {
        Some((last, before)) if is_place(last) => before,
        _ => lines,
    };
    lines.iter().map(String::as_str).filter(|line| *line != STDOUT_FOLLOWS)
}

/// The last line of stderr that is not blank.
#[must_use]
pub fn last_of_stderr(lines: &[String]) -> Option<&str> {
    let stderr = lines.iter().position(|line| line == STDOUT_FOLLOWS).map_or(lines, |end| &lines[..end]);
    let is_said = |line: &&String| !line.trim().is_empty() && !is_place(line);
    stderr.iter().rev().find(is_said).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_wrote_is_told_from_what_was_added() {
        let all = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let place = place("web-1", "/var/out/7.x", "windlass jobs output 7");
        assert_eq!(place, "its whole output is on web-1 in /var/out/7.x (windlass jobs output 7)");
        for (lines, last, words) in [
            (all(&["a", "b", " "]), Some("b"), "a b  "),
            (all(&["a", STDOUT_FOLLOWS, "out", &place]), Some("a"), "a out"),
            (all(&[STDOUT_FOLLOWS, "out"]), None, "out"),
            (all(&["a", &place]), Some("a"), "a"),
            (all(&[&place]), None, ""),
            (all(&[]), None, ""),
        ] {
            assert_eq!(last_of_stderr(&lines), last, "{lines:?}");
            assert_eq!(written(&lines).collect::<Vec<_>>().join(" "), words, "{lines:?}");
        }
    }
}
