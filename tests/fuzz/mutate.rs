//! Makes inputs of examples: flips, cuts, splices, repetitions and what readers stumble over.

/// What readers stumble over.
const STUMBLES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[]",
    b"{}",
    b",",
    b":",
    b"=",
    b"-",
    b"--",
    b"..",
    b"/",
    b"%",
    b"%2F",
    b"@",
    b"#",
    b"?",
    b"*",
    b"!",
    b" ",
    b"null",
    b"true",
    b"nan",
    b"inf",
    b"0",
    b"-0",
    b"-1",
    b"1e999",
    b"0.1",
    b"59",
    b"255",
    b"256",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\xf0\x9f\x98\x80",
];

/// The longest input. Longer ones find what grows faster than its input; few are.
const LONGEST: usize = 64 << 10;

/// The generator of one target's inputs.
pub(crate) struct Mutator<'e> {
    examples: &'e [Vec<u8>],
    /// The words of the examples, which are what the target's format is made of.
    words: Vec<&'e [u8]>,
    state: u64,
}

impl<'e> Mutator<'e> {
    pub(crate) fn new(seed: u64, examples: &'e [Vec<u8>]) -> Self {
        let between = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii();
        let mut words: Vec<&[u8]> = examples.iter().flat_map(|example| example.split(between)).collect();
        words.sort_unstable();
        words.dedup();
        Self { examples, words, state: seed }
    }

    /// The next input.
    pub(crate) fn input(&mut self) -> Vec<u8> {
        let mut input = self.example().to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (begin, end) = self.range(input.len());
        match self.below(16) {
            0 | 1 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            2 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.next().to_le_bytes()[0];
            }
            3 => input.truncate(end),
            4 | 5 => drop(input.drain(begin..end)),
            6 => input.extend_from_within(begin..end),
            7 => {
                let piece = input[begin..end].to_vec();
                // Mostly a few times; sometimes as often as fits.
                let most = if self.below(20) == 0 { LONGEST / piece.len().max(1) } else { 8 };
                let piece = piece.repeat(self.below(most.max(1)) + 1);
                input.splice(begin..end, piece);
            }
            8 => {
                let other = self.example();
                let (from, to) = self.range(other.len());
                input.splice(begin..end, other[from..to].iter().copied());
            }
            9 => {
                let other = self.example();
                let (from, to) = self.range(other.len());
                input.splice(begin..begin, other[from..to].iter().copied());
            }
            10 | 11 if !self.words.is_empty() => {
                let at = self.below(self.words.len());
                let word = self.words[at];
                let (begin, end) = if self.below(2) == 0 { word_at(input, begin) } else { (begin, begin) };
                input.splice(begin..end, word.iter().copied());
            }
            choice => {
                let stumble = STUMBLES[self.below(STUMBLES.len())];
                let (begin, end) = if choice % 2 == 0 { word_at(input, begin) } else { (begin, begin) };
                input.splice(begin..end, stumble.iter().copied());
            }
        }
    }

    fn example(&mut self) -> &'e [u8] {
        let at = self.below(self.examples.len());
        &self.examples[at]
    }

    /// Two positions in order, mostly near each other.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let begin = self.below(length + 1);
        let far = if self.below(4) == 0 { length } else { 8 };
        (begin, (begin + self.below(far + 1)).min(length))
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a size")
    }

    /// SplitMix64: every seed gives a good sequence.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The word around a position.
fn word_at(input: &[u8], at: usize) -> (usize, usize) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = input[..at].iter().rev().take_while(|byte| is_word(byte)).count();
    let behind = input[at..].iter().take_while(|byte| is_word(byte)).count();
    (at - before, at + behind)
}
