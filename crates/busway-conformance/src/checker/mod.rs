//! Judges of a test run: whether anything was lost, and whether order held.
//!
//! ```
//! use busway_conformance::Ledger;
//!
//! let ledger = Ledger::new();
//! ledger.attempted("a");
//! ledger.acknowledged("a");
//! ledger.delivered("a");
//! let verdict = ledger.verdict();
//! assert!(verdict.is_valid(), "{verdict}");
//! ```

mod ledger;
mod order;

pub use ledger::{Ledger, TotalQueue};
pub use order::{Inversion, OrderChecker, OrderVerdict};
