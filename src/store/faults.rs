//! Faults on purpose, for tests of what is built on a store: a [`Layer`] that makes chosen passes go wrong.
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

/// What goes wrong with a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection breaks before the store hears of it.
    CutBefore,
    /// The store takes the step, and the connection breaks before the reply comes.
    CutAfter,
    /// The store refuses: a right is missing.
    Refused,
    /// The store has no room.
    Full,
    /// A key or row that is needed holds something else.
    WrongType,
    /// The reply takes so long.
    Slow(Duration),
}

/// Makes chosen passes go wrong, once each; all others go through.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<(&'static str, Fault)>>);

impl Faults {
    /// The next pass of an arrow of this type that has no fault planned goes wrong so.
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
