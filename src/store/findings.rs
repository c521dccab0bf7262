//! What an engine finds out that is no error of any call: records that cannot be read, a server that cannot do something.
//!
//! Engines hand it up as data and never wait for whoever tells it. The same thing is told once, and again when it has
//! changed or was not found for a while: what is wrong with a record is found again with each look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Bus, Event};

/// For how long something must not have been found before it is news again.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// How many things are remembered.
const REMEMBERED: usize = 1024;

/// Where the findings of an engine go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Findings {
    bus: Bus,
    told: Arc<Mutex<HashMap<String, Told>>>,
}

#[derive(Debug)]
struct Told {
    text: String,
    found: Instant,
}

impl Findings {
    /// Findings as warnings on this bus.
    #[must_use]
    pub fn new(bus: Bus) -> Self {
        Self { bus, told: Arc::default() }
    }

    /// Tells what was found about a subject, such as a key, unless that was told already.
    pub fn tell(&self, subject: &str, text: String) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = told.get_mut(subject) {
            let is_known = known.text == text && now.duration_since(known.found) < FORGOTTEN;
            known.found = now;
            if is_known {
                return;
            }
            known.text.clone_from(&text);
        } else {
            if told.len() >= REMEMBERED {
                told.retain(|_, known| now.duration_since(known.found) < FORGOTTEN);
            }
            if told.len() >= REMEMBERED {
                told.clear();
            }
            told.insert(subject.to_owned(), Told { text: text.clone(), found: now });
        }
        drop(told);
        self.bus.emit(Event::Warning { text });
    }
}

impl Default for Findings {
    /// Nobody is told.
    fn default() -> Self {
        Self::new(Bus::silent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_and_again_when_it_has_changed_or_is_news() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let findings = Findings::new(bus);
        let told = || std::iter::from_fn(|| listeners[0].try_next()).count();
        for _ in 0..2000 {
            findings.tell("queue a", "is no list".to_owned());
        }
        assert_eq!(told(), 1);
        findings.tell("queue b", "is no list".to_owned());
        findings.tell("queue a", "is a string".to_owned());
        assert_eq!(told(), 2);
        // Found again and again: still known after an hour.
        for _ in 0..12 {
            tokio::time::advance(FORGOTTEN / 2).await;
            findings.tell("queue a", "is a string".to_owned());
        }
        assert_eq!(told(), 0);
        tokio::time::advance(FORGOTTEN).await;
        findings.tell("queue a", "is a string".to_owned());
        assert_eq!(told(), 1);
        for n in 0..5 * REMEMBERED {
            findings.tell(&n.to_string(), String::new());
        }
        assert!(findings.told.lock().unwrap().len() <= REMEMBERED);
    }
}
