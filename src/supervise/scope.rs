//! Whose code runs: the scope that decides what a panic means.
//!
//! ```text
//!   a thread of ours, a named task ──> a panic ends the process
//!   other people's code within it  ──> a panic is theirs, and its caller gets it as an error
//!   any other thread               ──> a panic is told, nothing more
//! ```
//!
//! The scope is a property of the thread at the moment, set for as long as a task is polled. So a part that nobody thought
//! of, a helper on one of our threads, counts as ours.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(Scope::Foreign) };
}

/// Whose code runs on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Somebody's of whom we know nothing.
    Foreign,
    /// Ours, by the name of the task or thread: what it does has to be done.
    Ours(&'static str),
    /// Other people's, called by ours: a handler or a plugin.
    Guest,
}

/// The scope at this moment. Usable in a panic hook.
#[must_use]
pub fn scope() -> Scope {
    // A thread that is about to end has no scope any more.
    SCOPE.try_with(Cell::get).unwrap_or(Scope::Foreign)
}

/// From now on this thread is ours, by this name.
pub fn own_thread(name: &'static str) {
    SCOPE.set(Scope::Ours(name));
}

/// The scope before, which comes back when this is dropped.
struct Before(Scope);

impl Drop for Before {
    fn drop(&mut self) {
        // As above.
        let _ = SCOPE.try_with(|scope| scope.set(self.0));
    }
}

fn enter(scope: Scope) -> Before {
    Before(SCOPE.replace(scope))
}

/// Calls other people's code; a panic of it is an error.
///
/// # Errors
/// What it panicked with.
pub fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let _before = enter(Scope::Guest);
    catch_unwind(AssertUnwindSafe(call))
}

/// Awaits other people's code; a panic of it is an error.
///
/// # Errors
/// What it panicked with.
pub async fn contained_future<F: Future + Unpin>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    AssertUnwindSafe(Scoped { scope: Scope::Guest, future }).catch_unwind().await
}

/// A task of ours, by this name. It may end by itself, or when its owner drops it.
pub fn named<F: Future>(name: &'static str, task: F) -> Scoped<Pin<Box<F>>> {
    Scoped { scope: Scope::Ours(name), future: Box::pin(task) }
}

/// A task of ours that goes on until it is told to end. Should it end before, that is as bad as a panic, and is one.
pub fn until_told<F: Future>(
    name: &'static str,
    task: F,
    is_told: impl FnOnce() -> bool,
) -> impl Future<Output = F::Output> {
    named(name, async move {
        let output = task.await;
        assert!(is_told(), "it ended, and nobody had told it to");
        output
    })
}

/// A future that is polled in a scope.
#[derive(Debug)]
pub struct Scoped<F> {
    scope: Scope,
    future: F,
}

impl<F: Future + Unpin> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let _before = enter(this.scope);
        Pin::new(&mut this.future).poll(cx)
    }
}

/// The message of a panic.
#[must_use]
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scope_lasts_as_long_as_its_task_is_polled_and_a_guest_is_not_ours() {
        assert_eq!(scope(), Scope::Foreign);
        let within = named("heart", async {
            let guest = contained(scope).unwrap();
            tokio::task::yield_now().await;
            let later = async {
                tokio::task::yield_now().await;
                scope()
            };
            let later = contained_future(Box::pin(later)).await.unwrap();
            (scope(), guest, later, scope())
        });
        let ours = Scope::Ours("heart");
        assert_eq!(within.await, (ours, Scope::Guest, Scope::Guest, ours));
        assert_eq!(scope(), Scope::Foreign);
    }

    #[tokio::test]
    async fn a_panic_of_a_guest_is_an_error_and_leaves_the_scope_as_it_was() {
        let within = named("heart", async {
            let panic = contained(|| panic!("a {}", "word")).unwrap_err();
            let later = contained_future(Box::pin(async { panic!("bare") })).await.unwrap_err();
            (message(&*panic).to_owned(), message(&*later).to_owned(), scope())
        });
        assert_eq!(within.await, ("a word".to_owned(), "bare".to_owned(), Scope::Ours("heart")));
    }

    #[tokio::test]
    async fn a_task_that_ends_untold_panics() {
        assert_eq!(until_told("heart", async { 7 }, || true).await, 7);
        let untold = tokio::spawn(until_told("heart", async {}, || false)).await.unwrap_err();
        assert_eq!(message(&*untold.into_panic()), "it ended, and nobody had told it to");
    }

    #[test]
    fn a_thread_of_ours_is_ours_for_good() {
        let seen = std::thread::spawn(|| {
            own_thread("log");
            drop(contained(|| ()));
            scope()
        });
        assert_eq!(seen.join().unwrap(), Scope::Ours("log"));
    }
}
