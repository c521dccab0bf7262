//! Long values of a call that the server has already: they are taken there out of a record (`scripts/lend.lua`).
//!
//! A job of tens of megabytes that fails, is put off or given back stands several times in the call that says so: as itself,
//! in its failure record, in the keys of its stamps, of its locks and of Retry. On a slow path such a call is never done in
//! time, and a server may refuse it (`proto-max-bulk-len`, `client-query-buffer-limit`). So of such a value only that is
//! sent which does not stand in the record. Calls about short jobs pay nothing for it.

use bytes::Bytes;
use memchr::memmem;

use super::script::{Call, Script};
use crate::store::scheduling::LongDue;

/// From how many bytes on a job is lent.
pub(super) const LONG: usize = 32 * 1024;

/// How many bytes of a value are looked for at once.
const SEED: usize = 512;
/// How many ranges of a record one value has at most.
const RANGES: usize = 64;
/// How many bytes of a record are looked through in vain at most, and how often in any case.
const MISSES: (usize, usize) = (128 * 1024 * 1024, 8);

/// Does this job stand last in its working record as it is (`claim.lua`), and is it long?
pub(super) fn is_long(payload: &[u8]) -> bool {
    payload.len() >= LONG && payload.starts_with(b"{") && payload.ends_with(b"}")
}

/// A value, as texts around ranges of a record: each range follows its text, and the last text follows all.
#[derive(Debug, PartialEq, Eq)]
struct Pieces {
    ranges: Vec<(Bytes, usize, usize)>,
    rest: Bytes,
}

impl Pieces {
    /// The value in pieces. `None` if sending them would not save most of it.
    fn of(value: &Bytes, record: &[u8]) -> Option<Self> {
        let (mut ranges, mut done, mut at) = (Vec::new(), 0, 0);
        let (mut expected, mut misses) = (0, 0);
        let most = (MISSES.0 / record.len().max(1)).clamp(MISSES.1, RANGES);
        while at + SEED <= value.len() && ranges.len() < RANGES && misses < most {
            let seed = &value[at..at + SEED];
            // What follows the last range comes first: an equal part elsewhere would end earlier.
            let behind = memmem::find(&record[expected..], seed).map(|found| expected + found);
            let before = || if expected > 0 { memmem::find(record, seed) } else { None };
            let Some(found) = behind.or_else(before) else {
                (at, misses) = (at + SEED, misses + 1);
                continue;
            };
            let before = value[done..at].iter().rev().zip(record[..found].iter().rev());
            let before = before.take_while(|(one, other)| one == other).count();
            let (from, begin) = (at - before, found - before);
            let same = value[from..].iter().zip(&record[begin..]);
            let length = same.take_while(|(one, other)| one == other).count();
            ranges.push((value.slice(done..from), begin, length));
            (done, at, expected) = (from + length, from + length, begin + length);
        }
        let rest = value.slice(done..);
        let sent = rest.len() + ranges.iter().map(|(text, ..)| text.len()).sum::<usize>();
        (sent < value.len() / 2).then_some(Self { ranges, rest })
    }
}

/// A value that is lent.
struct Loan {
    /// Is it a key?
    is_key: bool,
    /// Its place in KEYS or ARGV, from 1.
    place: usize,
    pieces: Pieces,
}

/// How the script knows that the record is the one that the caller means.
pub(super) enum Known {
    /// The script compares it anyway.
    Compared,
    /// It ends with the job: what was lent is counted from the job's beginning.
    EndsWithJob,
    /// By its digest (SHA-1).
    Digest,
}

/// The long values of a part of a call, and the record that lends them.
struct Lender {
    /// Where the script finds the record.
    position: usize,
    /// What is sent for [`Known`].
    check: Bytes,
    /// What lies behind the lent bytes in the record.
    behind: usize,
    loans: Vec<Loan>,
}

/// All lenders of a call.
#[derive(Default)]
pub(super) struct Lending {
    lenders: Vec<Lender>,
}

