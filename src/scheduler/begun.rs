//! What the first and the last bytes of a long job tell: a job is moved to its queue without being read.

use crate::job::{Beginning, QueueName};
use crate::plugin::chain::Chain;
use crate::task::definition::Registry;

/// The queue of a long job, if both ends tell it and no lock waits with the job there: the name of a lock may have all arguments in it.
pub(super) fn queue_without_lock(registry: &Registry, beginning: &[u8], end: &[u8]) -> Option<QueueName> {
    let queue = QueueName::new(&queue_of(beginning, end)?).ok()?;
    let class: String = Beginning::parse(beginning).member("class")?;
    let has_lock = registry.get(&class).is_some_and(|task| Chain::of(task).has_queue_lock());
    (!has_lock).then_some(queue)
}

/// The queue that a long job names at its beginning, or as its last member as programs in Ruby do. Of two the last counts, so that
/// one that is named at both ends is read whole.
fn queue_of(beginning: &[u8], end: &[u8]) -> Option<String> {
    let first = Beginning::parse(beginning).member("queue");
    match (first, last_queue(end)) {
        (first, None) => first,
        (None, last) => last,
        (Some(_), Some(_)) => None,
    }
}

/// The queue that these last bytes of an object name as its last member: `"queue":"NAME"}`. The quotes of a text within the
/// object have a backslash before them, so that nothing else ends like this.
fn last_queue(end: &[u8]) -> Option<String> {
    let rest = end.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end().strip_suffix(b"\"")?;
    let quote = rest.iter().rposition(|byte| *byte == b'"')?;
    let (before, name) = (rest.get(..quote)?, rest.get(quote + 1..)?);
    let before = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"queue\"")?;
    let is_member = matches!(before.trim_ascii_end().last(), Some(b',' | b'{'));
    (is_member && !name.contains(&b'\\')).then(|| String::from_utf8(name.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::PayloadView;

    #[test]
    fn the_queue_of_a_long_job_is_that_of_the_whole_one_or_is_not_told() {
        let padding = "x".repeat(3000);
        for (job, told) in [
            (format!(r#"{{"class":"c","queue":"q","args":["{padding}"]}}"#), true),
            (format!(r#"{{"class":"c","args":["{padding}"],"queue":"q"}}"#), true),
            (format!(r#" {{ "class" : "c", "args" : ["{padding}"] , "queue" : "q" }} "#), true),
            (format!(r#"{{"class":"c","queue":"p","args":["{padding}"],"queue":"q"}}"#), false),
            (format!(r#"{{"class":"c","args":["{padding}"],"queue":"q","more":1}}"#), false),
            (format!(r#"{{"class":"c","args":["{padding}"],"queue":"\u0071"}}"#), false),
            (format!(r#"{{"class":"c","args":["{padding}",{{"queue":"q"}}]}}"#), false),
            (format!(r#"{{"class":"c","args":["{padding}"],"more":"\",\"queue\":\"q"}}"#), false),
            (format!(r#"{{"class":"c","args":["{padding}"],"more":{{"queue":"q"}}}}"#), false),
        ] {
            let queue = queue_of(&job.as_bytes()[..1024], &job.as_bytes()[job.len() - 256..]);
            let whole = PayloadView::parse(job.as_bytes()).expect("it is a job").queue.map(String::from);
            assert_eq!(queue.is_some(), told, "{}", &job[job.len() - 40..]);
            assert!(queue.is_none() || queue == whole, "{queue:?}");
        }
    }
}
