//! What reading an input may take.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::memory;

/// Memory that any input may take, and each of its bytes besides: what the HTTP interface counts with.
const BASE: usize = 1 << 20;
const EACH: usize = 64;

/// Processor time of this thread that any input may take, and each of its bytes besides; far over what a
/// parser takes that looks at each byte a few times, far under what one takes that is not linear.
const TIME: Duration = Duration::from_millis(500);
const TIME_EACH: Duration = Duration::from_micros(20);

/// Reads an input of this length within what it may take.
pub(crate) fn bounded<T>(length: usize, read: impl FnOnce() -> T) -> T {
    bounded_with(BASE, length, read)
}

/// The same with other memory for any input.
pub(crate) fn bounded_with<T>(base: usize, length: usize, read: impl FnOnce() -> T) -> T {
    let begun = spent();
    let (value, most) = memory::most_of(read);
    let took = spent() - begun;
    assert!(most <= base + EACH * length, "{most} bytes were taken for an input of {length}");
    let limit = TIME + TIME_EACH * u32::try_from(length).unwrap_or(u32::MAX);
    assert!(took <= limit, "{took:?} were taken for an input of {length} bytes");
    value
}

fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("processor time is not negative")
}

/// The most bytes that the text of an error may have.
const LONGEST_ERROR: usize = 2_048;

/// An error's text, which never grows with the input.
pub(crate) fn brief(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() <= LONGEST_ERROR, "an error of {} bytes", text.len());
    text
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A folder, in memory where the system has that.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}
