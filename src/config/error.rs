//! Problems of a file, with their location.
//!
//! A [`Problem`] reads `file:line:column: key: what was expected (found ...); did you mean "..."?`, so that an editor
//! can jump to it. All problems are collected: [`Problems`] shows them one a line.

use std::fmt;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file; or the flag or the environment variable that the value came from.
    pub file: String,
    /// The line, from 1; 0 if the problem has no location inside the file.
    pub line: usize,
    /// The column in characters, from 1; 0 if the problem has no location inside the file.
    pub column: usize,
    /// The key with the tables it stands in, such as `store.url`; empty if no key is concerned.
    pub key: String,
    /// What was expected, and what was found.
    pub message: String,
    /// A suggestion.
    pub suggestion: Option<String>,
    /// The number of problems that this one stands for: more than one where a file has more than anybody reads.
    pub stands_for: usize,
}

/// How many problems are told. The others are counted.
pub const MOST_TOLD: usize = 100;

/// The longest word for which a word that was probably meant is looked for.
const LONGEST_WORD: usize = 100;

impl Problem {
    /// A problem with a file as a whole, a flag or an environment variable.
    #[must_use]
    pub fn of_source(source: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            file: source.to_string(),
            line: 0,
            column: 0,
            key: String::new(),
            message: message.into(),
            suggestion: None,
            stands_for: 1,
        }
    }

    /// The problems of a file that are not told.
    #[must_use]
    pub(super) fn rest(source: impl fmt::Display, number: usize) -> Self {
        let message = format!("{number} more problems, which are not told; correct the others first");
        Self { stands_for: number, ..Self::of_source(source, message) }
    }
}

/// Where a value stands, for those who judge it later. It is no part of what the value says, so that all places are equal.
#[derive(Debug, Clone)]
pub struct Place(Problem);

impl Place {
    /// That of this problem.
    #[must_use]
    pub fn of(problem: Problem) -> Self {
        Self(problem)
    }

    /// A problem with the value that stands there.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { message: message.into(), ..self.0.clone() }
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// The number of these problems, with those that one stands for.
#[must_use]
pub fn count(problems: &[Problem]) -> usize {
    problems.iter().map(|problem| problem.stands_for).sum()
}

/// The problems to tell: the first ones, and how many more there are.
#[must_use]
pub fn to_tell(problems: &[Problem]) -> (&[Problem], usize) {
    let (told, rest) = problems.split_at(problems.len().min(MOST_TOLD + 1));
    // One more than told would only be replaced by its number.
    let (told, rest) = if rest.is_empty() { (told, rest) } else { problems.split_at(MOST_TOLD) };
    (told, count(rest))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean \"{suggestion}\"?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// All problems, ordered by location. They are shown one a line, the first [`MOST_TOLD`] of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What is told of them, one by one.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let (told, rest) = to_tell(&self.0);
        let rest = (rest > 0).then(|| format!("{rest} more problems"));
        told.iter().map(ToString::to_string).chain(rest)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that is closest to a misspelt word.
///
/// Case, underscores and dashes do not count, so that another spelling of the right word is always found.
#[must_use]
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    if word.len() > LONGEST_WORD {
        return None;
    }
    let word = plain(word);
    let allowed = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_place_its_key_and_what_was_probably_meant() {
        let mut problem = Problem::of_source("tasks.toml", "unknown key");
        assert_eq!(problem.to_string(), "tasks.toml: unknown key");
        problem.line = 3;
        problem.column = 7;
        problem.key = "store.ulr".to_owned();
        problem.suggestion = Some("url".to_owned());
        assert_eq!(problem.to_string(), "tasks.toml:3:7: store.ulr: unknown key; did you mean \"url\"?");
        let all = Problems(vec![problem, Problem::of_source("--store", "no scheme")]);
        assert_eq!(
            all.to_string(),
            "tasks.toml:3:7: store.ulr: unknown key; did you mean \"url\"?\n--store: no scheme"
        );
    }

    #[test]
    fn more_problems_than_anybody_reads_are_counted() {
        let problems = |number| Problems((0..number).map(|_| Problem::of_source("a.toml", "bad")).collect());
        assert_eq!(problems(MOST_TOLD + 1).to_string().lines().count(), MOST_TOLD + 1);
        let mut many = problems(200);
        many.0.push(Problem::rest("b.toml", 50));
        assert_eq!(many.to_string().lines().count(), MOST_TOLD + 1);
        assert!(many.to_string().ends_with("\n150 more problems"), "{many}");
        assert_eq!(count(&many.0), 250);
    }

    #[test]
    fn only_what_is_close_is_suggested() {
        let words = ["queues", "timeout", "min_task_processors"];
        assert_eq!(closest("queus", words), Some("queues"));
        assert_eq!(closest("MIN-TASK-PROCESORS", words), Some("min_task_processors"));
        assert_eq!(closest("colour", words), None);
        assert_eq!(closest("x", ["y"]), None);
        // The comparison takes time and room by the lengths of both words.
        assert_eq!(closest(&"_".repeat(4_000_000), words), None);
    }
}
