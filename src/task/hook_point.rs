//! The hook points: the moments of a job at which custom plugins are called.

/// A moment at which a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookPoint {
    /// Before anything is written for an enqueue.
    BeforeEnqueue,
    /// After the job is on its queue.
    AfterEnqueue,
    /// Before the job's run.
    BeforePerform,
    /// After the job's run.
    AfterPerform,
}

impl HookPoint {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 4] = [Self::BeforeEnqueue, Self::AfterEnqueue, Self::BeforePerform, Self::AfterPerform];

    /// Its name in task files and for plugin programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeEnqueue => "before_enqueue",
            Self::AfterEnqueue => "after_enqueue",
            Self::BeforePerform => "before_perform",
            Self::AfterPerform => "after_perform",
        }
    }

    /// Its name in node-resque.
    #[must_use]
    pub fn camel_case_name(self) -> &'static str {
        match self {
            Self::BeforeEnqueue => "beforeEnqueue",
            Self::AfterEnqueue => "afterEnqueue",
            Self::BeforePerform => "beforePerform",
            Self::AfterPerform => "afterPerform",
        }
    }
}

/// A set of hook points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookPoints(u8);

impl HookPoints {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(0b1111);
    /// The hook points of an enqueue.
    pub const ENQUEUE: Self = Self::NONE.with(HookPoint::BeforeEnqueue).with(HookPoint::AfterEnqueue);
    /// The hook points of a run.
    pub const PERFORM: Self = Self::NONE.with(HookPoint::BeforePerform).with(HookPoint::AfterPerform);

    /// This set with one more hook point.
    #[must_use]
    pub const fn with(self, point: HookPoint) -> Self {
        Self(self.0 | 1 << point as u8)
    }

    /// Is this hook point in the set?
    #[must_use]
    pub const fn contains(self, point: HookPoint) -> bool {
        self.0 & 1 << point as u8 != 0
    }

    /// Do the two sets have a hook point in common?
    #[must_use]
    pub const fn any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The hook points of the set, in the order of a job's life.
    pub fn iter(self) -> impl Iterator<Item = HookPoint> {
        HookPoint::ALL.into_iter().filter(move |point| self.contains(*point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_places_are_a_set() {
        let two = HookPoints::NONE.with(HookPoint::AfterPerform).with(HookPoint::BeforeEnqueue);
        assert_eq!(two.iter().map(HookPoint::name).collect::<Vec<_>>(), ["before_enqueue", "after_perform"]);
        assert!(two.any_of(HookPoints::ENQUEUE) && two.any_of(HookPoints::PERFORM) && !two.any_of(HookPoints::NONE));
        assert_eq!(HookPoints::ALL.iter().collect::<Vec<_>>(), HookPoint::ALL);
    }
}
