//! Retries a start while the system is short of a resource.

use std::time::Duration;

use tokio::time::sleep;

use super::spawn_error::SpawnError;

/// The pause before the first retry; the pauses double.
const FIRST: Duration = Duration::from_millis(10);
/// The last pause; after it the error is returned.
const LAST: Duration = Duration::from_millis(640);

/// Calls `spawn`, and retries for a moment while it returns [`SpawnError::Short`] or [`SpawnError::Busy`]. Dropping the future
/// stops the retries.
///
/// # Errors
/// Any other error at once, and these after the last retry.
pub async fn start<T>(mut spawn: impl FnMut() -> Result<T, SpawnError>) -> Result<T, SpawnError> {
    let mut pause = FIRST;
    loop {
        match spawn() {
            Err(error) if error.is_momentary() && pause <= LAST => {}
            ended => return ended,
        }
        sleep(pause).await;
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_short_for_a_moment_is_waited_for_and_everything_else_is_told() {
        let busy = || SpawnError::Short { program: "p".into(), source: io::ErrorKind::WouldBlock.into() };
        let mut tries = 0;
        let started = start(|| {
            tries += 1;
            if tries < 4 { Err(busy()) } else { Ok(tries) }
        });
        assert_eq!(started.await.unwrap(), 4);
        let mut tries = 0;
        let never = start(|| -> Result<(), _> {
            tries += 1;
            Err(busy())
        });
        assert!(matches!(never.await, Err(SpawnError::Short { .. })));
        assert_eq!(tries, 8);
        let mut tries = 0;
        let refused = start(|| -> Result<(), _> {
            tries += 1;
            Err(SpawnError::NotFound { program: "p".into() })
        });
        assert!(refused.await.is_err());
        assert_eq!(tries, 1);
    }
}
