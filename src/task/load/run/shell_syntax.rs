//! Finds what people write for a shell in a list of arguments that no shell reads: `>`, `|`, `&&`, `*.log`, `$(date)`.
//!
//! Each of these is an argument like any other, and some programs are meant to get it: `find` its `;`, `grep` and `awk` their
//! patterns, `cut` its delimiter. So an item is judged by its place, by its program, and by what stands behind it. Where it
//! cannot be known what is meant (a pattern for a program that is not known), nothing is said.

use super::interpreters::{file_name, is_shell, name};
use programs::{ALL_DATA, FILTERS, PATTERN_FIRST, SEPARATING, SEPARATORS, TAKE_FILES, TARGETS};

use crate::config::element::literal;
use crate::task::handler_spec::{Piece, Template};
use crate::text::shell::word;

/// What a shell would do with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Read or write a file.
    Redirect,
    /// Run another program: `|`, `&&`, `||`, `;`.
    Chain,
    /// Go on without waiting.
    Background,
    /// Put in the names of files.
    Pattern,
    /// Put in what a command prints.
    Command,
    /// Take away a backslash: `\;`.
    Escaped,
}

/// A warning of an argument vector: the item that it is about, and what is to be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) position: usize,
    pub(super) message: String,
}

/// Finds what a shell would read in these items. `written` is how they stand in the file, `is_code` says whether what runs
/// takes an item for code: that is left to the program which reads it.
pub(super) fn judge(argv: &[Template], written: &[&str], is_code: impl Fn(usize) -> bool) -> Option<Warning> {
    let found = (1..argv.len()).filter_map(|at| Some((at, sign(argv, at)?)));
    // What a build tool takes for targets is code, and no shell reads it all the same.
    let is_target = |sign: Sign| {
        !matches!(sign, Sign::Pattern | Sign::Command)
            && argv[0].as_text().is_some_and(|tool| TARGETS.contains(&name(tool)))
    };
    let found: Vec<(usize, Sign)> = found.filter(|(at, sign)| is_target(*sign) || !is_code(*at)).collect();
    let (position, first) = *found.first()?;
    let is_of = |at: usize| found.iter().any(|(position, _)| *position == at);
    let shown = found.iter().map(|(at, _)| format!("`{}`", written[*at])).fold(Vec::new(), |mut all, sign| {
        if !all.contains(&sign) && all.len() < 4 {
            all.push(sign);
        }
        all
    });
    let (shown, reaches) = (shown.join(" "), if shown.len() == 1 { "reaches" } else { "reach" });
    let remedy = match first {
        Sign::Escaped => format!("write \"{}\", without the backslash", &written[position][1..]),
        _ if is_of_shell(argv, position) => {
            "a shell takes one item as its code: write all of the command in the item behind -c".to_owned()
        }
        Sign::Background if found.len() == 1 => "leave it out, a job may take as long as it needs".to_owned(),
        _ => match script(argv, written, is_of) {
            Some(list) => format!("write {list}"),
            None => "let a shell read it: [\"sh\", \"-c\", \"COMMAND\"]".to_owned(),
        },
    };
    let message = format!(
        "{shown} {reaches} the program as it stands, because no shell is asked; {remedy} (allow_dollar = true says that it is \
         meant)"
    );
    Some(Warning { position, message })
}

/// The same command as a list in which a shell reads it. Items with placeholders become arguments of the shell, so that no value
/// becomes code.
fn script(argv: &[Template], written: &[&str], is_sign: impl Fn(usize) -> bool) -> Option<String> {
    let (mut code, mut arguments) = (Vec::new(), Vec::new());
    for (at, item) in argv.iter().enumerate() {
        let Some(text) = item.as_text() else {
            let raw = written[at];
            // `>{file}`: the sign stays, the value is an argument.
            let begin = if is_sign(at) { raw.find('{').unwrap_or(0) } else { 0 };
            arguments.push(&raw[begin..]);
            code.push(format!("{}\"${}\"", &raw[..begin], arguments.len()));
            continue;
        };
        // Placeholders have one sign more for a brace.
        let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
        let as_written = if at == 0 { written[0] } else { text };
        code.push(if is_sign(at) { doubled(as_written) } else { doubled(&in_shell(as_written)) });
    }
    let code = code.join(" ");
    let items = ["sh", "-c", &code].into_iter().chain((!arguments.is_empty()).then_some("sh")).chain(arguments);
    let list = items.map(in_toml).collect::<Option<Vec<_>>>()?.join(", ");
    (list.len() <= 300).then(|| format!("[{list}]"))
}

