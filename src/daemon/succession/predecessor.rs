//! The side of the daemon that takes over: whom it replaces, and what it asks of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::SendFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use tokio::time::sleep;

use super::pass::Pass;
use super::wire::{self, Answer, PREFIX, RETIRE, SOCKETS, WHO, Who};
use crate::config::Config;
use crate::daemon::options::{Replace, RunError};
use crate::daemon::web::PassedSocket;
use crate::event::{Bus, Event};
use crate::file::absolute;
use crate::process::{mark, private};
use crate::text::clean;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long until one that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// The most that is read of the list of sockets, in bytes.
const LONGEST_LIST: u64 = 16 << 20;

/// The daemon that is replaced.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Predecessor {
    name: String,
    token: Option<String>,
}

/// The daemon that this one replaces, if there is one: that of the common parent, or the one that `--replace` means.
///
/// # Errors
/// If it is not certain which one is meant.
pub(in crate::daemon) fn predecessor(
    replace: Option<Replace>,
    config: &Config,
    bus: &Bus,
) -> Result<Option<Predecessor>, RunError> {
    if let Some(pass) = private::variable(mark::PREDECESSOR).and_then(|text| Pass::read(text.to_str()?)) {
        return Ok(Some(Predecessor { token: Some(pass.token().to_owned()), name: pass.name }));
    }
    let Some(replace) = replace else { return Ok(None) };
    let others = others().map_err(|error| RunError::System { doing: "look for the daemon to replace", error })?;
    let found = choose(replace, config, others).map_err(RunError::Replace)?;
    let text = match &found {
        Some((_, who)) => {
            format!("takes over from process {} (windlass {}) as soon as it works", who.pid, clean::line(&who.version))
        }
        None => "no daemon of this configuration runs here: there is nothing to replace".to_owned(),
    };
    bus.emit(Event::Notice { text });
    Ok(found.map(|(name, _)| Predecessor { name, token: None }))
}

/// Which of these is meant?
fn choose(replace: Replace, config: &Config, others: Vec<(String, Who)>) -> Result<Option<(String, Who)>, String> {
    let same = |who: &Who| {
        who.store == config.store.url.to_string()
            && who.namespace == config.store.namespace
            && who.queues == config.queues.as_configured()
            && who.config == source(config)
    };
    let fits = |who: &Who| match replace {
        Replace::Same => same(who) && !who.ends,
        Replace::Pid(pid) => who.pid == pid || who.parent == pid,
    };
    let mut fitting: Vec<_> = others.into_iter().filter(|(_, who)| fits(who)).collect();
    match (replace, fitting.len()) {
        (Replace::Pid(pid), 0) => Err(format!(
            "process {pid} is no daemon that can be asked: it is not there, belongs to another user or network namespace, or \
             is of a version that cannot be replaced so; stop it, and start this one without --replace"
        )),
        (Replace::Same, 2..) => {
            let pids: Vec<_> = fitting.iter().map(|(_, who)| who.parent.to_string()).collect();
            Err(format!(
                "{} daemons of this configuration run here; say which one: --replace=PID, one of {}",
                pids.len(),
                pids.join(", ")
            ))
        }
        _ => Ok(fitting.pop()),
    }
}

/// The path of the configuration, as it is compared.
pub(super) fn source(config: &Config) -> Option<String> {
    let path = absolute(config.source.as_deref()?);
    Some(path.canonicalize().unwrap_or(path).to_string_lossy().into_owned())
}

/// All daemons of this network namespace that answer.
fn others() -> io::Result<Vec<(String, Who)>> {
    let mut list = Vec::new();
    File::open("/proc/net/unix")?.take(LONGEST_LIST).read_to_end(&mut list)?;
    let list = String::from_utf8_lossy(&list);
    let names: BTreeSet<&str> = list.lines().filter_map(|line| line.split_once('@')?.1.strip_prefix(PREFIX)).collect();
    // One that does not answer ends in this moment, or belongs to somebody else.
    let who = |name: &str| Some((name.to_owned(), ask(name, WHO, None).ok()?.0.who?));
    Ok(names.into_iter().filter_map(who).collect())
}

