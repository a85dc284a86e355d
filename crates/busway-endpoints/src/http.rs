//! Delivers by HTTP: one POST a message in the binary mode of CloudEvents, the payload as the body.
//!
//! | module | holds |
//! |---|---|
//! | `config` | [`HttpConfig`] |
//! | `target` | the URL taken apart, and how to connect to it |
//! | `request` | headers and body of a delivery |
//! | `tcp_info` | what the kernel knows of a connection |
//! | `meter` | sockets that know what was sent, acknowledged and answered |
//! | `link` | one connection with its HTTP/1.1 state |
//! | `pool` | idle connections |
//! | `wait`, `forget` | the two meanings of success |
//! | `answer` | what a status means |

pub(crate) mod answer;
mod config;
mod forget;
mod link;
mod meter;
mod pool;
mod request;
mod target;
mod tcp_info;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint, Result};
use tokio::time::{Instant, timeout_at};

pub use config::{HttpConfig, Mode};

use forget::Readers;
use pool::Pool;
use request::Template;
use target::Target;

/// An idle connection is not used again after this long.
const IDLE_WAIT: Duration = Duration::from_secs(20);
/// The same where no answer tells whether the peer still wanted it: well below what servers wait.
const FORGET_IDLE_WAIT: Duration = Duration::from_secs(1);

/// Delivers by HTTP POST.
#[derive(Debug)]
pub struct HttpEndpoint {
    target: Target,
    template: Template,
    pool: Arc<Pool>,
    readers: Readers,
    mode: Mode,
    timeout: Duration,
    max_response_bytes: usize,
}

impl HttpEndpoint {
    /// An endpoint by its settings; nothing is connected yet.
    ///
    /// # Errors
    /// `Configuration` where the URL or a header cannot be used, or where the system has no
    /// certificates to verify an `https` peer by.
    pub fn new(config: HttpConfig) -> Result<Self> {
        let target = Target::new(&config)?;
        let template = Template::new(&config, &target)?;
        let idle_wait = match config.mode {
            Mode::Wait => IDLE_WAIT,
            Mode::Forget => FORGET_IDLE_WAIT,
        };
        Ok(Self {
            target,
            template,
            pool: Pool::new(config.max_idle, idle_wait),
            readers: Readers::new(config.max_unread_answers, config.max_response_bytes),
            mode: config.mode,
            timeout: config.timeout,
            max_response_bytes: config.max_response_bytes,
        })
    }

    fn timed_out(&self, doing: &str) -> DeliveryError {
        let detail = format!("{}: {doing} took over {:?}", self.target, self.timeout);
        DeliveryError::retry("timeout", detail).overload()
    }
}

#[async_trait]
impl Endpoint for HttpEndpoint {
    fn kind(&self) -> &'static str {
        "http"
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let deadline = Instant::now() + self.timeout;
            answers.push(match self.mode {
                Mode::Wait => wait::deliver(self, &delivery.message, deadline).await,
                Mode::Forget => forget::deliver(self, &delivery.message, deadline).await,
            });
        }
        answers
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        match timeout_at(deadline, self.target.connect()).await {
            Ok(connected) => connected.map(|_| format!("connected to {}; no request was sent", self.target)),
            Err(_) => Err(self.timed_out("connecting")),
        }
    }

    async fn close(&self) {
        self.readers.finish().await;
        self.pool.close();
    }
}
