//! Globs, as names of queues are matched: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, and `\` before a character that stands for itself.
//!
//! A name is no path: `*` matches every character. `**` is the same, but as a whole part between slashes it may also match
//! nothing: `a/**/b` matches `a/b`. All ways in which a name can match are followed at once, so that no pattern is slow.

use std::iter::Peekable;
use std::str::Chars;

/// How many groups may stand in each other.
const DEEPEST: usize = 50;

/// A glob.
#[derive(Debug, Clone)]
pub(super) struct Glob(Vec<Step>);

/// A step of the match. Behind the last one the name has matched.
#[derive(Debug, Clone)]
enum Step {
    /// Takes a character.
    One(Set),
    /// Goes on there.
    Jump(usize),
    /// Goes on with the next step, and there.
    Fork(usize),
}

#[derive(Debug, Clone)]
enum Set {
    All,
    /// The characters within any of the ranges, or with `true` those outside of all.
    Ranges(bool, Vec<(char, char)>),
}

impl Set {
    fn one(letter: char) -> Self {
        Self::Ranges(false, vec![(letter, letter)])
    }

    fn holds(&self, letter: char) -> bool {
        match self {
            Self::All => true,
            Self::Ranges(outside, ranges) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *outside
            }
        }
    }
}

/// A part of a pattern.
enum Part {
    One(Set),
    /// Any characters, or none.
    Any,
    /// One of these.
    Choice(Vec<Vec<Part>>),
    /// `**/` at the begin, and `/**/`.
    Before,
    Between,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        compile(&Reader::new(pattern).read()?, &mut steps);
        Ok(Self(steps))
    }

    pub(super) fn is_match(&self, name: &str) -> bool {
        let end = self.0.len();
        // Where the match may stand, and with which character it came there last.
        let (mut here, mut met) = (Vec::new(), vec![0_usize; end + 1]);
        self.reach(0, 1, &mut here, &mut met);
        for (letter, turn) in name.chars().zip(2..) {
            let mut next = Vec::new();
            for at in here {
                if let Some(Step::One(set)) = self.0.get(at)
                    && set.holds(letter)
                {
                    self.reach(at + 1, turn, &mut next, &mut met);
                }
            }
            if next.is_empty() {
                return false;
            }
            here = next;
        }
        here.contains(&end)
    }

    /// Adds the steps that are reached from one without a character.
    fn reach(&self, from: usize, turn: usize, found: &mut Vec<usize>, met: &mut [usize]) {
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let Some(last) = met.get_mut(at) else { continue };
            if std::mem::replace(last, turn) == turn {
                continue;
            }
            match self.0.get(at) {
                Some(Step::Jump(there)) => open.push(*there),
                Some(Step::Fork(there)) => open.extend([at + 1, *there]),
                Some(Step::One(_)) | None => found.push(at),
            }
        }
    }
}

fn compile(parts: &[Part], steps: &mut Vec<Step>) {
    for part in parts {
        match part {
            Part::One(set) => steps.push(Step::One(set.clone())),
            Part::Any => {
                let begin = steps.len();
                steps.extend([Step::Fork(begin + 3), Step::One(Set::All), Step::Jump(begin)]);
            }
            Part::Choice(branches) => choose(branches, steps),
            Part::Before => choose(&[Vec::new(), vec![Part::Any, slash()]], steps),
            Part::Between => choose(&[vec![slash()], vec![slash(), Part::Any, slash()]], steps),
        }
    }
}

fn choose(branches: &[Vec<Part>], steps: &mut Vec<Step>) {
    let Some((last, others)) = branches.split_last() else { return };
    let mut ends = Vec::new();
    for branch in others {
        let fork = steps.len();
        steps.push(Step::Fork(0));
        compile(branch, steps);
        ends.push(steps.len());
        steps.push(Step::Jump(0));
        let next = steps.len();
        set(steps, fork, Step::Fork(next));
    }
    compile(last, steps);
    let behind = steps.len();
    for end in ends {
        set(steps, end, Step::Jump(behind));
    }
}

fn set(steps: &mut [Step], at: usize, step: Step) {
    if let Some(place) = steps.get_mut(at) {
        *place = step;
    }
}

fn slash() -> Part {
    Part::One(Set::one('/'))
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// The character before the present one.
    before: Option<char>,
    /// Of each choice that is open, outermost first: what stands before it, and its branches so far.
    open: Vec<(Vec<Part>, Vec<Vec<Part>>)>,
    /// The present branch.
    parts: Vec<Part>,
}

impl<'a> Reader<'a> {
    fn new(pattern: &'a str) -> Self {
        Self { rest: pattern.chars().peekable(), before: None, open: Vec::new(), parts: Vec::new() }
    }

