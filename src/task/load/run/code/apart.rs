//! Judges what single programs take for code in a way that the rows of the table cannot tell.
//!
//! What is found is added to what the rows say.

use super::{Danger, Walk, has_placeholder, head, judge};
use crate::task::handler_spec::{Piece, Template};
use crate::task::load::run::interpreters::{self, Interpreter};
use crate::task::load::run::{frameworks, variables};

/// Sections of the settings of git of which some name a program, or decide which one runs.
const GIT_SECTIONS: [&str; 30] = [
    "core",
    "alias",
    "browser",
    "credential",
    "diff",
    "difftool",
    "extensions",
    "filter",
    "gpg",
    "guitool",
    "hook",
    "include",
    "includeif",
    "init",
    "instaweb",
    "interactive",
    "man",
    "merge",
    "mergetool",
    "pager",
    "protocol",
    "remote",
    "sendemail",
    "sequence",
    "ssh",
    "submodule",
    "tar",
    "trailer",
    "uploadpack",
    "web",
];
/// Keys of these that do not.
const GIT_HARMLESS: [&str; 3] = [".url", ".pushurl", ".fetch"];
/// Options and commands of `git config` that set no value.
const GIT_READS: [&str; 12] = [
    "get",
    "get-all",
    "get-regexp",
    "get-urlmatch",
    "list",
    "l",
    "unset",
    "unset-all",
    "remove-section",
    "rename-section",
    "edit",
    "e",
];

