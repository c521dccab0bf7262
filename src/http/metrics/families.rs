//! All series there are: name, type, labels, meaning. docs/metrics.md is checked against this table.

use prometheus_client::metrics::MetricType;

/// The series of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Its name, as it is written for every reader.
    pub(super) name: &'static str,
    /// Its type.
    pub(super) kind: Kind,
    /// Its labels, in order.
    pub(super) labels: &'static [&'static str],
    /// What it means.
    pub(super) help: &'static str,
    /// Its place in the table.
    pub(super) place: Place,
}

/// The types that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the constants")]
        pub(super) enum Place { $($id,)+ }

        $(pub(super) const $id: Family = Family {
            name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help, place: Place::$id,
        };)+

        /// All of them, in the order in which they are written.
        pub(super) const ALL: &[Family] = &[$($id,)+];
    };
}

families! {
    BUILD_INFO: Gauge "windlass_build_info" ["version", "store"]
        "1, with the version of this program and the kind of its store";
    START_TIME: Gauge "windlass_start_time_seconds" []
        "When this daemon started, since the Unix epoch";
    RELOAD_SUCCESSFUL: Gauge "windlass_config_last_reload_successful" []
        "1 if the last reload was taken over or there was none, 0 if it was refused";
    RELOAD_TIME: Gauge "windlass_config_last_reload_success_timestamp_seconds" []
        "When configuration and tasks were taken over last";
    JOBS: Counter "windlass_jobs_total" ["task", "queue", "outcome"]
        "Claims of jobs that ended here, by what became of the job";
    JOB_DURATION: Histogram "windlass_job_duration_seconds" ["task"]
        "How long runs took, whatever their outcome";
    JOBS_RUNNING: Gauge "windlass_jobs_running" ["task"]
        "Jobs that run here now";
    PROCESSORS: Gauge "windlass_processors" ["state"]
        "Processors of this instance that have a job, and that have none";
    PROCESSORS_MAX: Gauge "windlass_processors_max" []
        "How many processors this instance may have";
    SCHEDULING_DELAY: Gauge "windlass_scheduling_delay_seconds" []
        "How long a task of the daemon that could go on waited for its turn, measured now";
    CHILDREN: Gauge "windlass_children" ["task"]
        "Processes that serve the jobs of rpc tasks";
    CHILD_RESTARTS: Counter "windlass_child_restarts_total" ["task", "reason"]
        "Processes of rpc tasks that ended and left their places to others";
    STORE_REQUEST_DURATION: Histogram "windlass_store_request_duration_seconds" ["verb"]
        "How long steps of the store took, also those that failed";
    STORE_ERRORS: Counter "windlass_store_errors_total" ["verb", "kind"]
        "Steps of the store that failed or were given up";
    STORE_CONNECTED: Gauge "windlass_store_connected" []
        "1 while the store takes steps, 0 while it is away or refuses";
    STORE_RECONNECTS: Counter "windlass_store_reconnects_total" []
        "How often the store took steps again after it was away";
    LEASE_REMAINING: Gauge "windlass_lease_remaining_seconds" []
        "How long the lease of this instance lasts without another extension";
    LEASES_LOST: Counter "windlass_leases_lost_total" []
        "How often this instance was declared dead while it ran";
    REDELIVERIES: Counter "windlass_redeliveries_total" []
        "Jobs that were cut off here, or recovered from here, and went back to run again";
    RECOVERED: Counter "windlass_recovered_total" ["kind"]
        "Jobs that this instance recovered from dead instances and from silent workers of other programs";
    LEADER: Gauge "windlass_leader" ["role"]
        "1 while this instance leads the promotion of delayed jobs, or the duties";
    HTTP_REQUESTS: Counter "windlass_http_requests_total" ["route", "code"]
        "Requests to this server, by the class of the answer";
    HTTP_REQUEST_DURATION: Histogram "windlass_http_request_duration_seconds" ["route"]
        "How long requests waited until their answer began";
    EVENTS_DROPPED: Counter "windlass_events_dropped_total" ["listener"]
        "Events that the log, the notifications, the streams of the API or the traces missed because they were too slow";
    FLEET_READ: Gauge "windlass_fleet_read_successful" []
        "1 if the figures of the fleet below could be read, 0 if they are left out";
    QUEUE_JOBS: Gauge "windlass_queue_jobs" ["queue"]
        "Jobs that wait on a queue";
    QUEUE_PAUSED: Gauge "windlass_queue_paused" ["queue"]
        "1 if a queue is paused, by itself or with all";
    QUEUE_PROCESSORS: Gauge "windlass_queue_processors" ["queue"]
        "Registered workers, of any program, that work on a queue and do not belong to a halted instance";
    QUEUE_ARRIVALS: Counter "windlass_queue_arrivals_total" ["queue"]
        "Jobs that came to a queue, as the leader counts them";
    QUEUE_DEPARTURES: Counter "windlass_queue_departures_total" ["queue"]
        "Jobs that left a queue, to whomever";
    QUEUE_OLDEST: Gauge "windlass_queue_oldest_job_age_seconds" ["queue"]
        "At least so old is the oldest job of a queue; 0 if it has none";
    QUEUE_AGE_UNCERTAINTY: Gauge "windlass_queue_age_uncertainty_seconds" ["queue"]
        "By how much the oldest job may be older";
    QUEUE_WAIT: Histogram "windlass_queue_wait_seconds" ["queue"]
        "How long jobs waited that left a queue, since this leader began";
    FAILED_JOBS: Gauge "windlass_failed_jobs" []
        "Jobs on the failed list";
    DELAYED_SECONDS: Gauge "windlass_delayed_seconds_pending" []
        "The seconds for which jobs are delayed, each with one job or more";
    PROMOTION_LAG: Gauge "windlass_promotion_lag_seconds" []
        "How long ago the first delayed job was due that still waits for its promotion";
    INSTANCES: Gauge "windlass_instances" []
        "Registered instances of Windlass";
    WORKERS: Gauge "windlass_workers" ["kind", "state"]
        "Registered workers, by whose they are and whether they claim";
    FLEET_PROCESSED: Counter "windlass_fleet_processed_total" []
        "Jobs that all workers of the store did, of any program";
    FLEET_FAILED: Counter "windlass_fleet_failed_total" []
        "Jobs that failed, of any program; workers of Ruby count some twice";
    STORE_MEMORY: Gauge "windlass_store_memory_bytes" []
        "Memory that the server of the store uses, or the size of its file";
    STORE_MEMORY_MAX: Gauge "windlass_store_memory_max_bytes" []
        "Memory that the server may use";
    STORE_EVICTED: Counter "windlass_store_evicted_total" []
        "Keys that the server removed because its memory was full, since it started";
    PERIODIC_NEXT: Gauge "windlass_periodic_next_timestamp_seconds" ["task"]
        "For when the present job of a periodic task is or was due";
    PERIODIC_LAST_SUCCESS: Gauge "windlass_periodic_last_success_timestamp_seconds" ["task"]
        "When a kept run of a periodic task or a schedule succeeded last";
    PERIODIC_LAST_RUN: Gauge "windlass_periodic_last_run_timestamp_seconds" ["task"]
        "When a kept run of a periodic task or a schedule ended last, whatever came of it";
    PERIODIC_INTERVAL: Gauge "windlass_periodic_interval_seconds" ["task"]
        "How long it is between the jobs of a periodic task";
    PERIODIC_OVERDUE: Gauge "windlass_periodic_overdue_seconds" ["task"]
        "How long ago the present job of a periodic task was due that has not ended";
    PERIODIC_STOPPED: Gauge "windlass_periodic_stopped" ["task"]
        "1 if a periodic task is stopped";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Time that the daemon spent on processors, without its children";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory of the daemon that is resident, without its children";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "How many file descriptors may be open";
    PROCESS_THREADS: Gauge "process_threads" []
        "Threads of the daemon";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn document(name: &str) -> String {
        std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn every_series_has_a_lawful_name_of_its_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            assert!(family.name.starts_with("windlass_") || family.name.starts_with("process_"), "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(!family.help.contains(['\n', '\\', '"', '|']), "{}", family.name);
        }
    }

    #[test]
    fn the_documentation_has_every_series_and_no_other() {
        let document = document("metrics.md");
        let rows = document.lines().filter(|line| line.starts_with("| `windlass_") || line.starts_with("| `process_"));
        let told: BTreeMap<&str, Vec<&str>> = rows
            .map(|row| {
                let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
                (cells[0].trim_matches('`'), cells[1..].to_vec())
            })
            .collect();
        for family in ALL {
            let cells = told.get(family.name).unwrap_or_else(|| panic!("{} is missing", family.name));
            let kind = format!("{:?}", family.kind).to_lowercase();
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            assert_eq!(cells[..3], [kind.as_str(), unit(family.name), labels.join(", ").as_str()], "{}", family.name);
            assert!(cells[3].starts_with(family.help), "{}: {} instead of {}", family.name, cells[3], family.help);
        }
        assert_eq!(told.len(), ALL.len());
    }

    /// The unit is part of the name.
    fn unit(name: &str) -> &'static str {
        let name = name.trim_end_matches("_total");
        if name.ends_with("_seconds") {
            "s"
        } else if name.ends_with("_bytes") {
            "bytes"
        } else {
            "1"
        }
    }

    /// The names of ours in a text, without the suffixes of histograms.
    fn names_in(text: &str) -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
        let ours = words.filter(|word| word.starts_with("windlass_") || word.starts_with("process_"));
        ours.map(|word| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
            base.filter(|base| ALL.iter().any(|family| family.name == *base)).unwrap_or(word).to_owned()
        })
        .collect()
    }

    #[test]
    fn alerts_and_dashboard_ask_only_for_series_that_there_are() {
        for file in ["alerts.yml", "alerts-test.yml", "grafana.json"] {
            let names = names_in(&document(file));
            assert!(names.len() > 5, "{file}: this test reads nothing");
            let unknown: Vec<_> = names.iter().filter(|name| !ALL.iter().any(|family| family.name == **name)).collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
    }

    #[test]
    fn every_alert_leads_to_a_chapter_that_says_what_to_do() {
        let (alerts, operations) = (document("alerts.yml"), document("operations.md"));
        let named = |key: &str| {
            let lines = alerts.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
            lines.map(|value| value.trim().trim_matches('"').to_owned()).collect::<Vec<_>>()
        };
        let (names, links) = (named("alert:"), named("runbook_url:"));
        assert_eq!((names.len(), links.len()), (16, 16));
        let chapters: BTreeSet<String> = operations
            .lines()
            .filter_map(|line| line.strip_prefix("### "))
            .map(|title| title.to_lowercase().replace(' ', "-"))
            .collect();
        for (name, link) in names.iter().zip(&links) {
            let chapter = link.rsplit_once("docs/operations.md#").unwrap_or_else(|| panic!("{link}")).1;
            assert_eq!(chapter, name.trim_start_matches("Windlass").to_lowercase(), "{name}");
            assert!(chapters.contains(chapter), "docs/operations.md has no chapter {chapter}");
        }
    }
}
