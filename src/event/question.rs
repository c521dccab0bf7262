//! What only the pool knows, asked when somebody wants to know: so its slots publish nothing while they work.

use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::job::TaskName;

/// What the pool answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolFigures {
    /// Processors that have a job.
    pub busy: usize,
    /// Processors that have none.
    pub idle: usize,
    /// How many there may be.
    pub most: usize,
    /// How many jobs of each task run. No task: those of unknown classes.
    pub running: Vec<(Option<TaskName>, u64)>,
    /// How long the lease lasts without another extension.
    pub lease_left: Duration,
    /// How long a task that could go on waited for its turn.
    pub delay: Duration,
}

/// A question that many may ask and one answers.
#[derive(Debug)]
pub struct PoolQuestion {
    asked: Notify,
    answer: watch::Sender<PoolFigures>,
}

impl Default for PoolQuestion {
    fn default() -> Self {
        Self { asked: Notify::new(), answer: watch::Sender::new(PoolFigures::default()) }
    }
}

impl PoolQuestion {
    /// Asks. `None`: nobody answered within this time.
    pub async fn ask(&self, patience: Duration) -> Option<PoolFigures> {
        let mut answer = self.answer.subscribe();
        self.asked.notify_one();
        tokio::time::timeout(patience, answer.changed()).await.ok()?.ok()?;
        Some(answer.borrow().clone())
    }

    /// Waits until somebody has asked.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Answers all who wait.
    pub fn tell(&self, figures: PoolFigures) {
        self.answer.send_replace(figures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_get_the_next_answer_and_nobody_an_old_one() {
        let question = PoolQuestion::default();
        question.tell(PoolFigures { busy: 7, ..PoolFigures::default() });
        let second = Duration::from_secs(1);
        assert_eq!(question.ask(second).await, None, "the answer to another question");
        question.asked().await;
        let answer = async {
            question.asked().await;
            question.tell(PoolFigures { busy: 8, ..PoolFigures::default() });
        };
        let (one, other, ()) = tokio::join!(question.ask(second), question.ask(second), answer);
        assert_eq!((one.map(|told| told.busy), other.map(|told| told.busy)), (Some(8), Some(8)));
    }
}
