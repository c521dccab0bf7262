//! Records that cannot be read: a look passes them over, names them and counts them.
//!
//! What is passed over is told by kind: one line names the first of them and says how many there are. It is told again
//! when the count or a name changes, and when all can be read again.

use std::collections::BTreeMap;

use super::role::{Admin, arrow};
use crate::text::shell::command_with_bytes;

/// How many records of a kind a line names.
const MAX_NAMED: usize = 4;
/// How much of a name or a reason a line shows, in characters.
const MAX_SHOWN: usize = 100;

/// Counts the records that cannot be read, kind by kind. Kinds without any are left out.
///
/// It looks at names of queues, registrations of instances, workers with their pings and working records, periodic tasks, and on SQLite at
/// the times of delayed jobs. Jobs and failure records are listed with their bytes instead, whatever these are. Of very many
/// names of queues those are looked at that the store names first, and so of workers ([`MOST_COUNTED`]).
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountUnreadable;

/// How many workers [`CountUnreadable`] looks at.
pub const MOST_COUNTED: usize = 5000;

arrow!(CountUnreadable, "count_unreadable", Reads -> Vec<Unreadable>; Admin);

/// How many records of a kind cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The kind.
    pub kind: RecordKind,
    /// How many.
    pub count: u64,
    /// Names the first of them, and says why.
    pub text: String,
}

/// A kind of stored record that can be unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// The registration of an instance.
    Instance,
    /// The id of a registered worker.
    Worker,
    /// What a worker works on.
    Working,
    /// When a worker pinged last.
    Ping,
    /// The entry of a periodic task.
    Periodic,
    /// The last occurrence of a schedule.
    Occurrence,
    /// A delayed job without a time at which it is due.
    Delayed,
    /// An item that was set aside to be moved to another store.
    SetAside,
    /// The name of a queue.
    Queue,
    /// What ran of a task in a minute, ten minutes or an hour.
    Counts,
    /// A finished run that is kept.
    Run,
    /// What somebody wishes of a run.
    Wish,
}

impl RecordKind {
    /// One or several of them, for people.
    #[must_use]
    pub fn noun(self, count: u64) -> &'static str {
        match (self, count) {
            (Self::Instance, 1) => "registration of an instance",
            (Self::Instance, _) => "registrations of instances",
            (Self::Worker, 1) => "worker id",
            (Self::Worker, _) => "worker ids",
            (Self::Working, 1) => "working record",
            (Self::Working, _) => "working records",
            (Self::Ping, 1) => "ping of a worker",
            (Self::Ping, _) => "pings of workers",
            (Self::Periodic, 1) => "entry of a periodic task",
            (Self::Periodic, _) => "entries of periodic tasks",
            (Self::Occurrence, 1) => "last occurrence of a schedule",
            (Self::Occurrence, _) => "last occurrences of schedules",
            (Self::Delayed, 1) => "delayed job",
            (Self::Delayed, _) => "delayed jobs",
            (Self::Queue, 1) => "name of a queue",
            (Self::Queue, _) => "names of queues",
            (Self::Counts, 1) => "count of what ran",
            (Self::Counts, _) => "counts of what ran",
            (Self::Run, 1) => "record of a finished run",
            (Self::Run, _) => "records of finished runs",
            (Self::Wish, 1) => "wish about a run",
            (Self::Wish, _) => "wishes about runs",
            (Self::SetAside, 1) => "item that was set aside",
            (Self::SetAside, _) => "items that were set aside",
        }
    }
}

/// What one look at all records of a kind could not read.
#[derive(Debug)]
pub struct PassedOver {
    pub(super) kind: RecordKind,
    pub(super) count: u64,
    /// Which records were looked at, if these are not all of the kind.
    pub(super) part: Option<String>,
    /// Were all of them looked at? Else that nothing was passed over says nothing.
    pub(super) is_whole: bool,
    /// The first of them, in the order of their names: the order in which a store lists them may change.
    named: BTreeMap<String, String>,
    /// The name of one that a command can mend.
    mended: Option<Vec<u8>>,
}

impl PassedOver {
    /// Nothing yet.
    #[must_use]
    pub fn new(kind: RecordKind) -> Self {
        Self { kind, count: 0, part: None, is_whole: true, named: BTreeMap::new(), mended: None }
    }

