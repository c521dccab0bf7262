//! The pings that wait to be sent, in a lane for each task, so that a server that hangs delays nobody else's.
//!
//! The pings of a task are sent one after another, because its start must not come after its end. A lane is there while it
//! holds something. A server gets few requests at once: if it hangs with many tasks, the others still have their turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::deliver::{Deliver, Message};
use crate::job::TaskName;
use crate::supervise::scope::named;

/// How many pings of a task wait.
const MOST_OF_TASK: usize = 32;
/// How many wait of all. Beyond that a task has one.
const MOST: usize = 1024;
/// How many are sent at once to one server, and to all.
const AT_ONCE_TO_SERVER: usize = 4;
const AT_ONCE: usize = 64;

/// The pings. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pings(Arc<Shared>);

struct Shared {
    deliver: Arc<Deliver>,
    handlers: Handle,
    lanes: Mutex<HashMap<TaskName, VecDeque<Message>>>,
    /// How many wait or are being sent.
    waiting: watch::Sender<usize>,
    /// The turns of each server to which something is being sent, and of all.
    servers: Mutex<HashMap<String, Weak<Semaphore>>>,
    turns: Arc<Semaphore>,
}

impl Pings {
    pub(super) fn new(deliver: Arc<Deliver>, handlers: Handle) -> Self {
        Self(Arc::new(Shared {
            deliver,
            handlers,
            lanes: Mutex::default(),
            waiting: watch::Sender::new(0),
            servers: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }))
    }

    /// Puts a ping behind those of its task that wait. `false` if there are too many.
    pub(super) fn put(&self, task: TaskName, message: Message) -> bool {
        let shared = &self.0;
        let mut lanes = lock(&shared.lanes);
        let is_new = match lanes.get_mut(&task) {
            Some(lane) if lane.len() >= MOST_OF_TASK || *shared.waiting.borrow() >= MOST => return false,
            Some(lane) => {
                lane.push_back(message);
                false
            }
            None => {
                lanes.insert(task.clone(), VecDeque::from([message]));
                true
            }
        };
        shared.waiting.send_modify(|waiting| *waiting += 1);
        drop(lanes);
        if is_new {
            shared.handlers.spawn(named("the pings", Arc::clone(shared).send_all(task)));
        }
        true
    }

    /// How many were not sent, or not seen to arrive.
    pub(super) fn waiting(&self) -> usize {
        *self.0.waiting.borrow()
    }

    /// Waits until all are sent.
    pub(super) async fn sent(&self) {
        // Its sender is here.
        let _ = self.0.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }
}

impl Shared {
    /// Sends what a task's lane holds, until it is empty.
    async fn send_all(self: Arc<Self>, task: TaskName) {
        while let Some(message) = self.next(&task) {
            let turns = self.turns(&message).await;
            self.deliver.send(message).await;
            drop(turns);
            self.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
        }
    }

    /// The first one of a lane; the lane goes with its last.
    fn next(&self, task: &TaskName) -> Option<Message> {
        let mut lanes = lock(&self.lanes);
        let next = lanes.get_mut(task)?.pop_front();
        if next.is_none() {
            lanes.remove(task);
        }
        next
    }

    /// Waits for a turn to send this: first of its server, so that no other server's turn is kept meanwhile.
    async fn turns(&self, message: &Message) -> [Option<OwnedSemaphorePermit>; 2] {
        let Some(server) = self.deliver.server(message) else { return [None, None] };
        let turns = {
            let mut servers = lock(&self.servers);
            servers.retain(|_, turns| turns.strong_count() > 0);
            let known = servers.get(&server).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turns = Arc::new(Semaphore::new(AT_ONCE_TO_SERVER));
                servers.insert(server, Arc::downgrade(&turns));
                turns
            })
        };
        // Neither is ever closed.
        let of_server = turns.acquire_owned().await.ok();
        [of_server, Arc::clone(&self.turns).acquire_owned().await.ok()]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
