//! What a child says beside the protocol.

use crate::event::{Bus, Event, Kind};
use crate::job::TaskName;
use crate::process::{Line, Tail};

/// What a child writes to stderr: told as it comes, and the last of it kept.
pub(super) struct Words {
    pub(super) tail: Tail,
    pub(super) bus: Bus,
    pub(super) task: TaskName,
    pub(super) pid: u32,
}

impl Words {
    pub(super) fn take(&mut self, line: Line<'_>) {
        self.tail.push(line.text);
        if self.bus.wants(Kind::Output) {
            let line = line.text.to_owned();
            self.bus.emit(Event::ChildOutput { task: self.task.clone(), pid: self.pid, line });
        }
    }
}
