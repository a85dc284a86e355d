//! Headers and body of a delivery.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use busway_core::envelope::http::{NAMES, Name};
use busway_core::{DeliveryError, Error, ErrorKind, Message, Result, envelope};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};

use super::HttpConfig;
use super::meter::Meter;
use super::target::Target;

/// Headers that belong to the message or to the connection.
const TAKEN: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What all requests of an endpoint have in common.
pub(super) struct Template {
    path: Uri,
    headers: HeaderMap,
    /// Those of messages, by their place in [`NAMES`].
    names: [HeaderName; NAMES.len()],
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

impl Template {
    pub(super) fn new(config: &HttpConfig, target: &Target) -> Result<Self> {
        let place = |key: &str| format!("endpoints.{}.{key}", config.name);
        let wrong = |key: &str, detail: String| {
            Error::new("configure", ErrorKind::Configuration, detail).at(place(key))
        };
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(&target.authority)
            .map_err(|_| wrong("url", "the host cannot be sent as a header".to_owned()))?;
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("busway/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &config.headers {
            let key: HeaderName =
                name.parse().map_err(|_| wrong("headers", format!("{name:?} is no header name")))?;
            if TAKEN.contains(&key.as_str()) || key.as_str().starts_with("ce-") {
                return Err(wrong("headers", format!("{key} is set by the delivery itself")));
            }
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| wrong("headers", format!("the value of {key} cannot be sent")))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        if let Some(token) = &config.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| wrong("token", "its characters cannot be sent in a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { path: target.path.clone(), headers, names: NAMES.map(HeaderName::from_static) })
    }

    /// The request that delivers `message` over the connection that `meter` watches; it asks the
    /// peer to end the connection if it is to be the `last`.
    pub(super) fn request(
        &self,
        message: &Message,
        meter: &Arc<Meter>,
        last: bool,
    ) -> Result<Request<Payload>, DeliveryError> {
        let mut request =
            Request::new(Payload { data: Some(message.data.clone()), meter: Arc::clone(meter) });
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers(message)?;
        if last {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        meter.begin(message.data.len());
        Ok(request)
    }

    fn headers(&self, message: &Message) -> Result<HeaderMap, DeliveryError> {
        let own = envelope::http::headers(message);
        let mut headers = HeaderMap::with_capacity(self.headers.len() + own.len() + 1);
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        for (name, value) in own {
            let key = match name {
                Name::Known(place) => self.names.get(place).cloned(),
                Name::Extension(_) => HeaderName::try_from(name.to_string()).ok(),
            };
            let (Some(key), Ok(value)) = (key, HeaderValue::from_maybe_shared(value)) else {
                let detail = format!("\"{name}\" cannot be sent as a header");
                return Err(DeliveryError::reject("encode", detail));
            };
            headers.append(key, value);
        }
        Ok(headers)
    }
}

/// A body in one piece that tells its meter when it has been taken over for sending. One that is
/// empty may never be asked for, so there it is the end of this value that tells.
pub(super) struct Payload {
    data: Option<Bytes>,
    meter: Arc<Meter>,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take();
        self.meter.body_taken();
        Poll::Ready(data.filter(|data| !data.is_empty()).map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.data.as_ref().is_some_and(Bytes::is_empty) {
            self.meter.body_taken();
        }
    }
}