impl Lending {
    /// Takes the long values out of a call that were added since it had so many keys and arguments.
    pub(super) fn lend(
        &mut self,
        call: &mut Call,
        from: (usize, usize),
        (position, record): (usize, &[u8]),
        known: &Known,
    ) {
        let loans = loans(call, from, record, None);
        if loans.is_empty() {
            return;
        }
        let (check, behind) = match known {
            Known::Compared => (Bytes::new(), 0),
            // Behind the job stands the brace of the record.
            Known::EndsWithJob => (Bytes::from(record.len().to_string()), 1),
            Known::Digest => (Bytes::from(format!("#{}", digest(record))), 0),
        };
        let behind = behind + record.len();
        self.lenders.push(Lender { position, check, behind, loans });
    }

    /// The same for a record of which no more is known than its length and its digest: the first key since the call had so many
    /// is `prefix` and ends with the record, and the first argument is the record.
    pub(super) fn lend_whole(&mut self, (keys, args): (usize, usize), prefix: Bytes, position: usize, long: &LongDue) {
        let length = usize::try_from(long.length).unwrap_or(usize::MAX);
        let pieces = |text| Pieces { ranges: vec![(text, 0, length)], rest: Bytes::new() };
        let loans = vec![
            Loan { is_key: true, place: keys + 1, pieces: pieces(prefix) },
            Loan { is_key: false, place: args + 1, pieces: pieces(Bytes::new()) },
        ];
        self.lenders.push(Lender { position, check: Bytes::from(format!("#{}", long.digest)), behind: length, loans });
    }

    /// The same for values that stand in the call's own argument `at`, counted from 0, which goes once: a script that reads
    /// `lent.lua` first knows all arguments.
    pub(super) fn lend_argument(&mut self, call: &mut Call, from: (usize, usize), (at, argument): (usize, &[u8])) {
        let loans = if argument.len() < LONG { Vec::new() } else { loans(call, from, argument, Some(at + 1)) };
        if !loans.is_empty() {
            self.lenders.push(Lender { position: at + 1, check: Bytes::new(), behind: argument.len(), loans });
        }
    }

    /// Writes what `lent.lua` reads behind all others, if there is anything, and picks the script: the plain one, or that which
    /// begins with `lent.lua`.
    pub(super) fn pick(self, call: &mut Call, [plain, lent]: [&'static Script; 2]) -> &'static Script {
        if self.lenders.is_empty() {
            return plain;
        }
        let at = call.lengths().1;
        self.write_lenders(call);
        call.number(at);
        lent
    }

    /// Writes what `lend.lua` reads, and at the argument `at` where it begins.
    pub(super) fn write(self, call: &mut Call, at: usize) {
        if self.lenders.is_empty() {
            return;
        }
        call.set_number(at, call.lengths().1);
        self.write_lenders(call);
    }

    /// Writes what `lend.lua` reads.
    pub(super) fn write_lenders(self, call: &mut Call) {
        call.number(self.lenders.len());
        for Lender { position, check, behind, loans } in self.lenders {
            call.number(position).arg(check).number(loans.len());
            for Loan { is_key, place, pieces: Pieces { ranges, rest } } in loans {
                call.literal(if is_key { "K" } else { "A" }).number(place).number(ranges.len());
                for (text, begin, length) in ranges {
                    call.arg(text).number(behind - begin).number(length);
                }
                call.arg(rest);
            }
        }
    }
}

/// The long values that were added since a call had so many keys and arguments, as far as a record lends them. `own` is the place of
/// the record, if it is an argument itself.
fn loans(call: &mut Call, (keys, args): (usize, usize), record: &[u8], own: Option<usize>) -> Vec<Loan> {
    let mut loans = Vec::new();
    call.each_value_from(keys, args, |is_key, place, value| {
        if value.len() < LONG || !is_key && own == Some(place) {
            return None;
        }
        let pieces = Pieces::of(value, record)?;
        // The server judges a key by what it begins with: its namespace, and its slot.
        let first = pieces.ranges.first().map(|(text, ..)| text.clone());
        let stands_for = first.filter(|text| !is_key || !text.is_empty())?;
        loans.push(Loan { is_key, place, pieces });
        Some(stands_for)
    });
    loans
}

/// The digest of a record, as the server's scripts compute it.
pub(super) fn digest(raw: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, raw);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, proptest};

