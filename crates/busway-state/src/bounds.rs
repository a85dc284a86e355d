//! What a key, a value and a list may be.

use busway_core::{Error, ErrorKind, Result};
use bytes::Bytes;

/// The longest key in bytes.
pub(crate) const MAX_KEY: usize = 512;
/// The longest value in bytes.
pub(crate) const MAX_VALUE: usize = 1 << 20;
/// The longest list in keys.
pub(crate) const MAX_LIST: usize = 100_000;

/// Refuses a key that is empty, too long or holds a NUL.
pub(crate) fn check_key(operation: &'static str, key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(operation, ErrorKind::Malformed, "a key must not be empty"));
    }
    check_prefix(operation, key)
}

/// Refuses a prefix that no key could have.
pub(crate) fn check_prefix(operation: &'static str, prefix: &str) -> Result<()> {
    if prefix.len() > MAX_KEY {
        let detail = format!("a key of {} bytes is over the limit of {MAX_KEY}", prefix.len());
        return Err(Error::new(operation, ErrorKind::TooLarge, detail));
    }
    if prefix.contains('\0') {
        return Err(Error::new(operation, ErrorKind::Malformed, "a key must not contain NUL"));
    }
    Ok(())
}

/// Refuses a value that is too long.
pub(crate) fn check_value(operation: &'static str, key: &str, value: Option<&Bytes>) -> Result<()> {
    match value {
        Some(value) if value.len() > MAX_VALUE => {
            let detail = format!("a value of {} bytes is over the limit of {MAX_VALUE}", value.len());
            Err(Error::new(operation, ErrorKind::TooLarge, detail).at(key))
        }
        _ => Ok(()),
    }
}

/// The refusal of a list over [`MAX_LIST`] or too many bytes.
pub(crate) fn too_many(prefix: &str) -> Error {
    Error::new("list", ErrorKind::TooLarge, format!("over {MAX_LIST} keys, or too many bytes, begin with it"))
        .at(prefix)
        .advise("list by longer prefixes")
}
