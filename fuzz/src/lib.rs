//! A target for each parser of what comes from outside: a function that takes any bytes.
//!
//! A target panics where a promise is broken: a parser that panics, that takes more memory or time than its
//! input is worth, or that does not read back what it wrote itself. The tests run each for a moment on seeds
//! that are changed by chance, always the same; `cargo xtask fuzz` runs them for as long as is asked, led by
//! what code an input reaches. What was found once lies in `regressions` and is run by both.
//!
//! | module | what comes from outside |
//! |---|---|
//! | `events` | messages over HTTP and as JSON lines |
//! | `requests` | whole requests to the HTTP interface |
//! | `answers` | what an endpoint answers |
//! | `settings` | the configuration file, variables, flags, values with a unit |
//! | `routing` | patterns of routes, names, times |
//! | `store` | the files of the embedded store |
//! | `calls` | what crosses the socket of a holder |
//! | `state` | rows and files of the state store |
#![deny(unsafe_code)]
#![deny(missing_docs)]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target fails by a panic")]

mod answers;
mod bounds;
mod calls;
mod events;
mod memory;
mod requests;
mod routing;
mod seeds;
mod settings;
mod state;
mod store;

use std::path::PathBuf;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

/// A function that takes any bytes, and bytes to begin with.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub run: fn(&[u8]),
    /// Input that the parser accepts, or nearly.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs a short run tries.
    pub cases: u32,
}

const QUICK: u32 = 3_000;
/// Of those that open files or connections.
const SLOW: u32 = 120;

macro_rules! targets {
    ($($name:literal $module:ident::$run:ident $seeds:ident $cases:ident,)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$(
            Target { name: $name, run: $module::$run, seeds: seeds::$seeds, cases: $cases },
        )*];
    };
}

targets! {
    "binary" events::binary binary QUICK,
    "header-value" events::header_value header_values QUICK,
    "structured" events::structured structured QUICK,
    "batch" events::batch batches QUICK,
    "lines" events::lines lines QUICK,
    "request" requests::request requests SLOW,
    "answer" answers::answer answers SLOW,
    "retry-after" answers::retry_after retry_after QUICK,
    "config-file" settings::file config_files QUICK,
    "config-overrides" settings::overrides overrides QUICK,
    "values" settings::values values QUICK,
    "routes" routing::routes routes QUICK,
    "names" routing::names names QUICK,
    "times" routing::times times QUICK,
    "stored-message" store::message stored_messages QUICK,
    "records" store::records records QUICK,
    "segment" store::segment segments SLOW,
    "store-version" store::version versions SLOW,
    "frames" calls::frames frames QUICK,
    "calls" calls::calls calls QUICK,
    "call-answers" calls::answers call_answers QUICK,
    "gate-row" state::gate_row gate_rows QUICK,
    "state-file" state::file state_files SLOW,
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What was found once: the name of its file, and the input.
///
/// # Panics
/// Where it cannot be read.
#[must_use]
pub fn regressions(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target.name);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}
