//! What an answer's status means.

use std::time::{Duration, SystemTime};

use busway_core::DeliveryError;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};

/// The longest that an endpoint can ask to be left alone.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Success is 2xx and nothing else.
pub(super) fn outcome(status: StatusCode, headers: &HeaderMap) -> Result<(), DeliveryError> {
    if status.is_success() {
        return Ok(());
    }
    let number = status.as_u16();
    let class = match number {
        408 => "timeout".to_owned(),
        410 => "gone".to_owned(),
        _ => format!("status-{number}"),
    };
    let mut error = DeliveryError::retry(&class, format!("the answer was {number}"));
    if matches!(number, 408 | 429 | 502..=504) {
        error = error.overload();
    }
    Err(match retry_after(headers, SystemTime::now()) {
        Some(wait) => error.after(wait),
        None => error,
    })
}

/// `retry-after` as seconds or a date; nothing where it is neither.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn only_2xx_is_success() {
        for status in (100..=999).filter_map(|n| StatusCode::from_u16(n).ok()) {
            let done = outcome(status, &HeaderMap::new()).is_ok();
            assert_eq!(done, (200..300).contains(&status.as_u16()), "{status}");
        }
    }

    #[test]
    fn overload_is_told_from_failure() {
        for (number, class, overloaded) in [
            (301, "status-301", false),
            (400, "status-400", false),
            (408, "timeout", true),
            (410, "gone", false),
            (429, "status-429", true),
            (500, "status-500", false),
            (502, "status-502", true),
            (503, "status-503", true),
            (504, "status-504", true),
        ] {
            let error = outcome(StatusCode::from_u16(number).unwrap(), &HeaderMap::new()).unwrap_err();
            assert_eq!((&*error.class, error.overloaded), (class, overloaded), "{number}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        for (text, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("999999999", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(86_400)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(&with(text), now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
