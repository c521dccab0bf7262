//! Whether a trigger does a bounded amount of work for each row: it compares columns, refuses the row, or writes one row to
//! another table.
//!
//! SQL has many ways to compute without end (a recursive SELECT, joins of many tables, patterns, functions that make long
//! texts), and more may come. So what is known to be harmless is let through, and nothing else.

use super::tokens::{CLOSE, OPEN, Token};

/// What may stand before a parenthesis: no name of a function.
const BEFORE_OPEN: [&str; 10] = ["RAISE", "CAST", "IN", "VALUES", "AND", "OR", "NOT", "WHEN", "IS", "WHERE"];
/// Words by which an expression asks more than the row, or compares it with a pattern that can be costly.
const FAR: [&str; 17] = [
    "WITH",
    "RECURSIVE",
    "FROM",
    "JOIN",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "GLOB",
    "REGEXP",
    "MATCH",
    "EXISTS",
    "OVER",
    "CONFLICT",
    "RETURNING",
];
/// The longest trigger.
const MOST_TOKENS: usize = 2000;

/// The tables to which a trigger writes; `None` if it may do more.
pub(super) fn targets(tokens: &[Token]) -> Option<Vec<String>> {
    if tokens.len() > MOST_TOKENS {
        return None;
    }
    // `BEGIN` may also be a name. Then what follows is none of the statements below.
    let begin = tokens.iter().position(|token| token.is("BEGIN"))?;
    let (head, body) = (&tokens[..begin], &tokens[begin + 1..]);
    let when = head.iter().position(|token| token.is("WHEN")).map_or(&[][..], |at| &head[at + 1..]);
    if !is_of_row(when) || when.iter().any(|token| token.is_one_of(&["SELECT", "VALUES", "INSERT"])) {
        return None;
    }
    let (end, statements) = body.split_last()?;
    let mut targets = Vec::new();
    for statement in statements.split(|token| *token == Token::Sign(';')).filter(|statement| !statement.is_empty()) {
        targets.extend(statement_of(statement)?);
    }
    // Each row that is written may meet triggers again, so that many become more with every table.
    (end.is("END") && targets.len() <= 1).then_some(targets)
}

/// The table to which a statement writes, if it does; `None` if it may do more than refuse or write a row.
fn statement_of(statement: &[Token]) -> Option<Option<String>> {
    if !is_of_row(statement) {
        return None;
    }
    let inner = &statement[1..];
    let has = |words: &[&str]| inner.iter().any(|token| token.is_one_of(words));
    match statement {
        [first, raise, open, ..] if first.is("SELECT") && raise.is("RAISE") && *open == OPEN => {
            (!has(&["SELECT", "VALUES", "INSERT"])).then_some(None)
        }
        [first, rest @ ..] if first.is("INSERT") && !has(&["SELECT", "INSERT"]) => {
            let rest = if rest.first().is_some_and(|token| token.is("OR")) { rest.get(2..)? } else { rest };
            let [into, name, values, open, row @ ..] = rest else { return None };
            let name = match name {
                Token::Word(name) | Token::Quoted(name) => name.clone(),
                Token::Text(_) | Token::Sign(_) => return None,
            };
            let is_one_row = !row.windows(2).any(|two| *two == [CLOSE, Token::Sign(',')]);
            (into.is("INTO") && values.is("VALUES") && *open == OPEN && is_one_row).then_some(Some(name))
        }
        _ => None,
    }
}

/// Does an expression ask only for columns of the row?
fn is_of_row(tokens: &[Token]) -> bool {
    let is_pair_fit = |two: &[Token]| match two {
        [before, next] if *next == OPEN => match before {
            Token::Word(_) => before.is_one_of(&BEFORE_OPEN),
            Token::Quoted(_) | Token::Text(_) => false,
            Token::Sign(_) => true,
        },
        // `IN table` reads the whole table.
        [before, _] if before.is("IN") => false,
        // A pattern of the row itself, or with many wildcards, takes long to compare.
        [before, Token::Text(pattern)] if before.is("LIKE") => pattern.matches('%').count() <= 2,
        [before, _] if before.is("LIKE") => false,
        [Token::Sign('-'), Token::Sign('>')] => false,
        _ => true,
    };
    let is_fit = |token: &Token| *token != Token::Sign('|') && !token.is_one_of(&FAR);
    tokens.iter().all(is_fit) && tokens.windows(2).all(is_pair_fit)
}
