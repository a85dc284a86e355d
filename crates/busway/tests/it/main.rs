//! The library as its user sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod handlers;
mod life;