    fn read(mut self) -> Result<Vec<Part>, String> {
        while let Some(letter) = self.rest.next() {
            let mut last = letter;
            match letter {
                '?' => self.parts.push(Part::One(Set::All)),
                '*' => last = self.star(),
                '[' => {
                    let set = self.class()?;
                    self.parts.push(Part::One(set));
                    last = ']';
                }
                '{' if self.open.len() == DEEPEST => return Err(format!("more than {DEEPEST} groups in each other")),
                '{' => self.open.push((std::mem::take(&mut self.parts), Vec::new())),
                ',' => match self.open.last_mut() {
                    Some((_, branches)) => branches.push(std::mem::take(&mut self.parts)),
                    None => self.parts.push(Part::One(Set::one(','))),
                },
                '}' => self.close()?,
                '\\' => {
                    last = self.rest.next().ok_or("dangling '\\'")?;
                    self.parts.push(Part::One(Set::one(last)));
                }
                letter => self.parts.push(Part::One(Set::one(letter))),
            }
            self.before = Some(last);
        }
        if self.open.is_empty() {
            Ok(self.parts)
        } else {
            Err("unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)".to_owned())
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let Some((before, mut branches)) = self.open.pop() else {
            return Err("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)".to_owned());
        };
        branches.push(std::mem::replace(&mut self.parts, before));
        self.parts.push(Part::Choice(branches));
        Ok(())
    }

    /// Reads what follows a star, and returns the last character of it.
    fn star(&mut self) -> char {
        if self.rest.next_if_eq(&'*').is_none() {
            self.parts.push(Part::Any);
            return '*';
        }
        let next = self.rest.peek().copied();
        let ends = next.is_none() || !self.open.is_empty() && matches!(next, Some(',' | '}'));
        if self.parts.is_empty() && next == Some('/') {
            self.rest.next();
            self.parts.push(Part::Before);
            return '/';
        }
        let is_part = self.before == Some('/') && (ends || next == Some('/'));
        match if is_part { self.parts.pop() } else { None } {
            None => {
                self.parts.push(Part::Any);
                '*'
            }
            Some(part) if ends => {
                match part {
                    Part::Before => self.parts.push(Part::Before),
                    _ => self.parts.extend([slash(), Part::Any]),
                }
                '*'
            }
            Some(part) => {
                self.rest.next();
                self.parts.push(if matches!(part, Part::Before) { part } else { Part::Between });
                '/'
            }
        }
    }

    /// Reads what stands between brackets.
    fn class(&mut self) -> Result<Set, String> {
        let outside = self.rest.next_if(|letter| matches!(letter, '!' | '^')).is_some();
        let mut ranges: Vec<(char, char)> = Vec::new();
        let mut is_open = false;
        loop {
            let letter = self.rest.next().ok_or("unclosed character class; missing ']'")?;
            match ranges.last_mut() {
                Some(_) if letter == ']' => break,
                Some(_) if letter == '-' && !is_open => is_open = true,
                Some((from, to)) if is_open => {
                    if *from > letter {
                        return Err(format!("invalid range; '{from}' > '{letter}'"));
                    }
                    *to = letter;
                    is_open = false;
                }
                _ => ranges.push((letter, letter)),
            }
        }
        if is_open {
            ranges.push(('-', '-'));
        }
        Ok(Set::Ranges(outside, ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
        let glob = Glob::new(pattern).unwrap();
        names.iter().copied().filter(|name| glob.is_match(name)).collect()
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, yes, no) in [
            ("mail_*", &["mail_", "mail_a/b"][..], &["mail", "a_mail_"][..]),
            ("*_mail_*", &["a_mail_b", "_mail__mail_"], &["a_mail", "mail_"]),
            ("x?", &["x1", "x\u{1f600}"], &["x", "x12"]),
            ("[a-c!]1", &["a1", "c1", "!1"], &["d1", "1"]),
            ("[!a-c]1", &["d1", "\u{e4}1"], &["a1", "b1"]),
            ("[^a]", &["b"], &["a"]),
            ("[]x]", &["]", "x"], &["[", "[]x]"]),
            ("[-a]", &["-", "a"], &["b"]),
            ("[a-]", &["-", "a"], &["b"]),
            ("[+--]", &["+", "-", ","], &["a"]),
            ("[\u{e4}-\u{fc}]", &["\u{f6}"], &["o"]),
            ("{a,b*}c", &["ac", "bc", "bxc"], &["c", "abc"]),
            ("{a,{b,c}}{,d}", &["a", "bd", "c", "cd"], &["", "d"]),
            ("{}x", &["x"], &["{}x"]),
            ("a,b", &["a,b"], &["a"]),
            ("\\*\\{", &["*{"], &["a{"]),
            ("**", &["", "a", "a/b"], &[]),
            ("a**b", &["ab", "a/b"], &["a"]),
            ("**/a", &["a", "/a", "b/a", "c/b/a"], &["ba"]),
            ("a/**", &["a/", "a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/xb", "ab"]),
            ("a/**/**/b", &["a/b", "a/x/b"], &["ab"]),
            ("**/**/a", &["a", "b/a"], &["ba"]),
            ("{x/**,y}", &["x/a", "y"], &["x", "y/a"]),
        ] {
            assert_eq!(matching(pattern, yes), yes, "{pattern}");
            assert_eq!(matching(pattern, no), [""; 0], "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        for (pattern, reason) in [
            ("[a", "unclosed character class"),
            ("[]", "unclosed character class"),
            ("[b-a]", "'b' > 'a'"),
            ("{a", "unclosed alternate group"),
            ("a}", "unopened alternate group"),
            ("a\\", "dangling"),
        ] {
            let refused = Glob::new(pattern).unwrap_err();
            assert!(refused.contains(reason), "{pattern}: {refused}");
        }
        assert!(Glob::new(&format!("{}{}", "{".repeat(DEEPEST), "}".repeat(DEEPEST))).is_ok());
        assert!(Glob::new(&"{".repeat(100_000)).is_err());
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = format!("{}b", "*a".repeat(200));
        assert_eq!(matching(&pattern, &[&"a".repeat(1000)]), [""; 0]);
        let nested = format!("{}{}", "{*,".repeat(DEEPEST), "}".repeat(DEEPEST));
        assert_eq!(matching(&nested, &["a", ""]), ["a", ""]);
    }
}
