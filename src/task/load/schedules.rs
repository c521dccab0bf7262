//! Reads `[[schedule]]` of a task.

use super::periodic_options;
use super::values::{json, whole_seconds};
use crate::config::reader::{Table, Value};
use crate::job::digest::fnv1a;
use crate::job::{Args, QueueName, TaskName};
use crate::task::schedule::JobSchedule;
use crate::text::clean::is_unsafe;

/// Reads the schedules of a task.
pub(super) fn read(value: &Value<'_>, task: Option<&TaskName>, queue: Option<&QueueName>) -> Vec<JobSchedule> {
    let mut schedules: Vec<JobSchedule> = Vec::new();
    for item in value.list("schedules, each under [[schedule]]").unwrap_or_default() {
        let Some(entry) = item.clone().without_key().table("a table") else { continue };
        let Some(schedule) = one(entry, task, queue) else { continue };
        if schedules.iter().any(|other| other.id == schedule.id) {
            item.report("says the same as one before it; give each an id of its own");
        } else {
            schedules.push(schedule);
        }
    }
    schedules
}

fn one(mut table: Table<'_>, task: Option<&TaskName>, queue: Option<&QueueName>) -> Option<JobSchedule> {
    let cron = table.required("cron", "when, such as \"0 9 * * MON-FRI\"");
    let zone = table.take("time_zone");
    let calendar = cron.and_then(|cron| periodic_options::calendar(&cron, zone.as_ref()));
    let queue = match table.take("queue") {
        None => queue.cloned(),
        Some(value) => {
            let name = QueueName::new(value.string()?);
            name.map_err(|error| value.report(error.to_string())).ok()
        }
    };
    let args = match table.take("args") {
        None => Some(Args::periodic()),
        Some(value) => json(&value)
            .and_then(|text| Args::from_json(&text).map_err(|error| value.report(format!("as JSON: {error}"))).ok()),
    };
    let missed_max_age_s = periodic_options::missed(&mut table).map(whole_seconds);
    let id = table.take("id");
    let id = match &id {
        None => None,
        Some(value) => match value.string()? {
            text if !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || is_unsafe(letter)) => {
                Some(text)
            }
            _ => {
                value.expected("a name without blanks and control characters");
                return None;
            }
        },
    };
    table.finish();
    let (task, calendar, queue, args) = (task?, calendar?, queue?, args?);
    let id = match id {
        Some(id) => format!("{task}/{id}"),
        None => {
            format!("{task}/{:016x}", digest(&[calendar.expression(), calendar.zone(), queue.as_str(), args.as_str()]))
        }
    };
    Some(JobSchedule { id, calendar, queue, args, missed_max_age_s })
}

/// FNV-1a over the parts, separated by a byte that no part contains.
fn digest(parts: &[&str]) -> u64 {
    fnv1a(parts.iter().flat_map(|part| part.bytes().chain([0xff])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::load::load;

    fn read(text: &str) -> Result<Vec<JobSchedule>, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        if !tasks.problems.is_empty() {
            return Err(tasks.problems.iter().map(ToString::to_string).collect());
        }
        Ok(tasks.registry.get("report").unwrap().schedules.clone())
    }

    #[test]
    fn a_task_is_scheduled_with_arguments() {
        let text = r#"
name = "report"
queue = "mail"
run = { builtin = "noop" }
[[schedule]]
cron = "0 9 * * MON-FRI"
time_zone = "Europe/Berlin"
args = { to = "ann", n = [1, 2.0, true] }
[[schedule]]
id = "weekly"
cron = "@weekly"
queue = "slow"
missed = "skip"
[[schedule]]
id = "ünï/日本"
cron = "@monthly"
"#;
        let schedules = read(text).unwrap();
        assert_eq!(schedules[0].args.as_str(), r#"[{"to":"ann","n":[1,2,true]}]"#);
        assert_eq!((schedules[0].queue.as_str(), schedules[0].calendar.zone()), ("mail", "Europe/Berlin"));
        assert!(schedules[0].id.starts_with("report/") && schedules[0].missed_max_age_s.is_none());
        assert_eq!((schedules[1].id.as_str(), schedules[1].args.as_str()), ("report/weekly", "[{}]"));
        assert_eq!(schedules[2].id, "report/ünï/日本");
        assert_eq!((schedules[1].queue.as_str(), schedules[1].missed_max_age_s), ("slow", Some(60)));
        let payload = schedules[1].payload(&TaskName::as_stored("report"), 1_795_490_778);
        let expected = r#"{"class":"report","queue":"slow","args":[{}],"scheduled_at":"2026-11-24T03:26:18Z"}"#;
        assert_eq!(payload, expected);
        // The id of a schedule does not depend on its position in the file.
        let moved = text.replace(
            "[[schedule]]\ncron = \"0 9",
            "[[schedule]]\nid = \"x\"\ncron = \"@hourly\"\n[[schedule]]\ncron = \"0 9",
        );
        assert_eq!(read(&moved).unwrap()[1].id, schedules[0].id);
    }

    #[test]
    fn what_cannot_be_scheduled_is_refused() {
        let head = "name = \"report\"\nrun = { builtin = \"noop\" }\n";
        for (text, said) in [
            ("[[schedule]]\nargs = 1", "when, such as"),
            ("[[schedule]]\ncron = \"0 0 31 2 *\"", "a time that comes"),
            ("[[schedule]]\ncron = \"@daily\"\nargs = 2026-01-01", "no dates"),
            ("[[schedule]]\ncron = \"@daily\"\nid = \"a b\"", "a name without blanks"),
            ("ping = \"https://x/y\"\n[[schedule]]\ncron = \"@daily\"\nid = \"a b\"", "a name without blanks"),
            ("ping = \"https://x/y\"\nschedule = \"61 * * * *\"", "a cron expression of 5 fields"),
            ("ping = \"https://x/y\"\nfrequency = \"often\"", "a duration such as"),
            ("ping = \"https://x/y\"\nfrequency = 0", "goes with frequency"),
            ("[[schedule]]\ncron = \"@daily\"\ncorn = 1", "unknown key"),
            ("[[schedule]]\ncron = \"@daily\"\n[[schedule]]\ncron = \"@daily\"", "says the same as one before"),
            ("schedule = 5", "a cron expression or schedules"),
        ] {
            let problems = read(&format!("{head}{text}")).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(said), "{text}: {problems:?}");
        }
        let periodic = format!("frequency = \"1h\"\n{head}[[schedule]]\ncron = \"@daily\"");
        assert!(read(&periodic).unwrap_err()[0].contains("takes no arguments"));
    }
}
