//! Wall-clock moments as milliseconds since the Unix epoch, and their RFC 3339 form.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment in milliseconds since the Unix epoch (UTC).
pub type Millis = u64;

/// The host's wall clock now. A clock set before 1970 reads as 0.
#[must_use]
pub fn now_ms() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// The last moment that RFC 3339 can write.
const LAST: Millis = 253_402_300_799_999;

/// Reads an RFC 3339 timestamp; fractions of a millisecond are rounded up, so that a delay is
/// never shortened, but for the last one of the year 9999. `None` where the text is no timestamp or
/// lies before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
    let nanos = u128::try_from(nanos).ok()?;
    u64::try_from(nanos.div_ceil(1_000_000)).ok().map(|at| at.min(LAST))
}

/// Writes a moment as RFC 3339 in UTC with millisecond precision; moments past year 9999 are
/// written as its last one.
#[must_use]
pub fn format_rfc3339(at: Millis) -> String {
    let nanos = i128::from(at.min(LAST)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_rounded_up_so_that_nothing_is_early() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00.0001Z"), Some(1));
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(parse_rfc3339("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59.9999999Z"), Some(LAST));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn written_moments_are_read_back() {
        for at in [0, 1, 1_700_000_000_123, 253_402_300_799_999] {
            assert_eq!(parse_rfc3339(&format_rfc3339(at)), Some(at));
        }
    }
}
