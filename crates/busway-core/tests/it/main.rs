//! The forms of a message, seen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod forms;
mod malformed;
mod oracle;
mod strategy;
