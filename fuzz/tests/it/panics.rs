//! Panics in threads that a target cannot see into.

use std::sync::Mutex;
use std::sync::Once;
use std::thread;

static OTHERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From here on panics of threads that are no test's are kept.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A test's thread has the test's name, with its module.
            if !thread::current().name().is_some_and(|name| name.contains("targets::")) {
                OTHERS.lock().unwrap().push(panic.to_string());
            }
            usual(panic);
        }));
    });
}

/// Fails where another thread has panicked.
pub(crate) fn none_elsewhere() {
    let others = OTHERS.lock().unwrap();
    assert!(others.is_empty(), "another thread panicked: {others:?}");
}
