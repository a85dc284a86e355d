//! Where messages are delivered to: HTTP, files, queues, programs and handlers, each an
//! [`Endpoint`](busway_core::Endpoint).
//!
//! | module | success of a delivery means |
//! |---|---|
//! | [`http`] | the peer answered 2xx, or (forget) its TCP has acknowledged every byte |
//! | [`mod@file`] | the line is synced to disk |
//! | [`queue`] | the transport has confirmed the copy |
//! | [`exec`] | the program exited 0 |
//! | [`handler`] | the function returned `Ok` |
//!
//! What a failure means is in its [`DeliveryError`](busway_core::DeliveryError): a class of one
//! word, whether a further try makes sense, and whether it is a sign of overload.
#![deny(missing_docs)]

pub mod exec;
pub mod file;
#[doc(hidden)]
pub mod fuzz;
pub mod handler;
pub mod http;
pub mod queue;

pub use exec::{ExecConfig, ExecEndpoint};
pub use file::{FileConfig, FileEndpoint};
pub use handler::HandlerEndpoint;
pub use http::{HttpConfig, HttpEndpoint, Mode};
pub use queue::QueueEndpoint;
