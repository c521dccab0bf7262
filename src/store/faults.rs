//! Fault injection for tests of code that uses a store: a [`Layer`] that makes chosen passes fail.
//!
//! ```
//! # async fn example(store: windlass::store::Store<windlass::store::role::Whole>) {
//! use std::sync::Arc;
//! use windlass::store::faults::{Fault, Faults};
//! use windlass::store::inspection::ClearFailed;
//!
//! let faults = Arc::new(Faults::default());
//! let store = store.layered(faults.clone());
//! faults.next::<ClearFailed>(Fault::CutAfter);
//! assert!(store.run(ClearFailed).await.is_err(), "all are gone, but the reply was lost");
//! assert_eq!(store.run(ClearFailed).await.unwrap(), 0);
//! # }
//! ```

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::arrow::Arrow;
use super::error::StoreError;
use super::layer::{AnyArrow, AnyReply, Layer, Next};

/// How a pass fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection breaks before the arrow reaches the store.
    CutBefore,
    /// The store takes the step, and the connection breaks before the reply arrives.
    CutAfter,
    /// The store refuses: a right is missing.
    Refused,
    /// The store has no room.
    Full,
    /// A key or row has another type than expected.
    WrongType,
    /// The reply is delayed by this long.
    Slow(Duration),
}

/// Makes chosen passes fail, each once; all others pass unchanged.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<(&'static str, Fault)>>);

impl Faults {
    /// Plans a fault for the next pass of an arrow of this type that has none planned yet.
    pub fn next<A: Arrow>(&self, fault: Fault) {
        self.next_named(A::NAME, fault);
    }

    /// The same for the arrow of this name.
    pub fn next_named(&self, arrow: &'static str, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((arrow, fault));
    }

    /// Have all planned faults happened?
    #[must_use]
    pub fn are_spent(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self, arrow: &str) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = planned.iter().position(|(name, _)| *name == arrow)?;
        planned.remove(at).map(|(_, fault)| fault)
    }
}

#[async_trait]
impl Layer for Faults {
    async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        let cut = || StoreError::Unavailable("the connection was cut on purpose".to_owned());
        let name = arrow.name();
        match self.take(name) {
            None => next.pass(arrow).await,
            Some(Fault::Slow(delay)) => {
                let reply = next.pass(arrow).await;
                tokio::time::sleep(delay).await;
                reply
            }
            Some(Fault::CutAfter) => next.pass(arrow).await.and(Err(cut())),
            Some(Fault::CutBefore) => Err(cut()),
            Some(Fault::Refused) => Err(StoreError::Unsupported(format!("{name} is refused on purpose"))),
            Some(Fault::Full) => Err(StoreError::Full("on purpose".to_owned())),
            Some(Fault::WrongType) => {
                Err(StoreError::Corrupt { place: name.to_owned(), reason: "another type, on purpose".to_owned() })
            }
        }
    }
}
