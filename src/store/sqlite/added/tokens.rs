//! The words of a statement that stands in a schema. SQLite has parsed it before, so that it need not be checked here.

/// A token of SQL. Blanks and comments are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word without quotes, in capitals: a keyword or a name, or a number.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// The text of a literal.
    Text(String),
    /// Anything else.
    Sign(char),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }
}

/// Reads all tokens.
pub(super) fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        rest = match first {
            _ if first.is_whitespace() => behind,
            '-' if behind.starts_with('-') => behind.split_once('\n').map_or("", |(_, next)| next),
            '/' if behind.starts_with('*') => {
                behind.get(1..).unwrap_or("").split_once("*/").map_or("", |(_, next)| next)
            }
            '\'' | '"' | '`' | '[' => {
                let (text, next) = quoted(behind, if first == '[' { ']' } else { first });
                tokens.push(if first == '\'' { Token::Text(text) } else { Token::Quoted(text) });
                next
            }
            _ if is_of_word(first) => {
                let end = rest.find(|next| !is_of_word(next)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_uppercase()));
                &rest[end..]
            }
            sign => {
                tokens.push(Token::Sign(sign));
                behind
            }
        };
    }
    tokens
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '$') || !char.is_ascii()
}

/// What stands before the closing quote, and what stands behind it. A quote that is doubled is one of the text.
fn quoted(rest: &str, quote: char) -> (String, &str) {
    let mut text = String::new();
    let mut rest = rest;
    loop {
        let Some((before, behind)) = rest.split_once(quote) else { return (text + rest, "") };
        text += before;
        match behind.strip_prefix(quote).filter(|_| quote != ']') {
            Some(next) => {
                text.push(quote);
                rest = next;
            }
            None => return (text, behind),
        }
    }
}

/// Does a table only hold what is written to it? None of its columns is computed, and none is checked.
pub(super) fn is_plain_table(tokens: &[Token]) -> bool {
    let computes = tokens.iter().any(|token| token.is_one_of(&["CHECK", "GENERATED", "AS", "VIRTUAL"]));
    let has_expression = |two: &[Token]| two.first().is_some_and(|one| one.is("DEFAULT")) && two.last() == Some(&OPEN);
    !computes && !tokens.windows(2).any(has_expression)
}

/// Is this an index of all rows, on columns?
pub(super) fn is_plain_index(tokens: &[Token]) -> bool {
    let mut parts = tokens.splitn(2, |token| *token == OPEN);
    let (_, Some(columns)) = (parts.next(), parts.next()) else { return false };
    let Some((last, columns)) = columns.split_last() else { return false };
    let is_name = |token: &Token| match token {
        Token::Word(_) => !token.is_one_of(&["LIKE", "GLOB", "REGEXP", "MATCH"]),
        Token::Quoted(_) | Token::Sign(',') => true,
        _ => false,
    };
    *last == CLOSE && columns.iter().all(is_name)
}

pub(super) const OPEN: Token = Token::Sign('(');
pub(super) const CLOSE: Token = Token::Sign(')');
