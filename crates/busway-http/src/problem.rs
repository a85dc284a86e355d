//! The one form of an error: `{error, class?, index?, attribute?}` with a fitting status.

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use busway_core::envelope::DecodeError;
use busway_core::{Error, ErrorClass, ErrorKind};
use serde::Serialize;

/// How long a client should wait where nothing better is known, in seconds.
pub(crate) const RETRY_AFTER: &str = "1";

/// Why a request was refused as a whole.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<String>,
    #[serde(skip)]
    allow: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), class: None, index: None, attribute: None, allow: None }
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a bearer token is needed, and this one is missing or wrong")
    }

    pub(crate) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}"));
        Self { allow: Some(allow), ..problem }
    }

    pub(crate) fn too_large(limit: impl fmt::Display) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over the limit of {limit} bytes"))
    }

    pub(crate) fn unsupported(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
    }

    /// The client did not send its body in time.
    pub(crate) fn slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within the deadline")
    }

    pub(crate) fn cut() -> Self {
        Self::bad_request("the body ended before its end")
    }

    /// More bodies are held than there is room for.
    pub(crate) fn crowded() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many bytes of requests are in hand")
            .class(ErrorClass::Retry.as_str())
    }

    /// The bus did not answer in time.
    pub(crate) fn late(what: &str, deadline: Duration) -> Self {
        let text = format!("{what}: no answer within {} s", deadline.as_secs_f32());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text).class(ErrorClass::Unknown.as_str())
    }

    pub(crate) fn class(mut self, class: &'static str) -> Self {
        self.class = Some(class);
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
            }
            _ => {}
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.json(self)
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let text = error.to_string();
        Self { index: error.index, attribute: error.attribute, ..Self::bad_request(text) }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::new(status_of(&error), error.to_string()).class(error.class().as_str())
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::InvalidHeader | ErrorKind::Malformed | ErrorKind::Configuration => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict | ErrorKind::LeaseLost => StatusCode::CONFLICT,
        ErrorKind::Full => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Closed | ErrorKind::Held => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => match error.class() {
            ErrorClass::Retry | ErrorClass::Reconnect | ErrorClass::Unknown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorClass::Reject => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_fitting_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Timeout, 503),
            (ErrorKind::Closed, 503),
            (ErrorKind::Full, 429),
            (ErrorKind::TooLarge, 413),
            (ErrorKind::Malformed, 400),
            (ErrorKind::Configuration, 400),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Unsupported, 501),
            (ErrorKind::Unroutable, 400),
            (ErrorKind::Corrupt, 500),
        ] {
            let problem = Problem::from(Error::new("peek", kind, "it went wrong"));
            assert_eq!(problem.status().as_u16(), status, "{kind:?}");
            assert_eq!(problem.class, Some(kind.class().as_str()));
        }
    }
}