/// Asks the daemon of this name. Only an answer of root or of our own user counts.
fn ask(name: &str, word: &str, token: Option<&str>) -> io::Result<(Answer, Vec<OwnedFd>)> {
    let stream = UnixStream::connect_addr(&wire::address(name)?)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let uid = socket_peercred(&stream)?.uid;
    if !uid.is_root() && uid != geteuid() {
        return Err(io::Error::other("it belongs to another user"));
    }
    let question = format!("{word} {}\n", token.unwrap_or_default());
    rustix::net::send(&stream, question.as_bytes(), SendFlags::NOSIGNAL)?;
    wire::receive(&stream)
}

impl Predecessor {
    /// The sockets of `[http]` that it listens on. None if it does not pass them on, which is told.
    pub(in crate::daemon) fn sockets(&self, bus: &Bus) -> Vec<PassedSocket> {
        match ask(&self.name, SOCKETS, self.token.as_deref()) {
            Ok((answer, sockets)) => answer.sockets.into_iter().zip(sockets).collect(),
            Err(error) => {
                let error = clean::line(&error.to_string()).into_owned();
                let text = format!(
                    "http: the daemon that this one replaces did not pass on its sockets ({error}): where it listens, this one \
                     listens when it has stopped"
                );
                bus.emit(Event::Warning { text });
                Vec::new()
            }
        }
    }

    /// Lets it retire. One that does not hear is asked until it does or has ended.
    pub(in crate::daemon) async fn retire(self, bus: Bus) {
        let mut is_told = false;
        loop {
            let ourselves = self.clone();
            // Connecting and waiting block.
            let asked = tokio::task::spawn_blocking(move || ask(&ourselves.name, RETIRE, ourselves.token.as_deref()));
            match asked.await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                // The runtime ends.
                Err(_) => return,
                Ok(Err(error)) if !std::mem::replace(&mut is_told, true) => {
                    let error = clean::line(&error.to_string()).into_owned();
                    let text = format!(
                        "the daemon that this one replaces was told to retire, and did not hear: {error}; both work, and it is \
                         asked again every second"
                    );
                    bus.emit(Event::Warning { text });
                }
                Ok(Err(_)) => {}
            }
            sleep(AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    fn who(config: &Config, pid: u32) -> (String, Who) {
        let who = Who {
            version: "1".to_owned(),
            pid,
            parent: pid - 1,
            config: source(config),
            store: config.store.url.to_string(),
            namespace: config.store.namespace.clone(),
            queues: config.queues.as_configured(),
            ends: false,
        };
        (format!("name-{pid}"), who)
    }

    #[test]
    fn one_of_the_same_configuration_is_replaced_and_nobody_guesses() {
        let config =
            load(&Sources { store_url: Some("redis://a".to_owned()), ..Sources::new("/nowhere") }).unwrap().config;
        let chosen = |replace, others: &[(String, Who)]| {
            choose(replace, &config, others.to_vec()).map(|found| found.map(|(_, who)| who.pid))
        };
        let same = who(&config, 11);
        let mut other = [who(&config, 21), who(&config, 31), who(&config, 41), who(&config, 51)];
        other[0].1.store = "redis://b".to_owned();
        other[1].1.queues = "mail".to_owned();
        other[2].1.config = Some("/elsewhere/tasks.toml".to_owned());
        other[3].1.ends = true;
        assert_eq!(chosen(Replace::Same, &other), Ok(None));
        assert_eq!(chosen(Replace::Same, &[&other[..], std::slice::from_ref(&same)].concat()), Ok(Some(11)));
        let two = [same, who(&config, 61)];
        let told = chosen(Replace::Same, &two).unwrap_err();
        assert!(told.ends_with("--replace=PID, one of 10, 60"), "{told}");
        // The process that people know, or the one that instances are named after.
        assert_eq!((chosen(Replace::Pid(60), &two), chosen(Replace::Pid(61), &two)), (Ok(Some(61)), Ok(Some(61))));
        assert!(chosen(Replace::Pid(7), &two).unwrap_err().starts_with("process 7 is no daemon that can be asked"));
    }
}
