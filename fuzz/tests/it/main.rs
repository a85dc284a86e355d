//! Each target for a moment: on its seeds, on what was found before, and on both changed by chance. The
//! changes are the same in each run; `BUSWAY_TEST_LONG` tries thirty times as many.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod change;
mod panics;
mod targets;
