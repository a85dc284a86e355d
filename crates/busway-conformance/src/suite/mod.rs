//! The suite: what is tested, against what, and what came of it.
//!
//! A program or a test brings a [`Factory`] for its transport, says in [`Features`] what no
//! capability tells, and runs [`Suite::run`]; the [`Report`] has a line for every case.

mod bed;
mod case;
mod factory;
mod features;
mod reader;
mod report;
mod runner;
mod task;

pub use case::{Case, Failure, Need};
pub use factory::Factory;
pub use features::Features;
pub use report::{CaseReport, Report, Verdict};
pub use runner::{Suite, run};

pub(crate) use bed::{Bed, Bus};
pub(crate) use case::{Outcomes, ensure, fail};
pub(crate) use reader::Reader;
pub(crate) use task::Task;
