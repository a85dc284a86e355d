//! How a bus is made in code.

use std::path::Path;
use std::sync::Arc;

use busway_core::{Error, ErrorKind, Result};

use crate::bus::Bus;
use crate::config::{Config, Endpoint, Http, Route, Transport};
use crate::testing::Bench;

/// Makes a [`Bus`]; begun by [`Bus::builder`].
#[derive(Clone, Debug)]
pub struct BusBuilder {
    config: Config,
}

impl BusBuilder {
    pub(crate) fn new(name: &str) -> Self {
        Self { config: Config::named(name) }
    }

    /// The bus lives in this directory: the queues in `queues`, the state in `state.db`, what became of
    /// messages in `journal`.
    #[must_use]
    pub fn embedded(mut self, directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        self.config.transports.insert("local".to_owned(), Transport::embedded(directory.join("queues")));
        self.config.bus.transport = "local".to_owned();
        self.config.bus.state = format!("sqlite:{}", directory.join("state.db").display());
        self.config.journal.path = directory.join("journal");
        self
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, name: &str, endpoint: Endpoint) -> Self {
        self.config.endpoints.insert(name.to_owned(), endpoint);
        self
    }

    /// Sends messages of these types (patterns, see [`Route`]) to these endpoints.
    #[must_use]
    pub fn route(mut self, types: &[&str], to: &[&str]) -> Self {
        self.config.routes.push(Route {
            r#type: types.iter().map(ToString::to_string).collect(),
            to: to.iter().map(ToString::to_string).collect(),
            ..Route::default()
        });
        self
    }

    /// Serves HTTP.
    #[must_use]
    pub fn http(mut self, http: Http) -> Self {
        self.config.http = Some(http);
        self
    }

    /// Changes anything else of the configuration.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Checks the configuration; nothing is opened before [`Bus::start`].
    ///
    /// # Errors
    /// `Configuration`, with all mistakes.
    pub fn build(self) -> Result<Bus> {
        self.build_on(None)
    }

    pub(crate) fn build_on(self, bench: Option<Arc<Bench>>) -> Result<Bus> {
        self.config
            .validate()
            .map_err(|mistakes| Error::new("build", ErrorKind::Configuration, mistakes.to_string()))?;
        Ok(Bus::new(self.config, bench))
    }
}
