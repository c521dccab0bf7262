//! What the shim says if it could not become the program, and how it is known that nobody but the shim says it.
//!
//! It says it on stderr, which the program inherits, and exits with a status that any program may have. So neither proves anything:
//! a program could say that the machine is short, and its daemon would start less and give the job back, over and over. What
//! proves it is a token in the environment of the shim, which the program does not inherit. It is made from a secret of this
//! process, so it costs no system call, and it is another one for each start.

use std::sync::LazyLock;

use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom;

use super::splitter::{OutputLine, Source};

/// The variable in which the shim gets its token.
pub(super) const PROOF: &str = "WINDLASS_SHIM_PROOF";
/// How many bytes of the digest are the token.
const BYTES: usize = 16;

/// Why a program did not begin, as its shim says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimWord {
    /// Why.
    pub why: Unbegun,
    /// The same as a line for people.
    pub text: String,
}

/// The kinds of reasons for which a program does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbegun {
    /// The machine is short of a resource. Neither the job nor its task is at fault.
    Short,
    /// All was done that should be, and then the program could not be executed.
    NotExecuted,
    /// Something that the task asks for could not be done.
    Failed,
}

impl Unbegun {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Short, "short "), (Self::NotExecuted, "exec "), (Self::Failed, "fail ")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// The token of the shim that starts this run; `None` if this system has no random numbers, and then nothing is taken for a
/// word of a shim.
pub(super) fn proof(run: &[u8]) -> Option<String> {
    static SECRET: LazyLock<Option<Key>> = LazyLock::new(|| Key::generate(HMAC_SHA256, &SystemRandom::new()).ok());
    let tag = sign(SECRET.as_ref()?, run);
    Some(tag.as_ref().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect())
}

/// The line that the shim writes. Without a token (a person started it) it is the text alone.
pub(super) fn line(proof: Option<&str>, word: &ShimWord) -> String {
    proof.map_or_else(|| word.text.clone(), |proof| format!("{proof} {}{}", word.why.name(), word.text))
}

/// Listens for the word of a shim. It is the first that is written to stderr, or it was not said.
#[derive(Debug, Default)]
pub(super) struct Listening {
    /// Until the first line.
    proof: Option<String>,
    word: Option<ShimWord>,
}

impl Listening {
    /// For a process whose shim has this token.
    pub(super) fn new(proof: Option<String>) -> Self {
        Self { proof, word: None }
    }

    /// Takes a line, and returns it as it is shown: the token is nobody's business.
    pub(super) fn hear<'l>(&mut self, line: OutputLine<'l>) -> OutputLine<'l> {
        if self.proof.is_none() || line.source != Source::Stderr {
            return line;
        }
        let proof = self.proof.take().unwrap_or_default();
        let said = line.text.strip_prefix(&*proof).and_then(|said| said.strip_prefix(' '));
        let word = said.and_then(|said| {
            Unbegun::ALL.into_iter().find_map(|(why, name)| said.strip_prefix(name).map(|text| (why, text)))
        });
        let Some((why, text)) = word else { return line };
        self.word = Some(ShimWord { why, text: text.to_owned() });
        OutputLine { text, ..line }
    }

    /// What it said.
    pub(super) fn word(&self) -> Option<&ShimWord> {
        self.word.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listening: &mut Listening, source: Source, text: &str) -> String {
        listening.hear(OutputLine { source, text, continued: false, overwritten: "" }).text.to_owned()
    }

    #[test]
    fn only_who_has_the_token_is_the_shim_and_only_at_first() {
        let proof = proof(b"1-2-3").unwrap();
        for why in [Unbegun::Short, Unbegun::NotExecuted, Unbegun::Failed] {
            let word = ShimWord { why, text: "windlass: no".to_owned() };
            let mut listening = Listening::new(Some(proof.clone()));
            let said = line(Some(&proof), &word);
            assert_eq!(heard(&mut listening, Source::Stderr, &said), word.text);
            assert_eq!(listening.word(), Some(&word));
            assert_eq!(line(None, &word), word.text);
            // After another line, of another run, on another pipe, or without a token at all.
            let of_another = line(super::proof(b"1-2-4").as_deref(), &word);
            for (source, text) in [(Source::Stderr, &of_another), (Source::Stdout, &said), (Source::Stderr, &word.text)]
            {
                let mut listening = Listening::new(Some(proof.clone()));
                assert_eq!(heard(&mut listening, source, text), *text);
                assert_eq!(listening.word(), None);
            }
            let mut listening = Listening::new(Some(proof.clone()));
            heard(&mut listening, Source::Stderr, "first");
            assert_eq!(heard(&mut listening, Source::Stderr, &said), said);
            assert_eq!(listening.word(), None);
        }
        let mut nobody = Listening::default();
        assert_eq!(heard(&mut nobody, Source::Stderr, " short x"), " short x");
        assert_eq!(nobody.word(), None);
    }
}
