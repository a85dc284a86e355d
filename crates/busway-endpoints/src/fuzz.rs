//! What an answer says of a further try, for the fuzz targets alone: no part of the interface.

use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};

/// How long an answer with this `retry-after` asks to be left alone.
#[must_use]
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = HeaderValue::from_bytes(value).ok()?;
    crate::http::answer::retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), now)
}