    use super::*;

    /// The value that the script puts together.
    fn put_together(pieces: &Pieces, record: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        for (text, begin, length) in &pieces.ranges {
            value.extend_from_slice(text);
            value.extend_from_slice(&record[*begin..begin + length]);
        }
        value.extend_from_slice(&pieces.rest);
        value
    }

    fn sent(pieces: &Pieces) -> usize {
        pieces.rest.len() + pieces.ranges.iter().map(|(text, ..)| text.len()).sum::<usize>()
    }

    /// A job whose long argument has no two equal parts.
    fn job() -> String {
        let words: Vec<String> = (0..9000).map(|n| format!("word{n}")).collect();
        format!(r#"{{"class":"long","args":["{}",1]}}"#, words.join(" "))
    }

    #[test]
    fn of_what_stands_in_the_record_little_is_sent() {
        let job = job();
        let args = &job[r#"{"class":"long","args":"#.len()..job.len() - 1];
        let put_off = job.replacen(r#""long","#, r#""long","queue":"q","#, 1);
        for value in [
            job.clone(),
            put_off.clone(),
            format!("r:timestamps:{put_off}"),
            format!(r#"{{"worker":"w","payload":{job},"error":"x"}}"#),
            format!("r:lock:long:q:{args}"),
            format!("r:resque-retry:long:{}-1", &args[2..args.len() - 4]),
        ] {
            let value = Bytes::from(value);
            let pieces = Pieces::of(&value, job.as_bytes()).expect("it stands there");
            assert!(put_together(&pieces, job.as_bytes()) == value);
            assert!(sent(&pieces) < 2 * SEED, "{} bytes", sent(&pieces));
        }
        assert_eq!(Pieces::of(&Bytes::from("x".repeat(100_000)), job.as_bytes()), None, "it stands elsewhere");
    }

    #[test]
    fn a_job_of_equal_bytes_is_lent_as_well() {
        let job = format!(r#"{{"class":"long","args":["{}"]}}"#, "x".repeat(5_000_000));
        let value = Bytes::from(format!("r:timestamps:{}", job.replacen(r#""long","#, r#""long","queue":"q","#, 1)));
        let pieces = Pieces::of(&value, job.as_bytes()).expect("it stands there");
        assert!(put_together(&pieces, job.as_bytes()) == value);
        assert!(sent(&pieces) < 2 * SEED, "{} bytes", sent(&pieces));
    }

    #[test]
    fn a_call_about_short_values_is_sent_as_it_is() {
        let mut call = Call::at(Some(1));
        let at = call.lengths().1;
        call.literal("0").key(Bytes::from_static(b"r:k")).arg(Bytes::from(vec![b'x'; LONG - 1]));
        let before = format!("{call:?}");
        let mut lending = Lending::default();
        lending.lend(&mut call, (0, 0), (1, &vec![b'x'; 2 * LONG]), &Known::EndsWithJob);
        lending.write(&mut call, at);
        assert_eq!(format!("{call:?}"), before);
    }

    proptest! {
        #[test]
        fn every_value_is_put_together_as_it_was(
            record in proptest::collection::vec(0_u8..3, 0..4000),
            cuts in proptest::collection::vec((0_usize..4000, 0_usize..2000), 0..6).prop_map(|cuts| cuts),
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let mut value = Vec::new();
            for (from, length) in cuts {
                let from = from.min(record.len());
                value.extend_from_slice(&record[from..(from + length).min(record.len())]);
                value.extend_from_slice(&noise[..noise.len().min(length)]);
            }
            let value = Bytes::from(value);
            if let Some(pieces) = Pieces::of(&value, &record) {
                assert!(put_together(&pieces, &record) == value);
                assert!(sent(&pieces) < value.len());
            }
        }
    }
}
