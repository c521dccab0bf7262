//! Did the kernel kill a process of ours because memory ran out?
//!
//! It says so nowhere but in counters of the control group, which is that of the daemon: jobs stay in it. They are read
//! when a process was killed by a signal that nobody here sent, and at most every ten seconds when one starts, so that an
//! older kill is not taken for this one. Where there are no such counters, nothing is claimed.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How old the counters may be that a start takes as those from before it.
const FRESH: Duration = Duration::from_secs(10);
/// How long after a kill was counted a process may be found dead of it; the kernel may kill a whole group at once.
const AFTERMATH: Duration = Duration::from_secs(2);
/// The lowest of the numbers by which version 1 says "no limit".
const NO_LIMIT: u64 = 1 << 62;

/// The control group of this process. Static, because a process is in one.
static OURS: Mutex<Option<MemoryKills>> = Mutex::new(None);

/// A process is about to start.
pub(super) fn glance() {
    with(|kills| {
        if kills.read_at.elapsed() > FRESH {
            kills.look();
        }
    });
}

/// Why a process that was killed just now was killed, if the kernel did it because memory ran out; to follow "killed".
#[must_use]
pub fn reason() -> Option<String> {
    with(MemoryKills::reason)
}

fn with<T>(act: impl FnOnce(&mut MemoryKills) -> T) -> T {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    act(ours.get_or_insert_with(|| MemoryKills::of(Path::new("/"))))
}

/// The counters of a control group and of those that hold it.
#[derive(Debug)]
struct MemoryKills {
    /// The innermost first.
    groups: Vec<Group>,
    read_at: Instant,
    /// When a kill was counted last, and the limit that was reached then.
    last: Option<(Instant, Option<String>)>,
}

#[derive(Debug)]
struct Group {
    /// Its name, from the root that we see.
    name: String,
    folder: PathBuf,
    version: Version,
    counted: Counters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// How often the kernel killed in a group, and how often the group was at its limit.
#[derive(Debug, Default, Clone, Copy)]
struct Counters {
    kills: u64,
    at_limit: u64,
    /// Version 1 has another limit, of memory and swap together.
    at_swap_limit: u64,
}

impl MemoryKills {
    /// The counters of this process, whose files are below `root`.
    fn of(root: &Path) -> Self {
        let mut groups = groups(root).unwrap_or_default();
        for group in &mut groups {
            group.counted = group.read().unwrap_or_default();
        }
        Self { groups, read_at: Instant::now(), last: None }
    }

    /// Reads the counters, and keeps what they say.
    fn look(&mut self) {
        self.read_at = Instant::now();
        let (mut killed, mut limit) = (false, None);
        for (depth, group) in self.groups.iter_mut().enumerate() {
            let Some(counted) = group.read() else { continue };
            let before = std::mem::replace(&mut group.counted, counted);
            killed |= depth == 0 && counted.kills > before.kills;
            if limit.is_none() && counted.at_limit > before.at_limit {
                limit = group.limit();
            }
            if limit.is_none() && counted.at_swap_limit > before.at_swap_limit {
                limit = group.swap_limit();
            }
        }
        if killed {
            self.last = Some((self.read_at, limit));
        }
    }

    fn reason(&mut self) -> Option<String> {
        self.look();
        let (_, limit) = self.last.as_ref().filter(|(at, _)| at.elapsed() < AFTERMATH)?;
        Some(match limit {
            Some(limit) => format!("by the kernel because {limit} was reached"),
            None => "by the kernel because the machine was out of memory".to_owned(),
        })
    }
}

impl Group {
    fn read(&self) -> Option<Counters> {
        let number = |file: &str, key: &str| {
            let text = fs::read_to_string(self.folder.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok())
        };
        Some(match self.version {
            Version::Two => Counters {
                kills: number("memory.events", "oom_kill ")?
                    .max(number("memory.events", "oom_group_kill ").unwrap_or(0)),
                at_limit: number("memory.events", "oom ").unwrap_or(0),
                at_swap_limit: 0,
            },
            Version::One => Counters {
                kills: number("memory.oom_control", "oom_kill ")?,
                at_limit: number("memory.failcnt", "").unwrap_or(0),
                at_swap_limit: number("memory.memsw.failcnt", "").unwrap_or(0),
            },
        })
    }

    /// Its limit, with its name.
    fn limit(&self) -> Option<String> {
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        self.named(file, "memory")
    }

    /// The limit of memory and swap together, with its name.
    fn swap_limit(&self) -> Option<String> {
        self.named("memory.memsw.limit_in_bytes", "memory and swap")
    }

    fn named(&self, file: &str, what: &str) -> Option<String> {
        // "max" is no number.
        let limit: u64 = fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()?;
        let name = &self.name;
        (limit < NO_LIMIT).then(|| format!("the {what} limit of its control group {name} ({} MiB)", limit >> 20))
    }
}

/// The control group of this process that counts memory, and those that hold it.
fn groups(root: &Path) -> Option<Vec<Group>> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let paths = |wanted: &str| {
        membership.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|one| one == wanted).then(|| path.to_owned())
        })
    };
    // Where version 1 has memory, version 2 has not.
    let (version, path) = match paths("memory") {
        Some(path) => (Version::One, path),
        None => (Version::Two, paths("")?),
    };
    let (top, mounted) = mounts.lines().find_map(|line| mount(line, version))?;
    // A container may see its own group as the top.
    let inner = path.strip_prefix(top.trim_end_matches('/')).unwrap_or(&path);
    let base = root.join(mounted.trim_start_matches('/'));
    let inner = Path::new(inner.trim_matches('/'));
    // It is outside of what we see.
    if inner.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let group = |inner: &Path| Group {
        name: format!("/{}", inner.display()),
        folder: base.join(inner),
        version,
        counted: Counters::default(),
    };
    Some(inner.ancestors().map(group).collect())
}

