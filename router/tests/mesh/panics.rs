//! A task that panics ends alone, and nobody may notice. Here somebody does: every simulated host runs on its test's thread.

use std::{cell::Cell, panic, sync::Once};

thread_local! {
    static COUNTED: Cell<usize> = const { Cell::new(0) };
}

/// From now on, on this thread.
pub(crate) fn count() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            COUNTED.set(COUNTED.get() + 1);
            print(panic);
        }));
    });
    COUNTED.set(0);
}

pub(crate) fn counted() -> usize {
    COUNTED.get()
}
