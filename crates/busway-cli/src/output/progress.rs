//! Bars on standard error, where that is a terminal that can redraw a line, and nowhere else.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar that is on the screen; what else is written goes above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How often a bar that nothing moves is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// A bar; gone from the screen when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Counts up to this many.
    pub(crate) fn of(total: u64, what: &'static str) -> Self {
        Self::shown(ProgressBar::new(total), "{prefix} [{bar:30}] {pos}/{len} {wide_msg}", what)
    }

    /// Counts bytes up to this many.
    pub(crate) fn of_bytes(total: u64, what: &'static str) -> Self {
        Self::shown(ProgressBar::new(total), "{prefix} [{bar:30}] {percent}%, {eta} left {wide_msg}", what)
    }

    /// Shows that something is under way whose end is not known.
    pub(crate) fn open(what: &'static str) -> Self {
        Self::shown(ProgressBar::new_spinner(), "{prefix} {spinner} {elapsed} {wide_msg}", what)
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So much is done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Says something at the end of its line.
    pub(crate) fn say(&self, text: String) {
        self.0.set_message(text);
    }

    fn shown(bar: ProgressBar, template: &str, what: &'static str) -> Self {
        // It hides by itself where standard error is no terminal or a dumb one.
        if !std::io::stderr().is_terminal() || bar.is_hidden() {
            return Self::none();
        }
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(what);
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        bar.tick();
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Does something to the screen with the bar out of the way.
pub(crate) fn beside<T>(work: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}

/// Standard error for logs.
pub(crate) struct Beside;

impl Write for Beside {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        beside(|| std::io::stderr().write(text))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
