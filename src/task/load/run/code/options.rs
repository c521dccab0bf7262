//! Judges the options of a known program: those that take code, and values among letters, which may name more options.

use std::borrow::Cow;

use super::{Danger, Walk, has_placeholder, head};
use crate::task::load::run::frameworks;
use crate::task::load::run::interpreters::{self, Interpreter};

impl Walk<'_> {
    /// An option. Returns whether it gave code, and how many items it takes.
    pub(super) fn option(&mut self, known: &Interpreter, at: usize, end: usize) -> (bool, usize) {
        let (text, filled) = (head(&self.argv[at]), has_placeholder(&self.argv[at]));
        let is_shell = known.names == interpreters::SHELL.names;
        let (name, attached) = text.split_once('=').map_or((text, false), |(name, _)| (name, true));
        let whole = without_stream(known, name);
        let name = &*whole;
        let is_one = |all: &[&str]| all.iter().any(|long| *long == name || (name.len() > 3 && long.starts_with(name)));
        let begins = |begin: &&str| text.starts_with(*begin) || filled && text.len() > 1 && begin.starts_with(text);
        if known.code_begin.iter().any(begins) {
            self.code_value(at, text);
            return (false, 1);
        }
        // What is short for an option, and has another one behind it, is an option of its own without a value.
        let is_short = ![known.code_long, known.loads_long].iter().any(|all| all.contains(&name));
        let alone = is_short && !attached && !filled && at + 1 < end && head(&self.argv[at + 1]).starts_with('-');
        let is_one = |all: &[&str]| !alone && is_one(all);
        let gives_code = is_one(known.code_long);
        if gives_code || is_one(known.loads_long) {
            let value = text.split_once('=').map_or("", |(_, value)| value);
            self.code_value(at, value);
            if attached {
                if !filled && (name == "--command" || name == "--split-string") {
                    self.script_text(at, value);
                }
                return (gives_code, 1);
            }
            self.code_item(at + 1, end);
            if name == "--command" || name == "--split-string" {
                self.script((at + 1).min(end), (at + 2).min(end));
            }
            return (gives_code, 2);
        }
        if is_one(known.variables_long) {
            match text.split_once('=') {
                Some((_, value)) => self.variable(at, value),
                None if filled => self.add(at, Danger::Option),
                None => self.variable_item(at + 1, end),
            }
            return (false, 1 + usize::from(!attached));
        }
        if known.pair_long.contains(&name) {
            if name == "--setenv" {
                self.variable_pair(at + 1, end);
            }
            // The name of what is defined, and its value.
            return (false, 3);
        }
        if name.starts_with("--") || known.value_long.contains(&name) {
            if let Some((_, value)) = text.split_once('=').filter(|_| names_code(name)) {
                self.code_value(at, value);
            } else if filled && !attached {
                self.add(at, Danger::Option);
            }
            let takes_next = !attached && !filled && known.value_long.contains(&name);
            return (false, 1 + usize::from(takes_next));
        }
        for (index, letter) in text.char_indices().skip(1) {
            let value = &text[index + letter.len_utf8()..];
            let rest = !value.is_empty() || filled;
            if let Some(value) = of_two_letters(known, &text[index..]) {
                self.code_value(at, value);
                let next = value.is_empty() && !filled;
                if next {
                    self.code_item(at + 1, end);
                }
                return (true, 1 + usize::from(next));
            }
            let gives_code = known.code.contains(letter);
            if gives_code || known.loads.contains(letter) {
                // More letters that take code (`node -pe`) leave it to the next item.
                let next = !rest || !filled && value.chars().all(|more| known.code.contains(more));
                self.code_value(at, value);
                if next {
                    self.code_item(at + 1, end);
                }
                // `su -c`, `env -S`.
                if gives_code && matches!(letter, 'c' | 'S') && next {
                    self.script((at + 1).min(end), (at + 2).min(end));
                } else if gives_code && matches!(letter, 'c' | 'S') && !filled {
                    self.script_text(at, value);
                }
                return (gives_code, 1 + usize::from(next));
            }
            if known.variables.contains(letter) {
                if rest {
                    self.variable(at, value.trim_start_matches('='));
                } else {
                    self.variable_item(at + 1, end);
                }
                return (false, 1 + usize::from(!rest));
            }
            if known.open_rest.contains(letter) {
                self.literal(at, Danger::Code);
                return (false, 1);
            }
            if known.rest.contains(letter) {
                return (false, 1);
            }
            if known.value.contains(letter) {
                // Of the shells some take the value from the next item, whatever follows the letter (`-oc`), some do not.
                if is_shell && rest {
                    self.literal(at, Danger::Code);
                    self.literal((at + 1).min(end), Danger::Code);
                    return (false, 2);
                }
                return (false, 1 + usize::from(!rest));
            }
        }
        // A value among the letters may name more options. None has such a letter as the equals sign.
        if !attached {
            self.literal(at, Danger::Code);
        }
        (false, 1)
    }

    /// An option that is a whole word, of a program all of whose options are. Returns how many items it takes.
    pub(super) fn word(&mut self, known: &Interpreter, at: usize, end: usize) -> usize {
        let text = head(&self.argv[at]);
        self.literal(at, Danger::Option);
        if known.code_long.contains(&text) {
            self.code_item(at + 1, end);
        }
        match text {
            flag if known.flags.contains(&flag) => 1,
            pair if known.pair_long.contains(&pair) => 3,
            _ => 2,
        }
    }

    /// An operand whose beginning may make it more than a file.
    pub(super) fn mark(&mut self, known: &Interpreter, at: usize) {
        let text = head(&self.argv[at]);
        let has_marks = !known.marks.is_empty() || known.names.contains(&"scp");
        if !has_marks || !has_placeholder(&self.argv[at]) {
        } else if text.is_empty() && !known.marks.is_empty() {
            self.add(at, Danger::Mark);
        } else if known.marks.iter().any(|mark| text.starts_with(mark) || mark.starts_with(text)) {
            self.add(at, Danger::Code);
        } else if known.names.contains(&"scp") && text.split('/').next().is_some_and(|host| host.contains(':')) {
            // Before OpenSSH 9.0, and with -O, a shell of the other machine reads the name of the file.
            self.add(at, Danger::Code);
        } else if known.names.contains(&"convert") && text.ends_with(':') && !text.contains(['/', '{']) {
            // Behind the name of a format, a bar begins a command, too.
            self.add(at, Danger::Code);
        }
    }

    /// Is this literal operand of an interpreter a script that is known by its own name?
    pub(super) fn is_script(&self, known: &Interpreter, at: usize, end: usize) -> bool {
        at < end && !has_placeholder(&self.argv[at]) && frameworks::is_script(known, head(&self.argv[at]))
    }

    /// The value of an option that takes code, in the item at this position after this literal text.
    fn code_value(&mut self, at: usize, value: &str) {
        self.literal(at, Danger::Code);
        if !has_placeholder(&self.argv[at]) && interpreters::is_stdin(value) {
            self.add(at, Danger::Stdin);
        }
    }

    /// The same where the value is an item, if there is one.
    fn code_item(&mut self, at: usize, end: usize) {
        if at < end {
            self.code_value(at, head(&self.argv[at]));
        }
    }

    /// Does this option name a file of arguments that is not the stdin?
    pub(super) fn file_of_arguments(&self, at: usize, end: usize) -> bool {
        let text = head(&self.argv[at]);
        let next = || if at + 1 < end { head(&self.argv[at + 1]) } else { "" };
        let file = match text.strip_prefix("--arg-file").map(|rest| rest.strip_prefix('=')) {
            Some(file) => file.unwrap_or_else(next),
            None => match text.strip_prefix("-a") {
                Some("") if !has_placeholder(&self.argv[at]) => next(),
                Some(file) => file,
                None => return false,
            },
        };
        !interpreters::is_stdin(file)
    }
}

