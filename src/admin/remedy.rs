//! What to type when a plugin's condition keeps a job where it is.

use crate::job::PayloadView;
use crate::store::effect::Admission;
use crate::text::shell::word;

/// Arguments longer than this are not put into a command.
const TYPED: usize = 500;

/// What stands in the way of a job that this condition refused, and the command that helps.
pub(super) fn remedy(refused_by: &Admission, job: &PayloadView<'_>) -> String {
    let task = word(&job.class);
    match refused_by {
        Admission::TakeLock { key, .. } => {
            format!(
                "an equal job waits, or left its lock behind; to free it: windlass locks delete {}",
                word(key.as_str())
            )
        }
        Admission::NotDelayed { .. } => {
            let args = job.args();
            let args = if args.len() > TYPED { "@FILE".to_owned() } else { word(&args) };
            let queue = job.queue.as_deref().map(|queue| format!(" --queue {}", word(queue))).unwrap_or_default();
            format!("an equal job is delayed; to run that one now: windlass delayed run {task} --args {args}{queue}")
        }
        Admission::NotRepeating { .. } => {
            format!("a later run failed and waits for its next attempt; to run that now: windlass periodic run {task}")
        }
    }
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
        assert!(told.ends_with(r#"windlass delayed run 'it'\''s' --args '["x y"]' --queue 'a b'"#), "{told}");
        let long = format!(r#"{{"class":"t","queue":"q","args":["{}"]}}"#, "x".repeat(TYPED));
        let told = remedy(&Admission::NotDelayed { plugin: "D" }, &PayloadView::parse(long.as_bytes()).unwrap());
        assert!(told.ends_with("windlass delayed run t --args @FILE --queue q"), "{told}");
    }
}
