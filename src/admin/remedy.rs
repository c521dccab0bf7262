//! What to type when a plugin's condition keeps a job where it is, and to reach the process of an instance.

use crate::job::{Args, PayloadView};
use crate::store::effect::Admission;
use crate::text::shell::{command, with_value, word};

/// Arguments longer than this are not put into a command.
const TYPED: usize = 500;

/// What stands in the way of a job that this condition refused, and the command that helps.
pub(super) fn remedy(refused_by: &Admission, job: &PayloadView<'_>) -> String {
    match refused_by {
        Admission::TakeLock { key, .. } => {
            format!(
                "an equal job waits, or left its lock behind; to free it: {}",
                command("locks delete", &[key.as_str()])
            )
        }
        Admission::NotDelayed { .. } => format!("an equal job is delayed; {}", run_delayed(job, None)),
        // Nothing that waits has a mark.
        Admission::Once { .. } => "it was enqueued before under the same key".to_owned(),
        Admission::NotRepeating { .. } => {
            let run = command("periodic run", &[&job.class]);
            format!("a later run failed and waits for its next attempt; to run that now: {run}")
        }
    }
}

/// How the equal job that is delayed runs now. The tick of a periodic task is no business of `delayed run`; is its task one, if that
/// is known?
#[must_use]
pub fn run_delayed(job: &PayloadView<'_>, is_periodic: Option<bool>) -> String {
    let args = job.args();
    let is_tick = Args::all_periodic().iter().any(|periodic| periodic.as_str() == args);
    let periodic = command("periodic run", &[&job.class]);
    if is_tick && is_periodic == Some(true) {
        return format!("to run that one now: {periodic}");
    }
    let args = if args.len() > TYPED { "@FILE" } else { &args };
    let verb = with_value("delayed run --args", args);
    let verb = job.queue.as_deref().map_or_else(|| verb.clone(), |queue| with_value(&format!("{verb} --queue"), queue));
    let run = format!("to run that one now: {}", command(&verb, &[&job.class]));
    if is_tick && is_periodic.is_none() {
        format!("{run}; if it is the next run of a periodic task: {periodic}")
    } else {
        run
    }
}

/// How a person sends a signal to the daemon of this process id. The host is a comment, so that it can be typed as it is.
pub(super) fn signal(name: &str, pid: u32, host: &str) -> String {
    format!("kill -{name} {pid} # on {}", word(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::LockKey;

    #[test]
    fn every_refusal_tells_what_to_type() {
        let payload = br#"{"class":"it's","queue":"a b","args":["x y"]}"#;
        let job = PayloadView::parse(payload).unwrap();
        let key = LockKey::Namespaced("lock:it's".to_owned());
        let told = remedy(&Admission::TakeLock { plugin: "QueueLock", key, ttl_s: 1 }, &job);
        assert!(told.ends_with(r"windlass locks delete 'lock:it'\''s'"), "{told}");
        let told = remedy(&Admission::NotDelayed { plugin: "DelayQueueLock" }, &job);
        assert!(told.ends_with(r#"windlass delayed run --args '["x y"]' --queue 'a b' 'it'\''s'"#), "{told}");
        let long = format!(r#"{{"class":"t","queue":"q","args":["{}"]}}"#, "x".repeat(TYPED));
        let told = remedy(&Admission::NotDelayed { plugin: "D" }, &PayloadView::parse(long.as_bytes()).unwrap());
        assert!(told.ends_with("windlass delayed run --args @FILE --queue q t"), "{told}");
        let tick = PayloadView::parse(br#"{"class":"poll","queue":"q","args":[{}]}"#).unwrap();
        assert_eq!(run_delayed(&tick, Some(true)), "to run that one now: windlass periodic run poll");
        let of_any = "to run that one now: windlass delayed run --args '[{}]' --queue q poll";
        assert_eq!(run_delayed(&tick, Some(false)), of_any);
        let both = format!("{of_any}; if it is the next run of a periodic task: windlass periodic run poll");
        assert_eq!(run_delayed(&tick, None), both);
    }
}