/// An item as a word of a shell, which fills in variables and the home folder: that is what they were written for.
fn in_shell(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    match literal::in_path(text) {
        Some("~") if text[1..].chars().all(plain) => text.to_owned(),
        Some(found) if found != "~" => {
            format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#).replace('`', r"\`"))
        }
        _ => word(text),
    }
}

/// A text as TOML writes it; `None` if people would not write it.
fn in_toml(text: &str) -> Option<String> {
    let plain = !text.chars().any(char::is_control);
    plain.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// What a shell would do with this item, if its program is not meant to get it.
fn sign(argv: &[Template], at: usize) -> Option<Sign> {
    let text = head(&argv[at]);
    let found = kind(text, argv[at].as_text().is_none())?;
    let reader = Reader::of(argv, at);
    if reader.is_all_data() || reader.is_separator(argv, at) || reader.is_pattern(argv, at) {
        return None;
    }
    let next = argv.get(at + 1);
    let before_is_option = at > 1 && head(&argv[at - 1]).starts_with('-');
    let is_meant = match found {
        Sign::Escaped => reader.is("find"),
        Sign::Redirect if text.len() > 1 && !matches!(text, "<<" | "<<<") => {
            // `2>&1` and `>FILE` are whole, `>>` and `2>` are not.
            !text.ends_with('>') || argv[at].as_text().is_none() || next.is_some()
        }
        // `>{file}`.
        Sign::Redirect if argv[at].as_text().is_none() => true,
        Sign::Redirect => next.is_some_and(|next| !before_is_option || is_path(next)),
        Sign::Background => next.is_none() && !before_is_option,
        Sign::Chain if reader.is("find") && text == ";" => false,
        Sign::Chain if before_is_option && !matches!(text, "&&" | "||") => {
            next.is_some_and(|next| is_known(head(next)))
        }
        Sign::Chain => next.is_some_and(|next| is_word(head(next))),
        Sign::Pattern => reader.takes_files(argv, at),
        Sign::Command => true,
    };
    is_meant.then_some(found)
}

fn kind(text: &str, has_placeholder: bool) -> Option<Sign> {
    match text {
        "|" | "||" | "&&" | ";" | "|&" => return Some(Sign::Chain).filter(|_| !has_placeholder),
        "&" => return Some(Sign::Background).filter(|_| !has_placeholder),
        r"\;" | r"\(" | r"\)" | r"\!" => return Some(Sign::Escaped).filter(|_| !has_placeholder),
        _ => {}
    }
    if is_redirect(text, has_placeholder) {
        return Some(Sign::Redirect);
    }
    if is_command(text) {
        return Some(Sign::Command);
    }
    let is_pattern = text.contains(['*', '?']) && !text.contains("://") && !text.starts_with('-');
    is_pattern.then_some(Sign::Pattern)
}

/// `>`, `>>`, `<`, `2>`, `&>`, `2>&1`, `>FILE`, `2>FILE`, `<FILE`. `<name>` and `>=` are none.
fn is_redirect(text: &str, has_placeholder: bool) -> bool {
    let rest = text.strip_prefix('&').filter(|rest| rest.starts_with('>'));
    let rest = rest.unwrap_or_else(|| text.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    if text.len() - rest.len() > 1 {
        return false;
    }
    let operators = [">>", ">|", ">", "<<<", "<<", "<"];
    let Some(target) = operators.iter().find_map(|operator| rest.strip_prefix(operator)) else { return false };
    let digit = |target: &str| target.bytes().all(|byte| byte.is_ascii_digit()) && !target.is_empty();
    if target.is_empty() {
        return true;
    }
    if let Some(to) = target.strip_prefix('&') {
        return to == "-" || digit(to);
    }
    let begins = target.starts_with(|letter: char| letter.is_ascii_alphabetic() || "/.~_$".contains(letter));
    begins && !target.contains(['<', '>', ' ']) && !has_placeholder
}

/// `$(date +%F)`, `` backup-`date +%F`.sql ``. Names in backquotes are quoted so elsewhere, too: those that stand alone, and those in
/// a text, are left alone.
fn is_command(text: &str) -> bool {
    let begins = |inside: &str| inside.starts_with(|letter: char| letter.is_ascii_lowercase() || "/.".contains(letter));
    if let Some((_, inside)) = text.split_once("$(") {
        return begins(inside) && inside.contains(')');
    }
    let mut parts = text.split('`');
    let (Some(before), Some(inside), Some(after), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_text = before.contains(char::is_whitespace) || after.contains(char::is_whitespace);
    let first = inside.split_whitespace().next().unwrap_or_default();
    let is_program = first != inside || ["date", "hostname", "pwd", "whoami", "uname", "nproc"].contains(&first);
    !is_text && begins(inside) && is_program
}

/// The program that reads an item: the last one before it that is known to take such items, else the first.
struct Reader<'a> {
    at: usize,
    name: &'a str,
}

impl<'a> Reader<'a> {
    fn of(argv: &'a [Template], item: usize) -> Self {
        let named = |at: usize| argv[at].as_text().map_or("", file_name);
        let knows = |at: &usize| {
            let file = named(*at);
            let lists: [&[&str]; 3] = [&ALL_DATA, &PATTERN_FIRST, &TAKE_FILES];
            file == "find" || file == "gfind" || lists.iter().any(|list| list.contains(&file))
        };
        // The name of such a program is an operand of others, too: only one that stands before all operators counts.
        let first = (0..item).find(|at| *at == 0 && knows(at) || *at > 0 && knows(at) && runs_others(argv, *at));
        let at = first.unwrap_or(0);
        let file = named(at);
        Self { at, name: if file == "gfind" { "find" } else { file } }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name
    }

    fn is_all_data(&self) -> bool {
        ALL_DATA.contains(&self.name)
    }

    /// Is the item the value of an option that takes a separator or a pattern?
    fn is_separator(&self, argv: &[Template], at: usize) -> bool {
        let before = argv[at - 1].as_text().filter(|_| at > self.at + 1).unwrap_or_default();
        if let Some(long) = before.strip_prefix("--") {
            return !long.contains('=') && SEPARATING.iter().any(|word| long.contains(word));
        }
        let Some(letter) = before.strip_prefix('-').and_then(|letters| letters.chars().next_back()) else {
            return false;
        };
        SEPARATORS.iter().any(|(program, letters)| *program == self.name && letters.contains(letter))
    }

    /// Is the item the first operand of a program that takes a pattern there?
    fn is_pattern(&self, argv: &[Template], at: usize) -> bool {
        let is_option = |item: &Template| head(item).starts_with('-');
        // `git grep` has a command before it.
        let is_git =
            file_name(head(&argv[0])) == "git" && argv.get(1).is_some_and(|item| item.as_text() == Some("grep"));
        let from = if is_git { 2 } else { self.at + 1 };
        let takes =
            is_git || PATTERN_FIRST.contains(&self.name) || matches!(self.name, "sed" | "awk" | "gawk" | "mawk");
        takes && argv[from.min(at)..at].iter().all(is_option)
    }

    /// Is the item a file, for a program that does not look for files by patterns itself?
    fn takes_files(&self, argv: &[Template], at: usize) -> bool {
        let text = head(&argv[at]);
        // The lists of `zip -x` go on until they end.
        let listed = |item: &Template| matches!(item.as_text(), Some("-x" | "-i" | "-R"));
        let is_listed = self.is("zip") && argv[self.at + 1..at].iter().any(listed);
        // A place on another machine, or words.
        let is_elsewhere = text.contains(':') || text.contains(' ');
        TAKE_FILES.contains(&self.name) && !is_listed && !is_elsewhere
    }
}

/// Does all that stands before this position run another program?
fn runs_others(argv: &[Template], at: usize) -> bool {
    const RUN_OTHERS: [&str; 14] = [
        "env", "nice", "ionice", "timeout", "sudo", "doas", "nohup", "time", "chronic", "setsid", "stdbuf", "flock",
        "git", "xargs",
    ];
    argv[0].as_text().is_some_and(|first| RUN_OTHERS.contains(&file_name(first))) && at > 0
}

/// Does a shell of this list read its code before this item?
fn is_of_shell(argv: &[Template], at: usize) -> bool {
    let shell = argv[..at].iter().position(|item| item.as_text().is_some_and(is_shell));
    let is_dash_c = |item: &Template| {
        item.as_text().and_then(|text| text.strip_prefix('-')).is_some_and(|letters| letters.ends_with('c'))
    };
    shell.is_some_and(|shell| argv[shell + 1..at].iter().any(is_dash_c))
}

/// The literal text at the beginning of an item.
fn head(item: &Template) -> &str {
    match item.pieces.first() {
        Some(Piece::Text(text)) => text,
        _ => "",
    }
}

/// A file, as it stands behind a redirection.
fn is_path(item: &Template) -> bool {
    let text = head(item);
    item.as_text().is_none() || text.contains(['/', '.']) && text.contains(|letter: char| letter.is_ascii_alphabetic())
}

/// May this be the name of a program?
fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || "./~_$".contains(letter))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-+$~{}".contains(&byte))
}

/// Is this the name of a program that people put behind a pipe?
fn is_known(text: &str) -> bool {
    text.contains('/') && is_word(text) || FILTERS.contains(&text) || super::code::is_name(text) && name(text) == text
}

mod programs;
#[cfg(test)]
mod tests;
