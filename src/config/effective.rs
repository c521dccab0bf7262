//! The effective configuration: each key with its value, for people.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::element::duration::show;
use super::element::tls_files::TlsFiles;
use super::event_levels;
use super::model::Config;

/// How long jobs that cannot begin wait, as the configuration has it.
#[must_use]
pub fn show_patience(patience: Duration) -> String {
    if patience.is_zero() { "fail".to_owned() } else { show(patience) }
}

/// Every key with its effective value, for people. Passwords are left out.
#[must_use]
pub fn effective_settings(config: &Config) -> Vec<(String, String)> {
    let or_none = |path: &Option<PathBuf>| path.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    let mut all: Vec<(String, String)> = Vec::new();
    let mut say = |key: &str, value: &dyn Display| all.push((key.to_owned(), value.to_string()));
    say("file", &or_none(&config.source));
    say("scheduler", &config.scheduler);
    say("queues", &config.queues.as_configured());
    say("timeout", &show(config.timeout));
    say("min_task_processors", &config.min_task_processors);
    say("max_task_processors", &config.max_task_processors);
    say("check_timeout", &show(config.check_timeout));
    say("max_event_loop_delay", &show(config.max_event_loop_delay));
    say("stuck_worker_timeout", &config.stuck_worker_timeout.map_or("never".to_owned(), show));
    say("on_crash", &config.on_crash);
    say("max_redeliveries", &config.max_redeliveries);
    say("unstarted", &show_patience(config.unstarted));
    say("unknown", &show_patience(config.unknown));
    say("tasks_dir", &config.tasks_dir.display());
    say("skip_broken_tasks", &config.skip_broken_tasks);
    say("reload", &config.reload.name());
    for (event, level) in event_levels::worker_levels(&config.worker_logging) {
        say(&format!("worker_logging.{event}"), &level);
    }
    for (event, level) in event_levels::scheduler_levels(&config.scheduler_logging) {
        say(&format!("scheduler_logging.{event}"), &level);
    }
    say("store.url", &config.store.url);
    let TlsFiles { ca, identity } = &config.store.tls;
    if let Some(ca) = ca {
        say("store.tls.ca", &ca.display());
    }
    if let Some((cert, key)) = identity {
        say("store.tls.cert", &cert.display());
        say("store.tls.key", &key.display());
    }
    say("store.namespace", &config.store.namespace);
    say("store.lease", &show(config.store.lease));
    say("shutdown.timeout", &show(config.shutdown.timeout));
    say("shutdown.kill_grace", &show(config.shutdown.kill_grace));
    say("shutdown.upgrade_timeout", &config.shutdown.upgrade_timeout.map_or_else(|| "false".to_owned(), show));
    say("log.level", &config.log.level);
    say("log.format", &config.log.format);
    say("log.redact", &config.log.redact.join(","));
    say("security.strict_modes", &config.security.strict_modes);
    let owners: Vec<&str> = config.security.owners.iter().map(|user| user.name.as_str()).collect();
    say("security.owners", &owners.join(","));
    let groups: Vec<&str> = config.security.groups.iter().map(|group| group.name.as_str()).collect();
    say("security.groups", &groups.join(","));
    if let Some(http) = &config.http {
        let listen: Vec<String> = http.listen.iter().map(ToString::to_string).collect();
        say("http.listen", &listen.join(","));
        let tokens: Vec<String> = http.tokens.iter().map(|one| format!("{}={}", one.name, one.role.name())).collect();
        say("http.tokens", &tokens.join(","));
        say("http.loopback", &http.loopback.name());
        say("http.allowed_hosts", &http.allowed_hosts.join(","));
        let proxies: Vec<String> = http.trusted_proxies.iter().map(ToString::to_string).collect();
        say("http.trusted_proxies", &proxies.join(","));
        say("http.base", if http.base.is_empty() { &"/" } else { &http.base });
        say("http.read_only", &http.read_only);
        say("http.metrics", &http.metrics.name());
        say("http.max_queues", &http.max_queues);
    }
    #[cfg(feature = "otel")]
    if let Some(otel) = &config.otel {
        say("otel.endpoint", &otel.url);
        let headers: Vec<&str> = otel.headers.iter().map(|(name, _)| name.as_str()).collect();
        say("otel.headers", &headers.join(","));
        say("otel.service_name", &otel.service_name);
        say("otel.sample", &otel.sampler.ratio);
        say("otel.timeout", &show(otel.timeout));
    }
    all
}
