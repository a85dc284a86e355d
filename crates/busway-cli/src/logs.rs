//! Logs on standard error.

use tracing_subscriber::EnvFilter;

use crate::exit::{Failure, Outcome};
use crate::output::{progress, stderr_is_coloured};

/// The variable that says what is logged.
const VARIABLE: &str = "BUSWAY_LOG";

/// Starts logging by `--log`, else by `BUSWAY_LOG`, else at `default`.
pub(crate) fn start(asked: Option<&str>, default: &str) -> Outcome {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let text = asked.map(str::to_owned).or(variable).unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&text)
        .map_err(|error| Failure::Usage(format!("{text:?} is not a log level or filter: {error}")))?;
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| progress::Beside)
        .with_ansi(stderr_is_coloured())
        .try_init();
    started.map_err(|error| Failure::Failed(format!("logging cannot start: {error}")))
}