    /// Nothing yet of a look at some records of a kind, of which the next look may see others. What it passes over is told; that it
    /// passed over nothing says nothing.
    #[must_use]
    pub fn of_some(kind: RecordKind) -> Self {
        Self { is_whole: false, ..Self::new(kind).of("some") }
    }

    /// The same of a look at some records of the kind, which this text names.
    #[must_use]
    pub fn of(self, part: impl Into<String>) -> Self {
        Self { part: Some(part.into()), ..self }
    }

    /// The look ends before it came to all of them: others may be there that cannot be read.
    pub fn ends_early(&mut self) {
        self.is_whole = false;
    }

    /// Passes over the record of this name, for this reason.
    pub fn add(&mut self, name: &[u8], reason: &str) {
        self.count += 1;
        // A command with a longer one could not be read. The first in order, as below.
        if self.kind == RecordKind::Queue
            && name.len() <= MAX_SHOWN
            && self.mended.as_deref().is_none_or(|least| name < least)
        {
            self.mended = Some(name.to_vec());
        }
        self.named.insert(shown(name), reason.chars().take(MAX_SHOWN).collect());
        if self.named.len() > MAX_NAMED {
            self.named.pop_last();
        }
    }

    /// The same as a value, if anything was passed over.
    #[must_use]
    pub fn unreadable(&self, place: &str) -> Option<Unreadable> {
        (self.count > 0).then(|| Unreadable { kind: self.kind, count: self.count, text: self.text(place) })
    }

    /// What people are told; `place` is where the records stand.
    #[must_use]
    pub fn text(&self, place: &str) -> String {
        let named: Vec<_> = self.named.iter().map(|(name, reason)| format!("\"{name}\" ({reason})")).collect();
        let noun = self.kind.noun(self.count);
        let more = if self.count > self.named.len() as u64 { ", ..." } else { "" };
        let is = if self.count == 1 { "is" } else { "are" };
        let mend = match &self.mended {
            Some(name) => {
                format!("give it a name that is text: {}", command_with_bytes("queues rename", name, "NAME"))
            }
            None => "correct or remove what stands there".to_owned(),
        };
        format!(
            "{} {noun} in {place} cannot be read and {is} passed over: {}{more}; {mend}",
            self.count,
            named.join(", ")
        )
    }
}

/// The beginning of a name, on one line: what is no text is written as `\xE4`.
fn shown(name: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in name.get(..MAX_SHOWN).unwrap_or(name).utf8_chunks() {
        shown.extend(chunk.valid().chars().flat_map(char::escape_debug));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_all_and_names_the_first_of_them_in_any_order() {
        let text = |order: &[u64]| {
            let mut passed = PassedOver::new(RecordKind::Instance);
            order.iter().for_each(|n| passed.add(format!("i{n}").as_bytes(), "cut short"));
            passed.text("the table instances")
        };
        assert_eq!(
            text(&[1]),
            "1 registration of an instance in the table instances cannot be read and is passed over: \"i1\" (cut short); \
             correct or remove what stands there"
        );
        let six = text(&[1, 2, 3, 4, 5, 6]);
        assert!(
            six.starts_with("6 registrations of instances in") && six.contains("\"i4\" (cut short), ...;"),
            "{six}"
        );
        assert!(!six.contains("i5"), "{six}");
        assert_eq!(text(&[6, 4, 2, 1, 3, 5]), six);
    }

    #[test]
    fn a_name_that_is_no_text_is_written_byte_by_byte() {
        let mut passed = PassedOver::new(RecordKind::Queue);
        passed.add(b"caf\xe9\x1b", "no text");
        assert!(
            passed.text("resque:queues").contains(r#": "caf\xE9\u{1b}" (no text)"#),
            "{}",
            passed.text("resque:queues")
        );
        let told = r"give it a name that is text: windlass queues rename $'caf\351\033' NAME";
        assert!(passed.text("resque:queues").ends_with(told), "{}", passed.text("resque:queues"));
    }

    #[test]
    fn a_line_is_short_whatever_the_names_are() {
        let mut passed = PassedOver::new(RecordKind::Periodic);
        for n in 0..100u8 {
            let mut name = vec![n, 0xff, 0x1b];
            name.resize(100_000, b'x');
            passed.add(&name, &"why".repeat(100_000));
        }
        let text = passed.text("here");
        assert!(text.starts_with("100 entries") && text.len() < 2_000, "{text}");
    }
}
