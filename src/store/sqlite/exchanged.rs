//! What a lane remembers of its last exchange, in the form in which the file keeps it.

use crate::store::queueing::Repeated;

/// The outcome of an enter. The number of the gate that refused stands for its plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnterOutcome {
    /// With the second for which it was due, if a gate told one.
    Taken(Option<i64>),
    PutBack(usize),
    Dropped(usize),
    Lost,
    /// It was refused; the claim stands.
    Undone,
}

/// What a lane remembers of its last exchange.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) lost: Vec<usize>,
    pub(super) enter_outcomes: Vec<EnterOutcome>,
    pub(super) repeated: Vec<Repeated>,
    /// Settlements that were refused; their claims stand.
    pub(super) undone: Vec<usize>,
}

impl Reply {
    /// Lost indexes, outcomes of enters by letter and gate, attempts to be repeated, undone indexes:
    /// `3,8;T,T1800000000,P0,D1,L;4:2:1000;5`.
    pub(super) fn encode(&self) -> String {
        let numbers = |all: &[usize]| all.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let enter_outcomes: Vec<String> = self.enter_outcomes.iter().map(EnterOutcome::encode).collect();
        let repeat = |Repeated { index, left, delay_ms }: &Repeated| format!("{index}:{left}:{delay_ms}");
        let repeated: Vec<String> = self.repeated.iter().map(repeat).collect();
        let (lost, undone) = (numbers(&self.lost), numbers(&self.undone));
        format!("{lost};{};{};{undone}", enter_outcomes.join(","), repeated.join(","))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (lost, rest) = text.split_once(';')?;
        // Versions before Retry wrote two parts, the next ones three.
        let (enter_outcomes, rest) = rest.split_once(';').unwrap_or((rest, ""));
        let (repeated, undone) = rest.split_once(';').unwrap_or((rest, ""));
        let repeat = |text: &String| {
            let mut numbers = text.split(':');
            let mut next = || numbers.next();
            let (index, left, delay_ms) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
            Some(Repeated { index, left, delay_ms })
        };
        let items =
            |text: &'_ str| text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        Some(Self {
            lost: items(lost).iter().map(|index| index.parse().ok()).collect::<Option<_>>()?,
            enter_outcomes: items(enter_outcomes)
                .iter()
                .map(|outcome| EnterOutcome::decode(outcome))
                .collect::<Option<_>>()?,
            repeated: items(repeated).iter().map(repeat).collect::<Option<_>>()?,
            undone: items(undone).iter().map(|index| index.parse().ok()).collect::<Option<_>>()?,
        })
    }
}

impl EnterOutcome {
    fn encode(&self) -> String {
        match self {
            Self::Taken(None) => "T".to_owned(),
            Self::Taken(Some(due_s)) => format!("T{due_s}"),
            Self::Lost => "L".to_owned(),
            Self::Undone => "U".to_owned(),
            Self::PutBack(gate) => format!("P{gate}"),
            Self::Dropped(gate) => format!("D{gate}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("T", "") => Some(Self::Taken(None)),
            ("T", due_s) => due_s.parse().ok().map(|due_s| Self::Taken(Some(due_s))),
            ("L", "") => Some(Self::Lost),
            ("U", "") => Some(Self::Undone),
            ("P", gate) => gate.parse().ok().map(Self::PutBack),
            ("D", gate) => gate.parse().ok().map(Self::Dropped),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_survives_its_stored_form() {
        let full = Reply {
            lost: vec![0, 12],
            enter_outcomes: vec![
                EnterOutcome::Taken(None),
                EnterOutcome::Taken(Some(-7)),
                EnterOutcome::PutBack(0),
                EnterOutcome::Dropped(3),
                EnterOutcome::Lost,
                EnterOutcome::Undone,
            ],
            repeated: vec![Repeated { index: 4, left: 2, delay_ms: 1000 }],
            undone: vec![7, 9],
        };
        for reply in [full, Reply::default()] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        for bad in ["", "x;", ";X", ";P", ";Tx", "1", ";;1:2"] {
            assert_eq!(Reply::decode(bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[TLPDU0-9:;,\\-\\PC]{0,40}") {
            if let Some(reply) = Reply::decode(&text) {
                proptest::prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
            }
        }
    }
}