/// The part of the hierarchy that a line of `mountinfo` mounts, and where.
fn mount(line: &str, version: Version) -> Option<(String, String)> {
    let (place, file_system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (top, mounted) = (place.next()?.to_owned(), place.next()?.to_owned());
    let mut file_system = file_system.split(' ');
    let (kind, options) = (file_system.next()?, file_system.nth(1)?);
    let fits = match version {
        Version::One => kind == "cgroup" && options.split(',').any(|one| one == "memory"),
        Version::Two => kind == "cgroup2",
    };
    fits.then_some((top, mounted))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World(tempfile::TempDir);

    impl World {
        fn new(membership: &str, mounts: &str) -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            world.write("proc/self/cgroup", membership);
            world.write("proc/self/mountinfo", mounts);
            world
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn events(&self, group: &str, oom: u64, oom_kill: u64) {
            let text = format!("low 0\nhigh 3\nmax 70\noom {oom}\noom_kill {oom_kill}\noom_group_kill 0\n");
            self.write(&format!("sys/fs/cgroup/{group}/memory.events"), &text);
        }

        fn kills(&self) -> MemoryKills {
            MemoryKills::of(self.0.path())
        }
    }

    const UNIFIED: &str = "24 1 0:5 / / rw - ext4 /dev/sda rw\n\
                           30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const CONTROLLERS: &str = "33 24 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                               34 24 0:31 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                               35 24 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[tokio::test(start_paused = true)]
    async fn a_kill_is_told_with_the_limit_that_was_reached() {
        let world = World::new("0::/system.slice/windlass.service\n", UNIFIED);
        world.write("sys/fs/cgroup/system.slice/windlass.service/memory.max", "67108864\n");
        world.write("sys/fs/cgroup/system.slice/memory.max", "max\n");
        let events = |oom, oom_kill| world.events("system.slice/windlass.service", oom, oom_kill);
        events(4, 7);
        let mut kills = world.kills();
        assert_eq!(kills.reason(), None, "what was killed before says nothing");
        events(5, 8);
        let limit = "the memory limit of its control group /system.slice/windlass.service (64 MiB)";
        let told = Some(format!("by the kernel because {limit} was reached"));
        assert_eq!(kills.reason(), told);
        assert_eq!(kills.reason(), told, "another that died with it");
        tokio::time::advance(AFTERMATH * 2).await;
        assert_eq!(kills.reason(), None, "a person killed this one");
        // A kill of a job's own child, long ago.
        events(6, 9);
        kills.look();
        tokio::time::advance(FRESH).await;
        assert_eq!(kills.reason(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_may_be_that_of_a_group_above_or_of_the_machine() {
        let world = World::new("0::/a.slice/b\n", UNIFIED);
        world.write("sys/fs/cgroup/a.slice/memory.max", "1073741824");
        world.write("sys/fs/cgroup/a.slice/b/memory.max", "max");
        world.events("a.slice", 0, 0);
        world.events("a.slice/b", 0, 0);
        let mut kills = world.kills();
        world.events("a.slice", 1, 1);
        world.events("a.slice/b", 0, 1);
        assert!(kills.reason().unwrap().contains("/a.slice (1024 MiB)"));
        world.events("a.slice", 1, 2);
        world.events("a.slice/b", 0, 2);
        assert_eq!(kills.reason().unwrap(), "by the kernel because the machine was out of memory");
    }

    #[tokio::test(start_paused = true)]
    async fn version_one_is_read_as_a_container_sees_it() {
        let world = World::new("9:cpu:/\n4:memory:/docker/ab/inner\n0::/\n", CONTROLLERS);
        let write = |name: &str, text: &str| world.write(&format!("sys/fs/cgroup/memory/inner/{name}"), text);
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
        write("memory.failcnt", "3\n");
        write("memory.limit_in_bytes", "33554432\n");
        let mut kills = world.kills();
        assert_eq!(kills.reason(), None);
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
        write("memory.failcnt", "9\n");
        assert!(kills.reason().unwrap().contains("/inner (32 MiB)"), "{kills:?}");
        write("memory.memsw.limit_in_bytes", "50331648\n");
        write("memory.memsw.failcnt", "2\n");
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        let limit = "the memory and swap limit of its control group /inner (48 MiB)";
        assert!(kills.reason().unwrap().contains(limit), "{kills:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_counters_nothing_is_claimed() {
        for (membership, mounts) in
            [("0::/\n", UNIFIED), ("0::/gone\n", UNIFIED), ("0::/../x\n", UNIFIED), ("", ""), ("x\n", "x - y\n")]
        {
            assert_eq!(World::new(membership, mounts).kills().reason(), None);
        }
        assert_eq!(MemoryKills::of(Path::new("/no/such/folder")).reason(), None);
    }
}
