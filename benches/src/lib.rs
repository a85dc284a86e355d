//! What busway does on this machine, beside a twin: the raw client, or the simplest code by hand,
//! tuned as hard as the subject and given the same bytes.
//!
//! | module | holds |
//! |---|---|
//! | [`bench`](mod@bench) | what a case is given: takes its measures, judges and prints them |
//! | [`cases`](mod@cases) | the table of cases, one file each |
//! | [`run`] | one run of one side: time, CPU, lost, duplicated, latency |
//! | [`pairs`] | interleaved runs, A B A B, and their medians with a bound |
//! | [`row`] | a measurement as it is printed |
//! | [`mod@open_loop`] | latency from the intended send time |
//! | [`free`] | a transport and an endpoint that cost next to nothing |
//! | [`tally`] | which messages came, and how often |
//! | [`disk`] | how often a second this disk syncs |
//!
//! # A case
//! is a file in `cases/` with a `pub(super) const CASE: Case` and a line in the table. Its function
//! asks [`Bench::measure`] for each measure, with a closure that runs one side once:
//!
//! ```
//! use busway_benches::{Bench, Limit, Measure, Side, Stopwatch};
//!
//! fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
//!     let messages = bench.scale(1_000_000);
//!     let measure = Measure::new("sum", "busway", "a loop by hand").limit(Limit::Ratio(0.5));
//!     bench.measure(&measure, |side| {
//!         let watch = Stopwatch::start();
//!         let sum: u64 = match side {
//!             Side::Subject => (0..messages).sum(),
//!             Side::Twin => messages * messages.saturating_sub(1) / 2,
//!         };
//!         std::hint::black_box(sum);
//!         Ok(watch.stop(messages))
//!     })
//! }
//! # let mut options = busway_benches::Options::default();
//! # options.pairs = 1;
//! # options.quick = true;
//! # let mut rows = 0;
//! # let mut print = |_: &busway_benches::Row| rows += 1;
//! # run(&mut Bench::new("sum", &options, &mut print)).unwrap();
//! # assert_eq!(rows, 1);
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod bench;
pub mod cases;
pub mod disk;
pub mod free;
pub mod open_loop;
pub mod pairs;
pub mod row;
pub mod run;
pub mod tally;

pub use bench::{Bench, Limit, Measure, Options, Verdict};
pub use cases::{CASES, Case};
pub use open_loop::{Line, Pace, open_loop};
pub use pairs::Side;
pub use row::Row;
pub use run::{Latency, Run, Stopwatch};
pub use tally::Tally;
