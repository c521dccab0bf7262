//! The sources of the crate, and their words.

use std::path::{Path, PathBuf};

/// A source file.
pub(super) struct Source {
    /// Below `src`.
    pub(super) path: PathBuf,
    /// For messages.
    pub(super) name: String,
    pub(super) text: String,
}

/// Every source file of the crate.
pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src must be readable") {
            let path = entry.expect("src must be readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("sources must be text");
                let path = path.strip_prefix(&root).expect("it was found below src").to_owned();
                files.push(Source { name: format!("src/{}", path.display()), path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Words, `::` and single signs of a source text, each with its line; without comments and literals.
pub(super) fn tokens(text: &str) -> Vec<(usize, String)> {
    let (mut tokens, mut line, mut rest) = (Vec::new(), 1, text);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let quoted = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
        let raw = rest.trim_start_matches(['b', 'c']).strip_prefix('r').map(|raw| raw.trim_start_matches('#'));
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(raw) = raw.filter(|raw| raw.starts_with('"')) {
            let from = rest.len() - raw.len() + 1;
            let hashes = rest[..from].matches('#').count();
            quoted(from, &format!("\"{}", "#".repeat(hashes)))
        } else if first == '"' {
            literal(rest, '"')
        } else if first == '\'' {
            // A character, or a lifetime: that has no second quote behind one character.
            let mut next = rest[1..].chars();
            match (next.next(), next.next()) {
                (Some('\\'), _) | (Some(_), Some('\'')) => literal(rest, '\''),
                _ => 1,
            }
        } else if word > 0 {
            tokens.push((line, rest[..word].to_owned()));
            word
        } else if rest.starts_with("::") {
            tokens.push((line, "::".to_owned()));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, first.to_string()));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The length of a block comment with the ones inside it.
fn comment(text: &str) -> usize {
    let (mut deep, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match (rest.starts_with(b"/*"), rest.starts_with(b"*/")) {
            (true, _) => deep += 1,
            (_, true) => deep -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if deep == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal in these quotes, with its escapes.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