impl Walk<'_> {
    /// The arguments of the program at this position.
    pub(super) fn apart(&mut self, known: &Interpreter, program: usize, end: usize) {
        match known.names[0] {
            "perl" => self.perl(program + 1, end),
            "tar" => self.tar(program + 1, end),
            "ffmpeg" => self.ffmpeg(program, end),
            "git" => self.git_config(program + 1, end),
            _ => {}
        }
    }

    /// A variable, `NAME=VALUE`, of which this is the literal text at its beginning.
    pub(super) fn variable(&mut self, at: usize, text: &str) {
        // A value may name the variable, too.
        if text.split_once('=').is_none_or(|(name, _)| variables::loads_code(name)) {
            self.literal(at, Danger::Code);
        }
    }

    /// The same where it is an item, if there is one.
    pub(super) fn variable_item(&mut self, at: usize, end: usize) {
        if at < end {
            self.variable(at, head(&self.argv[at]));
        }
    }

    /// A name and a value, each an item.
    pub(super) fn variable_pair(&mut self, at: usize, end: usize) {
        self.all_literal(at, end.min(at + 1), Danger::Code);
        if at < end && variables::loads_code(head(&self.argv[at])) {
            self.all_literal(at + 1, end.min(at + 2), Danger::Code);
        }
    }

    /// Code that reads the files which the operands name opens them as `open` with two arguments does, so that `COMMAND|` is
    /// a command.
    fn perl(&mut self, from: usize, end: usize) {
        let (mut at, mut opens, mut given) = (from, false, false);
        while at < end {
            let text = head(&self.argv[at]);
            let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
            at += 1;
            if letters == "-" {
                break;
            }
            for (index, letter) in letters.char_indices() {
                let rest = &letters[index + letter.len_utf8()..];
                match letter {
                    'n' | 'p' | 'a' | 'F' => opens = true,
                    'e' | 'E' => {
                        let code = if rest.is_empty() && at < end { head(&self.argv[at]) } else { rest };
                        opens |= reads_operands(code);
                        given = true;
                        at += usize::from(rest.is_empty());
                    }
                    'I' => at += usize::from(rest.is_empty()),
                    // Digits of `-0`, or the rest of the line is skipped (`-x`).
                    'x' => opens |= letters[..index].ends_with('0') && rest.contains(['n', 'p', 'a', 'F']),
                    _ => {}
                }
                if "FeEIxMmiDVC".contains(letter) {
                    break;
                }
            }
        }
        if opens {
            self.all_literal(at + usize::from(!given), end, Danger::Code);
        }
    }

    /// The first word of `tar` holds options without a dash, too. Their values are the next items, in order.
    fn tar(&mut self, from: usize, end: usize) {
        let Some(word) = self.argv.get(from).filter(|_| from < end) else { return };
        let letters = head(word);
        if letters.starts_with('-') {
            return;
        }
        self.literal(from, Danger::Code);
        let taking = letters.chars().filter(|letter| "fCTXbgKNVIFHL".contains(*letter));
        for (value, letter) in (from + 1..).zip(taking) {
            if matches!(letter, 'I' | 'F') {
                self.all_literal(value, end.min(value + 1), Danger::Code);
            }
        }
    }

    /// An input of the format `lavfi` is a graph of filters.
    fn ffmpeg(&mut self, program: usize, end: usize) {
        let needs_option = interpreters::name(head(&self.argv[program])) == "ffmpeg";
        let mut format = None;
        for at in program + 1..end {
            let (before, text) = (head(&self.argv[at - 1]), head(&self.argv[at]));
            let filled = has_placeholder(&self.argv[at]);
            let is_input = before == "-i" || !needs_option && !text.starts_with('-');
            if before == "-f" {
                // A value may name this format, too.
                format = Some(at).filter(|_| if filled { "lavfi".starts_with(text) } else { text == "lavfi" });
            } else if let Some(format) = format.filter(|_| filled && is_input) {
                let by_value = has_placeholder(&self.argv[format]);
                self.add(if by_value { format } else { at }, Danger::Code);
            }
            if before == "-i" {
                format = None;
            }
        }
    }

    /// `git config KEY VALUE`.
    fn git_config(&mut self, from: usize, end: usize) {
        let mut at = from;
        while at < end && head(&self.argv[at]).starts_with('-') {
            let text = head(&self.argv[at]);
            at += 1 + usize::from(matches!(text, "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace"));
        }
        if at >= end || has_placeholder(&self.argv[at]) || head(&self.argv[at]) != "config" {
            return;
        }
        let mut operands = Vec::new();
        while at + 1 < end {
            at += 1;
            let (text, filled) = (head(&self.argv[at]), has_placeholder(&self.argv[at]));
            let (word, is_option) = (text.trim_start_matches('-'), text.starts_with('-'));
            if !filled && GIT_READS.contains(&word) && (is_option || operands.is_empty()) {
                return;
            }
            match text {
                "-f" | "--file" | "--blob" | "--type" | "--comment" | "--default" if !filled => at += 1,
                "set" if operands.is_empty() && !filled => {}
                _ if is_option => {}
                _ => operands.push(at),
            }
        }
        let [key, value, ..] = operands[..] else { return };
        if has_placeholder(&self.argv[key]) {
            let (section, _) = head(&self.argv[key]).split_once('.').unwrap_or_default();
            let decided = !section.is_empty() && !is_git_section(section);
            if !decided {
                self.add(key, Danger::Code);
            }
        } else if names_program(head(&self.argv[key])) {
            self.literal(value, Danger::Code);
        }
    }

    /// What stands behind the code of Python, in the items from `option` to `at`. What is no module belongs to the code.
    pub(super) fn python(&mut self, option: usize, at: usize, end: usize) {
        let letters = head(&self.argv[option]).trim_start_matches('-');
        self.verdict.options_end_from = Some(at);
        let is_module = letters.find(['c', 'm']).filter(|found| letters[*found..].starts_with('m'));
        let Some(found) = is_module.filter(|_| at <= end && !self.argv[option..at].iter().any(has_placeholder)) else {
            return;
        };
        let is_item = at == option + 2;
        let module = if is_item { head(&self.argv[option + 1]) } else { &letters[found + 1..] };
        let package = module.split('.').next().unwrap_or_default();
        if let Some(known) = interpreters::MODULES.iter().find(|known| known.names.contains(&package)) {
            self.known(known, at - 1, end);
        } else if frameworks::is_script(&interpreters::PYTHON, module) {
            // `python -m pip`.
            let name = Template { pieces: vec![Piece::Text(module.to_owned())] };
            let words: Vec<Template> = std::iter::once(name).chain(self.argv[at..end].iter().cloned()).collect();
            for (position, danger) in judge(&words).dangers {
                self.add(at - 1 + position, danger);
            }
        }
    }
}

/// Does this code in Perl read the files which the operands name? `<<>>` opens no commands.
fn reads_operands(code: &str) -> bool {
    let code = code.replace("<<>>", "");
    ["<>", "<ARGV>", "readline ARGV", "readline(ARGV"].iter().any(|reads| code.contains(reads))
}

fn is_git_section(section: &str) -> bool {
    GIT_SECTIONS.iter().any(|known| known.eq_ignore_ascii_case(section))
}

/// May the value of this setting of git be a program, or decide which one runs?
fn names_program(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    is_git_section(section) && !GIT_HARMLESS.iter().any(|end| key.to_ascii_lowercase().ends_with(end))
}
