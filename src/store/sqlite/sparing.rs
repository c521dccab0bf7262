//! Steps that write something besides, which they can do without: a file that refuses it takes them without it.
//!
//! The refusal of a row undoes that row alone (`step::Step::part`). A file without room and a trigger with RAISE(ROLLBACK)
//! end the whole transaction, so that the step is taken again.

use std::sync::Arc;

use super::commit::Handle;
use super::step::Step;
use crate::store::error::StoreError;

/// Takes a step; if the file refuses it or has no room for it, the same step without what `spare` leaves out, and `tell` reports that.
/// `spare` returns nothing where the step has nothing to leave out.
pub(super) async fn sparing<A, T>(
    writer: &Handle,
    arrow: A,
    spare: impl FnOnce(&A) -> Option<A>,
    work: fn(&Step<'_>, &A) -> Result<T, StoreError>,
    tell: fn(&Step<'_>, &A, &StoreError),
) -> Result<T, StoreError>
where
    A: Send + Sync + 'static,
    T: Send + 'static,
{
    let whole = Arc::new(arrow);
    let first = Arc::clone(&whole);
    let refused = match writer.call(move |step| work(step, &first)).await {
        Err(refused @ (StoreError::Full(_) | StoreError::Barred { .. })) => refused,
        done => return done,
    };
    let Some(spared) = spare(&whole) else { return Err(refused) };
    let again = move |step: &Step<'_>| {
        let done = work(step, &spared)?;
        tell(step, &spared, &refused);
        Ok(done)
    };
    writer.call(again).await
}
