//! The cases, one file each.

mod embedded;
mod http;
mod route;

use anyhow::Result;

use crate::Bench;

/// A case: a name on the command line, and its measures.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What it measures, in a line.
    pub about: &'static str,
    /// Takes all of its measures.
    pub run: fn(&mut Bench<'_>) -> Result<()>,
}

/// All of them.
pub const CASES: &[Case] = &[embedded::CASE, route::CASE, http::CASE];
