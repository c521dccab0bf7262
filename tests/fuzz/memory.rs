//! Counts what a thread allocates, so that a target that takes memory or steps without bound is found without a clock.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement; each function says why it keeps the contract")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    // Constants without a destructor: using them neither allocates nor fails at the end of a thread.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

/// What one run allocated on its thread.
pub(crate) struct Measured {
    /// The most bytes that it held at one time.
    pub(crate) live: usize,
    /// How many times it allocated.
    pub(crate) times: usize,
}

/// Runs this, and measures it.
pub(crate) fn measure(run: impl FnOnce()) -> Measured {
    LIVE.set(0);
    MOST.set(0);
    TIMES.set(0);
    run();
    Measured { live: MOST.get().unsigned_abs(), times: TIMES.get() }
}

struct Counting;

impl Counting {
    fn count(grown: isize) {
        let live = LIVE.get().saturating_add(grown);
        LIVE.set(live);
        MOST.set(MOST.get().max(live));
        if grown > 0 {
            TIMES.set(TIMES.get() + 1);
        }
    }
}

/// A layout's size fits `isize`, by its contract.
fn signed(size: usize) -> isize {
    size.cast_signed()
}

// SAFETY: every call is passed on to the system's allocator unchanged, and counting does not allocate, unwind or touch
// what is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(signed(layout.size()));
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(signed(layout.size()));
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::count(-signed(layout.size()));
        // SAFETY: the caller keeps the contract of this very function, and `alloc` took `place` from the same allocator.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(signed(size).saturating_sub(signed(layout.size())));
        // SAFETY: the caller keeps the contract of this very function, and `alloc` took `place` from the same allocator.
        unsafe { System.realloc(place, layout, size) }
    }
}
