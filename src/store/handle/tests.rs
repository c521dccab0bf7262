//! What passes a handle: layers in order, by type, and measured.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::job::QueueName;
use crate::store::inspection::{ClearFailed, FailedCount, Queues};
use crate::store::layer::{AnyArrow, AnyReply, Next};
use crate::store::meter::Outcome;
use crate::store::queueing::QueueNames;
use crate::store::role::{Admin, Pool};

/// A layer that is a function.
struct Answers<F>(F);

#[async_trait]
impl<F> Layer for Answers<F>
where
    F: Fn(&AnyArrow) -> Option<Result<AnyReply, StoreError>> + Send + Sync,
{
    async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        match (self.0)(&arrow) {
            Some(answer) => answer,
            None => next.pass(arrow).await,
        }
    }
}

/// A store that consists of this layer.
fn answering<F>(answer: F) -> Store<Whole>
where
    F: Fn(&AnyArrow) -> Option<Result<AnyReply, StoreError>> + Send + Sync + 'static,
{
    Store::without_engine("nowhere").layered(Arc::new(Answers(answer)))
}

/// A layer that lets time pass, or for ever.
struct Waits(Option<Duration>);

#[async_trait]
impl Layer for Waits {
    async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
        match self.0 {
            Some(delay) => tokio::time::sleep(delay).await,
            None => std::future::pending().await,
        }
        next.pass(arrow).await
    }
}

fn counted(store: &Store<Whole>) -> Vec<(&'static str, Outcome, u64)> {
    store.passes().into_iter().map(|passes| (passes.arrow, passes.outcome, passes.count)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_pass_is_measured_by_name_and_outcome() {
    let store = answering(|arrow| match arrow.name() {
        "failed_count" => Some(Ok(AnyReply::to::<FailedCount>(7))),
        "clear_failed" => Some(Err(StoreError::Full("no room".to_owned()))),
        _ => None,
    });
    let store = store.layered(Arc::new(Waits(Some(Duration::from_millis(3)))));
    for _ in 0..2 {
        assert_eq!(store.run(FailedCount).await.unwrap(), 7);
    }
    let admin: Store<Admin> = store.narrow();
    assert!(matches!(admin.run(ClearFailed).await, Err(StoreError::Full(_))));
    assert!(
        matches!(store.run(Queues { limit: 9, first: Vec::new() }).await, Err(StoreError::Unsupported(_))),
        "nobody answers"
    );
    let expected =
        [("clear_failed", Outcome::Full, 1), ("failed_count", Outcome::Ok, 2), ("queues", Outcome::Unsupported, 1)];
    assert_eq!(counted(&store), expected);
    let passes = store.passes().remove(1);
    assert_eq!(passes.total, Duration::from_millis(6));
    let filled: Vec<_> = passes.buckets.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [(Duration::from_millis(5), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_waiting_is_counted() {
    let store = Store::without_engine("nowhere").layered(Arc::new(Waits(None)));
    let given_up = tokio::time::timeout(Duration::from_secs(20), store.run(FailedCount)).await;
    assert!(given_up.is_err());
    assert_eq!(counted(&store), [("failed_count", Outcome::Abandoned, 1)]);
    let passes = store.passes().remove(0);
    assert!(passes.buckets.iter().all(|(_, count)| *count == 0), "longer than the last bound: only in the count");
    assert_eq!(passes.total, Duration::from_secs(20));
}

#[tokio::test]
async fn the_outermost_layer_comes_first_and_sees_the_reply_last() {
    let told = Arc::new(Mutex::new(Vec::new()));
    struct Tells(&'static str, Arc<Mutex<Vec<String>>>);
    #[async_trait]
    impl Layer for Tells {
        async fn around(&self, arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
            self.1.lock().unwrap().push(format!("{} sees {}", self.0, arrow.name()));
            let mut reply = next.pass(arrow).await?;
            if let Some(names) = reply.get_mut::<QueueNames>() {
                names.push(QueueName::as_stored(self.0));
            }
            Ok(reply)
        }
    }
    let store = answering(|arrow| arrow.get::<QueueNames>().map(|_| Ok(AnyReply::to::<QueueNames>(Vec::new()))))
        .layered(Arc::new(Tells("inner", Arc::clone(&told))))
        .layered(Arc::new(Tells("outer", Arc::clone(&told))));
    let names = store.run(QueueNames { limit: 9 }).await.unwrap();
    assert_eq!(names, [QueueName::as_stored("inner"), QueueName::as_stored("outer")]);
    assert_eq!(*told.lock().unwrap(), ["outer sees queue_names", "inner sees queue_names"]);
}

#[tokio::test]
async fn a_layer_that_mistakes_types_is_told() {
    let store = answering(|_| Some(Ok(AnyReply::to::<FailedCount>(7))));
    let error = store.run(QueueNames { limit: 9 }).await.unwrap_err();
    assert_eq!(error.to_string(), "call the store rightly: a layer gave queue_names the reply to another arrow");
    struct Swaps;
    #[async_trait]
    impl Layer for Swaps {
        async fn around(&self, _: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
            next.pass(AnyArrow::new(ClearFailed)).await
        }
    }
    let error =
        Store::without_engine("nowhere").layered(Arc::new(Swaps)).run(QueueNames { limit: 9 }).await.unwrap_err();
    assert!(error.to_string().contains("passed clear_failed on in place of queue_names"), "{error}");
}

#[tokio::test]
async fn lanes_and_wakers_pass_the_same_layers_and_are_measured() {
    let store = answering(|arrow| {
        if arrow.get::<OpenLane>().is_some() {
            return Some(Ok(AnyReply::to::<OpenLane>(OpenedLane::none())));
        }
        if arrow.get::<OpenWaker>().is_some() {
            return Some(Ok(AnyReply::to::<OpenWaker>(OpenedWaker::none())));
        }
        if let Some(exchange) = arrow.get::<Exchange>() {
            let lost = vec![usize::try_from(exchange.sequence).unwrap()];
            return Some(Ok(AnyReply::to::<Exchange>(Exchanged { lost, ..Exchanged::default() })));
        }
        arrow.get::<Watch>().map(|_| Ok(AnyReply::to::<Watch>(ArmedState { ready: true, ..ArmedState::default() })))
    });
    let pool: Store<Pool> = store.narrow();
    let mut lane = pool.lane("00ff", 0).await.unwrap();
    let exchange = Exchange {
        sequence: 9,
        settlements: Vec::new(),
        enters: Vec::new(),
        idle: Vec::new(),
        queues: Arc::from([]),
        share: 1,
        run_at: String::new(),
    };
    assert_eq!(lane.exchange(&exchange).await.unwrap().lost, [9]);
    let waker = pool.waker().await.unwrap();
    assert!(waker.arm(&Watch::default()).await.unwrap().ready);
    assert!(waker.check().await.unwrap());
    let names: Vec<_> = counted(&store).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["check_waker", "exchange", "open_lane", "open_waker", "watch"]);
}
