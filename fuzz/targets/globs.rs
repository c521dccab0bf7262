//! The queues to work on: one pattern a line.

use std::collections::HashSet;

use windlass::config::element::queues::QueuePatterns;
use windlass::job::QueueName;

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let written: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let Ok(patterns) = QueuePatterns::new(written.clone()) else { return };
    let mut known: Vec<QueueName> =
        ["mail", "mail_slow", "\u{fc}ber", "a/b", "{x}", "*"].into_iter().map(QueueName::as_stored).collect();
    // Not all of many: each is matched with each.
    known.extend(written.iter().take(16).map(|pattern| QueueName::as_stored(pattern.trim_start_matches('!'))));
    let resolved = patterns.resolve(&known).queues;
    assert_eq!(resolved.iter().collect::<HashSet<_>>().len(), resolved.len(), "a queue comes twice");
    let (listed, excluded): (HashSet<&str>, HashSet<&str>) = (
        written.iter().map(String::as_str).collect(),
        written.iter().filter_map(|entry| entry.strip_prefix('!').filter(|entry| is_name(entry))).collect(),
    );
    for queue in &resolved {
        assert!(known.contains(queue) || listed.contains(queue.as_str()), "{queue} comes from nowhere");
        assert!(!excluded.contains(queue.as_str()), "{queue} is excluded");
    }
    if !written.iter().any(|entry| entry.starts_with('!')) {
        let resolved: HashSet<&str> = resolved.iter().map(QueueName::as_str).collect();
        let mut names = listed.iter().filter(|entry| is_name(entry));
        assert!(names.all(|name| resolved.contains(name)), "a name is missing");
    }
}

fn is_name(entry: &str) -> bool {
    !entry.contains(['*', '?', '[', '{'])
}
