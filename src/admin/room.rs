//! A store that has no room left, or little, or that deletes what it holds to make room. All views tell the same.

use bytesize::ByteSize;

use crate::config::element::redis_cli::redis_cli;
use crate::config::element::redis_url::RedisUrl;
use crate::store::room::{DiskRoom, RoomLeft, ServerMemory};
use crate::text::clean::named;
use crate::text::shell::word;

/// With less than this a file cannot grow by a page and its log.
const NO_ROOM: u64 = 64 * 1024;
/// With less than this it is told that there is little.
const LITTLE: u64 = 64 * 1024 * 1024;

/// What a store lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shortage {
    /// It takes no jobs at present, or is about to refuse them.
    pub(super) is_full: bool,
    /// It deletes keys.
    pub(super) evicts: bool,
    pub(super) text: String,
    pub(super) command: String,
}

impl Shortage {
    /// In one sentence, with what to type next.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.text, self.command)
    }
}

/// What the store at this address lacks. `refused`: a write that was just tried was refused, in these words.
pub(super) fn shortages(address: &str, room: Option<&RoomLeft>, refused: Option<&str>) -> Vec<Shortage> {
    match room {
        Some(RoomLeft::Memory(memory)) => of_server(address, memory, refused),
        Some(RoomLeft::Disk(disk)) => of_disk(disk, refused).into_iter().collect(),
        None => Vec::new(),
    }
}

/// How a person asks the server at this address.
pub(super) fn asked(address: &str) -> String {
    RedisUrl::parse(address).map_or_else(|_| "redis-cli".to_owned(), |url| redis_cli(&url))
}

fn of_server(address: &str, memory: &ServerMemory, refused: Option<&str>) -> Vec<Shortage> {
    let (cli, mut found) = (asked(address), Vec::new());
    let evicting = memory.evicting();
    let much = memory.used.filter(|_| refused.is_some() || memory.much().is_some());
    if let Some(used) = much {
        let is_full = refused.is_some() || (memory.is_full() && evicting.is_none());
        let most = memory.most.map(|most| format!(" of the {} that it may use", size(most))).unwrap_or_default();
        let what = match is_full {
            true => "the store is full and takes no new jobs",
            false => "the memory of the store is nearly full",
        };
        let text = format!(
            "{what}: it uses {}{most}; delete what is not needed, or, if its machine has more memory, raise the limit",
            size(used)
        );
        const MIB: u64 = 1 << 20;
        let twice = used.saturating_mul(2).div_ceil(MIB).saturating_mul(MIB);
        found.push(Shortage { is_full, evicts: false, text, command: format!("{cli} CONFIG SET maxmemory {twice}") });
    }
    if let Some(policy) = evicting {
        let so_far = match memory.evicted {
            0 => String::new(),
            keys => format!("; it has deleted {keys} since it started, of whatever program"),
        };
        let text = format!(
            "the store deletes keys when its memory is full (maxmemory-policy {}), so that jobs and locks get lost without a \
             word{so_far}; to have it refuse new ones instead",
            named(&policy)
        );
        let command = format!("{cli} CONFIG SET maxmemory-policy noeviction");
        found.push(Shortage { is_full: false, evicts: true, text, command });
    }
    found
}

fn of_disk(disk: &DiskRoom, refused: Option<&str>) -> Option<Shortage> {
    let (left, all) = disk.bytes.unzip();
    let is_full = refused.is_some() || left.is_some_and(|left| left < NO_ROOM);
    if !is_full && left.is_none_or(|left| left >= LITTLE) {
        return None;
    }
    let bytes = left.zip(all).map(|(left, all)| format!(": {} of {} are left", size(left), size(all)));
    let bytes = bytes.unwrap_or_default();
    let folder = named(&disk.folder);
    let text = match is_full {
        true => format!(
            "the store is full: its file in {folder} cannot grow{bytes}. Daemons and enqueuers fail until there is room; \
             delete other files there. What takes the room"
        ),
        false => format!("there is little room for the file of the store in {folder}{bytes}. What takes the room"),
    };
    let command = format!("du -xah {} | sort -h | tail", word(&disk.folder));
    Some(Shortage { is_full, evicts: false, text, command })
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(room: RoomLeft, refused: Option<&str>) -> Vec<(bool, String)> {
        let found = shortages("redis://h:7", Some(&room), refused);
        found.into_iter().map(|one| (one.is_full, one.line())).collect()
    }

    #[test]
    fn a_full_server_is_told_with_the_command_that_raises_its_limit() {
        let memory = |used, most, policy: &str| {
            RoomLeft::Memory(ServerMemory {
                used: Some(used),
                most,
                policy: Some(policy.to_owned()),
                ..ServerMemory::default()
            })
        };
        let told = of(memory(900_000, Some(800_000), "noeviction"), None);
        assert!(told[0].0 && told[0].1.ends_with("redis-cli -h h -p 7 CONFIG SET maxmemory 2097152"), "{told:?}");
        assert!(!of(memory(900_000, Some(1_000_000), "noeviction"), None)[0].0, "it still takes some");
        assert!(of(memory(900_000, Some(1_000_000), "noeviction"), Some("OOM"))[0].0, "it says so");
        assert_eq!(of(memory(900_000, None, "allkeys-lru"), None), [], "there is no limit");
        let told = of(memory(1000, Some(1_000_000), "allkeys-lru"), None);
        assert!(matches!(&told[..], [(false, text)] if text.ends_with("maxmemory-policy noeviction")), "{told:?}");
    }

    #[test]
    fn a_full_disk_is_told_and_one_with_room_is_not() {
        let disk = |left| RoomLeft::Disk(DiskRoom { folder: "/a b".to_owned(), bytes: Some((left, 1 << 40)) });
        assert_eq!(of(disk(LITTLE), None), []);
        let told = of(disk(LITTLE - 1), None);
        assert!(!told[0].0 && told[0].1.ends_with("du -xah '/a b' | sort -h | tail"), "{told:?}");
        assert!(of(disk(NO_ROOM - 1), None)[0].0 && of(disk(LITTLE), Some("full"))[0].0);
        assert_eq!(of(RoomLeft::Disk(DiskRoom::default()), None), []);
    }
}
