//! What a failure means as an exit code.

use std::fmt;
use std::process::ExitCode;

use busway::config::ConfigError;
use busway::core::{Error, ErrorKind};

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed; what was wrong is said already.
    Said,
    /// It failed.
    Failed(String),
    /// Wrong usage or configuration.
    Usage(String),
    /// The configuration has mistakes.
    Config(ConfigError),
    /// The bus or a broker refused or could not be reached.
    Bus(Error),
    /// The user interrupted it.
    Interrupted,
}

/// What a verb comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The exit code, as the contract has it: 1 failed, 2 usage or configuration, 3 not reached,
    /// 130 interrupted.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Said | Self::Failed(_) => 1,
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Bus(error) => of_kind(error.kind()),
            Self::Interrupted => 130,
        }
    }

    /// Says on standard error what is wrong, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let text = self.to_string();
        if !text.is_empty() {
            crate::output::complain(&text);
        }
        ExitCode::from(self.code())
    }
}

fn of_kind(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Configuration | ErrorKind::Unsupported => 2,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Held | ErrorKind::Denied => 3,
        _ => 1,
    }
}

/// Prints help to standard output and mistakes to standard error, coloured on a terminal.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    // A closed stream has nobody to tell.
    error.print().ok();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said | Self::Interrupted => Ok(()),
            Self::Failed(text) | Self::Usage(text) => f.write_str(text),
            Self::Config(error) => write!(f, "{error}"),
            Self::Bus(error) => write!(f, "{error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Bus(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_have_the_codes_of_the_contract() {
        for (kind, code) in [
            (ErrorKind::Configuration, 2),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::Unavailable, 3),
            (ErrorKind::Timeout, 3),
            (ErrorKind::Held, 3),
            (ErrorKind::NotFound, 1),
            (ErrorKind::Full, 1),
            (ErrorKind::Io, 1),
        ] {
            assert_eq!(Failure::Bus(Error::new("x", kind, "y")).code(), code, "{kind:?}");
        }
        assert_eq!(Failure::Interrupted.code(), 130);
    }
}
