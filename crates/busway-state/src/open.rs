//! From a setting to a store.

use std::path::Path;
use std::sync::Arc;

use busway_core::{Error, ErrorKind, Result, State};

use crate::sqlite::SqliteState;

/// Opens the store that the setting `[bus] state` names: `sqlite:PATH`, relative to the working
/// directory unless it begins with `/`.
///
/// # Errors
/// `Configuration` where the text names no store, `Unsupported` for a store of another kind, and
/// those of [`SqliteState::open`]. None repeats more of the text than its scheme.
pub async fn open_url(url: &str) -> Result<Arc<dyn State>> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(wrong("the setting has no scheme"));
    };
    match scheme {
        "sqlite" => Ok(Arc::new(SqliteState::open(sqlite_path(rest)?).await?)),
        "postgres" | "postgresql" => Err(Error::new(
            "open state",
            ErrorKind::Unsupported,
            "PostgreSQL is not supported by this version",
        )
        .at(scheme)
        .advise(ADVICE)),
        _ => Err(wrong(&format!("{scheme:?} is no kind of state store"))),
    }
}

const ADVICE: &str = "set [bus] state to \"sqlite:PATH\", such as \"sqlite:var/shop/state.db\"";

fn wrong(detail: &str) -> Error {
    Error::new("open state", ErrorKind::Configuration, detail).advise(ADVICE)
}

/// The path after `sqlite:` or `sqlite://`.
fn sqlite_path(rest: &str) -> Result<&Path> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path == ":memory:" {
        return Err(wrong("the setting names no file"));
    }
    if path.contains('?') {
        return Err(wrong("parameters after the path are not understood"));
    }
    Ok(Path::new(path))
}
