//! State stores, seen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod sqlite;
mod suite;