/// Does an option of a known program say by its name that its value is a program, a library, or code: `--blob-callback=CODE`?
fn names_code(option: &str) -> bool {
    const LAST: [&str; 10] =
        ["callback", "askpass", "speller", "editor", "pager", "loadmodule", "addr2line", "objdump", "preload", "hook"];
    option.rsplit('-').next().is_some_and(|last| LAST.contains(&last))
}

/// The name of an option of FFmpeg without the stream that it is for, and without the slash of one that reads its value from
/// a file: `-filter:v:0`, `-/filter:v`.
fn without_stream<'t>(known: &Interpreter, name: &'t str) -> Cow<'t, str> {
    if !known.names.contains(&"ffmpeg") {
        return Cow::Borrowed(name);
    }
    let name = name.split(':').next().unwrap_or_default();
    name.strip_prefix("-/").map_or(Cow::Borrowed(name), |name| Cow::Owned(format!("-{name}")))
}

/// The value behind an option of two letters that stands among others of one letter: `-qTT` of zip.
fn of_two_letters<'t>(known: &Interpreter, letters: &'t str) -> Option<&'t str> {
    known.code_two.iter().find_map(|two| letters.strip_prefix(two))
}

/// Does this option keep the program from its stdin?
pub(super) fn leaves_stdin(known: &Interpreter, text: &str) -> bool {
    known.leaves_stdin_long.contains(&text) || flags(known, text).any(|letter| known.leaves_stdin.contains(letter))
}

/// Does this option name the user as whom a program runs?
pub(super) fn names_user(known: &Interpreter, text: &str) -> bool {
    text.split('=').next() == Some("--user") || flags(known, text).any(|letter| letter == 'u')
}

/// The letters of an item that are options, not the value of one.
fn flags(known: &Interpreter, text: &str) -> impl Iterator<Item = char> {
    let letters = if text.starts_with("--") { "" } else { text.trim_start_matches('-') };
    let takes_value = |letter: char| {
        [known.value, known.code, known.loads, known.rest, known.open_rest, known.variables]
            .iter()
            .any(|all| all.contains(letter))
    };
    let end = letters.char_indices().find(|(_, letter)| takes_value(*letter));
    letters[..end.map_or(letters.len(), |(index, letter)| index + letter.len_utf8())].chars()
}
