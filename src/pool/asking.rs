//! Asks the store who has the tasks that are not here, when somebody wants to know.

use std::rc::Rc;

use super::core::Core;
use crate::supervise::pulse::Pulse;

/// Asks for as long as it is polled.
pub(super) async fn ask(core: Rc<Core>, pulse: Pulse) {
    loop {
        pulse.wait(core.elsewhere.wanted()).await;
        // The lanes and the heartbeat tell of a store that fails.
        if pulse.wait(core.elsewhere.read(&core.store, &core.instance)).await.is_err() {
            core.elsewhere.go_without();
        }
    }
}
