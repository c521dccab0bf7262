//! Whose code runs on a thread. That decides what a panic does.
//!
//! ```text
//!   a thread or named task of ours ──> a panic ends the process
//!   other people's code within it  ──> its caller gets the panic as an error
//!   any other thread               ──> a panic is only logged
//! ```
//!
//! The scope belongs to the thread, and a task sets it while it is polled. Code on our threads that sets no scope counts
//! as ours.

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
    /// Unknown code.
    Foreign,
    /// Ours, with the name of the task or thread. The daemon cannot work without it.
    Ours(&'static str),
    /// Other people's code that ours called: a handler or a plugin.
    Guest,
}

/// The scope at this moment. Usable in a panic hook.
#[must_use]
pub fn scope() -> Scope {
    // The scope of a thread is gone shortly before the thread ends.
    SCOPE.try_with(Cell::get).unwrap_or(Scope::Foreign)
}

/// Makes this thread ours, with this name.
pub fn own_thread(name: &'static str) {
    SCOPE.set(Scope::Ours(name));
}

/// The previous scope. Dropping it restores that scope.
struct Before(Scope);

impl Drop for Before {
    fn drop(&mut self) {
        // See `scope`.
        let _ = SCOPE.try_with(|scope| scope.set(self.0));
    }
}

fn enter(scope: Scope) -> Before {
    Before(SCOPE.replace(scope))
}

/// Calls other people's code, and returns its panic as an error.
///
/// # Errors
/// The payload of the panic.
pub fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let _before = enter(Scope::Guest);
    catch_unwind(AssertUnwindSafe(call))
}

/// Awaits other people's code, and returns its panic as an error.
///
/// # Errors
/// The payload of the panic.
pub async fn contained_future<F: Future + Unpin>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    AssertUnwindSafe(Scoped { scope: Scope::Guest, future }).catch_unwind().await
}

/// A task of ours with this name. It may end by itself.
pub fn named<F: Future>(name: &'static str, task: F) -> Scoped<Pin<Box<F>>> {
    Scoped { scope: Scope::Ours(name), future: Box::pin(task) }
}

/// A task of ours that runs until it is told to end. It panics if it ends before.
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

/// A future with a scope.
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
