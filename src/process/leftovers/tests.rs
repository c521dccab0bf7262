use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit};

use super::super::sweep::start_ticks;
use super::*;

/// Dies at a kill if it is mortal.
struct Actor<'a> {
    lives: &'a Cell<bool>,
    mortal: bool,
}

impl Victim for Actor<'_> {
    fn key(&self) -> ProcessKey {
        (u32::from(self.mortal), 0)
    }

    fn kill(&self) -> bool {
        self.lives.set(!self.mortal);
        true
    }

    fn lives(&self) -> bool {
        self.lives.get()
    }
}

#[test]
fn who_does_not_die_is_given_up_after_a_few_looks() {
    let (mortal, immortal, looks) = (Cell::new(true), Cell::new(true), Cell::new(0));
    let look = || {
        looks.set(looks.get() + 1);
        let all = [Actor { lives: &mortal, mortal: true }, Actor { lives: &immortal, mortal: false }];
        Ok(all.into_iter().filter(Victim::lives).collect::<Vec<_>>())
    };
    let swept = sweep(look, &PAUSES_MS.map(|_| Duration::ZERO));
    assert_eq!(swept, Swept { killed: 1, left: vec![(0, 0)], is_blind: false });
    assert_eq!(looks.get(), PAUSES_MS.len() + 1);
}

#[test]
fn who_could_not_look_does_not_say_that_nobody_is_left() {
    let (mortal, looks) = (Cell::new(true), Cell::new(0));
    let short = || io::Error::from(rustix::io::Errno::MFILE);
    // Descriptors run out for a moment, and for good.
    for (seen, killed, is_blind) in [(3, 1, false), (usize::MAX, 0, true)] {
        looks.set(0);
        mortal.set(true);
        let look = || {
            looks.set(looks.get() + 1);
            let found = || Some(Actor { lives: &mortal, mortal: true }).filter(Victim::lives).into_iter().collect();
            if looks.get() < seen { Err(short()) } else { Ok(found()) }
        };
        let swept: Swept = sweep::<Actor<'_>>(look, &PAUSES_MS.map(|_| Duration::ZERO));
        assert_eq!(swept, Swept { killed, left: Vec::new(), is_blind });
        assert_eq!(swept.is_clean(), !is_blind);
    }
}

#[test]
fn who_could_not_be_killed_is_remembered_until_it_ends() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let left = [(child.id(), start_ticks(child.id()).unwrap())];
    let marks = Marks::new("an instance with one that cannot be killed", None);
    remember(&marks.instance, &left);
    assert_eq!(kill(&marks), Swept { left: left.to_vec(), ..Swept::default() });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(kill(&marks), Swept::default());
}

/// A process that sleeps with this limit, and with the variables of this instance and this run.
fn sleeper(limit: u64, instance: Option<&str>, run: Option<&str>) -> std::process::Child {
    let mut command = Command::new("sleep");
    command.arg("60").env_remove(mark::INSTANCE).env_remove(mark::RUN);
    command.envs(instance.map(|instance| (mark::INSTANCE, instance)));
    command.envs(run.map(|run| (mark::RUN, run)));
    let child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
    rustix::process::prlimit(pid, Resource::Rttime, limit).unwrap();
    child
}

/// How many of these processes are killed for these marks. None of them lives afterwards.
fn killed_of(mut all: Vec<std::process::Child>, marks: &Marks) -> usize {
    let swept = kill(marks);
    assert_eq!(swept.left, []);
    for child in &mut all {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    swept.killed
}

#[test]
fn a_process_belongs_to_who_started_it_whatever_a_store_says_of_its_instance() {
    let ours = format!("origin{}", std::process::id());
    let pid = std::process::id();
    let daemon = |pid, started_ticks| Daemon { boot_id: "no such boot", pid_namespace: 1, pid, started_ticks };
    let ticks = start_ticks(pid).unwrap();
    let own = mark::limits(daemon(pid, ticks)).next().unwrap();
    let (run, of_other_store) = (format!("{pid}-{ticks}-0"), format!("{pid}-{ticks}-0-00112233445566ff"));
    let killed = |limit, run, marks: &Marks| killed_of(vec![sleeper(limit, Some(&ours), run)], marks);
    // A record that names a daemon that is dead, or never was, for the instance of one that lives.
    let forged = Marks::new(&ours, Some(daemon(u32::MAX, 1)));
    assert_eq!(killed(own, Some(run.as_str()), &forged), 0, "the daemon that started it is another one");
    assert_eq!(killed(own, None, &forged), 0, "the limit tells that, too");
    let of_forged = mark::limits(daemon(u32::MAX, 1)).next().unwrap();
    assert_eq!(killed(of_forged, None, &forged), 1, "its own limit");
    // The record of a daemon that lives and works on another store, of which ours is a copy.
    let living = Marks::new(&ours, Some(daemon(pid, ticks))).sparing(pid);
    assert_eq!(killed(own, Some(of_other_store.as_str()), &living), 0, "it works for another store");
    assert_eq!(killed(own, None, &living), 0, "for which store is not known");
    assert_eq!(killed(own, Some(run.as_str()), &living), 1, "it works for ours");
    // Once its daemon is dead, nobody else ends it.
    let dead = Marks::new(&ours, Some(daemon(pid, ticks)));
    assert_eq!(killed(own, Some(of_other_store.as_str()), &dead), 1, "its daemon is dead");
}

#[test]
fn the_limit_of_a_living_daemon_that_is_not_shown_to_be_the_instance_marks_nobody() {
    let ours = format!("limit{}", std::process::id());
    let pid = std::process::id();
    let daemon = Daemon { boot_id: "no such boot", pid_namespace: 1, pid, started_ticks: 1 };
    let limit = mark::limits(daemon).next().unwrap();
    let run = format!("{pid}-1-0");
    let marks = Marks::new(&ours, Some(daemon));
    let killed = |with: &[Option<&str>], marks: &Marks| {
        let all = with.iter().map(|instance| sleeper(limit, *instance, Some(&run))).collect();
        killed_of(all, marks)
    };
    let living = marks.clone().sparing(pid);
    assert_eq!(killed(&[None], &living), 0, "whose it is is not known");
    assert_eq!(killed(&[Some("another"), None], &living), 0, "it is another's");
    assert_eq!(killed(&[Some(&ours), Some("another"), None], &living), 1, "only what says that it is ours");
    assert_eq!(killed(&[Some(&ours), None, None], &living), 3, "it is ours");
    assert_eq!(killed(&[Some("another"), None], &marks), 2, "nobody is left to whom they belong");
}

#[test]
fn marked_processes_are_killed_wherever_they_went() {
    let instance = format!("sweep{}", std::process::id());
    // In a new session, with a parent that is gone: neither group nor ancestry leads to it.
    let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$; exec >&-; while :; do sleep 0.01; done' &";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env(mark::INSTANCE, &instance).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.wait().unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    let ticks = start_ticks(pid).unwrap();
    let marks = |instance: &str| Marks::new(instance, None);
    assert!(marked(&marks(&instance)).unwrap().contains(&pid));
    // The mark must match the whole value.
    assert_eq!(kill(&marks(&instance[..instance.len() - 1])), Swept::default());
    assert!(is_alive(pid, ticks));
    let swept = kill(&marks(&instance));
    assert!(swept.killed >= 1 && swept.left.is_empty(), "{swept:?}");
    assert!(!is_alive(pid, ticks));
    assert_eq!(kill(&marks(&instance)), Swept::default());
    assert!(marked(&marks("")).unwrap().is_empty());
}
