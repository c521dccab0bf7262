//! What room a store has left, for people who look.

use super::role::{Admin, arrow};

/// How much of the memory of a server may be used before that is told, in percent.
pub const MUCH: u64 = 80;

/// Asks how much room the store has. What this user may not ask is left out.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct ReadRoom;

arrow!(ReadRoom, "read_room", Reads -> RoomLeft; Admin);

/// The room that a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomLeft {
    /// The memory of a server.
    Memory(ServerMemory),
    /// The file system of a file.
    Disk(DiskRoom),
}

/// What a server says of its memory, as far as it may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMemory {
    /// The bytes that it uses.
    pub used: Option<u64>,
    /// The bytes that it may use, if there is a limit.
    pub most: Option<u64>,
    /// What it does at that limit (`maxmemory-policy`).
    pub policy: Option<String>,
    /// How many keys it has deleted there since it started.
    pub evicted: u64,
}

impl ServerMemory {
    /// The policy by which it deletes keys, if there is a limit at which it does.
    #[must_use]
    pub fn evicting(&self) -> Option<&str> {
        self.policy.as_deref().filter(|policy| self.most.is_some() && *policy != "noeviction")
    }

    /// Is the limit reached?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.used.zip(self.most).is_some_and(|(used, most)| used >= most)
    }

    /// How much of it is used, in percent, if that is much.
    #[must_use]
    pub fn much(&self) -> Option<u64> {
        let (used, most) = self.used.zip(self.most)?;
        Some(used.saturating_mul(100).checked_div(most)?).filter(|percent| *percent >= MUCH)
    }
}

/// The room on the file system of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRoom {
    /// The file's folder.
    pub folder: String,
    /// The bytes that are left for this user, and all bytes; `None` if that cannot be asked.
    pub bytes: Option<(u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_what_makes_a_policy_or_a_number_matter() {
        let memory = |used, most| ServerMemory {
            used: Some(used),
            most,
            policy: Some("allkeys-lru".to_owned()),
            ..ServerMemory::default()
        };
        assert_eq!(memory(800, Some(1000)).much(), Some(80));
        assert_eq!(memory(799, Some(1000)).much(), None);
        assert!(memory(1000, Some(1000)).is_full() && !memory(999, Some(1000)).is_full());
        assert_eq!(memory(u64::MAX, Some(1)).much(), Some(u64::MAX));
        assert_eq!(
            (memory(7, None).much(), memory(7, None).is_full(), memory(7, None).evicting()),
            (None, false, None)
        );
        assert_eq!(memory(7, Some(100)).evicting(), Some("allkeys-lru"));
    }
}
