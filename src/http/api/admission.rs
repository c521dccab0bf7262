//! May who asks enqueue to the queue that is named?

use crate::admin::error::AdminError;
use crate::config::http::Role;
use crate::http::guard::caller::Caller;
use crate::http::problem::{Kind, Problem};
use crate::http::site::Site;
use crate::job::QueueName;
use crate::store::inspection::{CountQueues, FindQueue};

/// Refuses a new queue to who may only enqueue, once there are many; `pointer` is where the request names it.
///
/// # Errors
/// If it is refused; or the store cannot be reached.
pub(super) async fn admit(site: &Site, caller: Caller, queue: &QueueName, pointer: &str) -> Result<(), Problem> {
    if caller != Caller::Holder(Role::Enqueue) {
        return Ok(());
    }
    let content = site.content();
    if content.registry.iter().any(|task| task.queue == *queue) || site.queue_bound.knows(queue) {
        return Ok(());
    }
    let (store, most) = (site.admin()?, content.http.max_queues);
    let is_known = store.run(FindQueue { queue: queue.clone() }).await.map_err(AdminError::from)?.is_some();
    let count = if is_known { 0 } else { store.run(CountQueues { most }).await.map_err(AdminError::from)? };
    if site.queue_bound.take(queue, is_known, count, most) {
        return Ok(());
    }
    let detail = format!(
        "a token with the role enqueue makes no queue once {most} are known or were made within a day (max_queues under \
         [http]; {count} are known). Use a queue that a task declares or that exists, raise max_queues, or have somebody \
         who may operate enqueue the first job of this one"
    );
    let expected = "a queue that a task declares or that the store knows";
    Err(Problem::new(Kind::TooManyQueues, detail).wrong(pointer, expected, queue.as_str()))
}
