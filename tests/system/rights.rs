//! A Redis user who loses a right while a daemon works: what is told of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::daemon::{Folder, eventually};
use crate::support::redis::{Options, RedisServer};

#[test]
fn a_right_that_is_missing_is_told_once_for_all_loops() {
    for command in ["get", "hget", "evalsha"] {
        let server = RedisServer::start(Options::default());
        let allow = |rule: &str| server.command(&["ACL", "SETUSER", "poor", rule]);
        ["on", ">p", "~*", "&*", "+@all"].into_iter().map(allow).for_each(drop);
        let folder = Folder::new(&server.url().replace("redis+unix://", "redis+unix://poor:p@"), "");
        // It holds a password.
        fs::set_permissions(folder.path("tasks.toml"), fs::Permissions::from_mode(0o600)).expect("it is ours");
        // It does not run out while the right is missing.
        folder.reconfigure("lease = \"3s\"", "lease = \"30s\"");
        folder.script("note", "echo done >>notes");
        let daemon = folder.daemon();
        daemon.wait_log("[ worker ] started");
        allow(&format!("-{command}"));
        let job = "{\"class\":\"note\",\"queue\":\"default\",\"args\":[{}]}";
        server.command(&["RPUSH", "resque:queue:default", job]);
        daemon.wait_log("the user poor lacks rights");
        // All loops take their steps meanwhile: the passing of time is what is tested.
        std::thread::sleep(Duration::from_secs(7));
        let log = daemon.log();
        let told: Vec<&str> =
            log.lines().filter(|line| line.contains(" - error") || line.contains(" - warning")).collect();
        let remedy = format!("type ACL SETUSER poor +{command}");
        assert!(told.len() == 1 && told[0].contains(&remedy), "{command}: {log}");
        allow(&format!("+{command}"));
        daemon.wait_log("no right is missing any more");
        eventually("the job is run", || folder.read("notes").lines().count() == 1);
        assert_eq!(daemon.log().matches("no right is missing any more").count(), 1, "{}", daemon.log());
        daemon.stop();
    }
}
