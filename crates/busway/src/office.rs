//! What the holder of a store shares with the processes that ask it: the running bus, what it goes by, and
//! the handlers that it routes to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::{Error, ErrorKind, Result};
use busway_embedded::socket;
use busway_runtime::{Change, EndpointSpec, RouteSpec, Runtime};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::guest;
use crate::handlers::{self, Handlers};
use crate::holder::{Purpose, flow};
use crate::named::Named;
use crate::registry;
use crate::remote::work::{self, Call, Joined, Member, VERB};
use crate::remote::{AdminVerbs, Asker};

/// How long one change waits for another.
const TURN: Duration = Duration::from_secs(5);

/// What a bus goes by.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) endpoints: BTreeMap<String, EndpointSpec>,
}

/// The shared part of a holder.
pub(crate) struct Office {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) handlers: Handlers,
    purpose: Purpose,
    running: Mutex<Arc<Running>>,
    changing: Semaphore,
}

impl Office {
    pub(crate) fn new(runtime: Arc<Runtime>, handlers: Handlers, purpose: Purpose, running: Running) -> Self {
        Self {
            runtime,
            handlers,
            purpose,
            running: Mutex::new(Arc::new(running)),
            changing: Semaphore::new(1),
        }
    }

    /// What the bus goes by now.
    pub(crate) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn go_by(&self, running: Running) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(running);
    }

    /// The right to change what the bus goes by.
    ///
    /// # Errors
    /// `Conflict` where another change does not end.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(TURN, self.changing.acquire()).await;
        turn.ok().and_then(std::result::Result::ok).ok_or_else(|| {
            Error::new("change", ErrorKind::Conflict, "another change is under way").advise("try again")
        })
    }

    /// The routes that are configured, and those of the handlers.
    pub(crate) fn routes(&self, config: &Config) -> Vec<RouteSpec> {
        routes(config, &self.handlers.all())
    }

    /// Routes to these subscriptions of another process, from now on and after a restart.
    async fn join(&self, subscriptions: &[Named], rules: u64) -> Result<Joined> {
        self.delivers()?;
        let _turn = self.turn().await?;
        let running = self.running();
        let config = &running.config;
        let (mut all, mut new) = (self.handlers.all(), Vec::new());
        for named in subscriptions {
            named.check()?;
            if config.endpoints.contains_key(&named.name) {
                return Err(handlers::taken(&named.name));
            }
            match all.insert(named.name.clone(), named.clone()) {
                Some(known) if known.order != named.order => {
                    let detail = "its order stays for as long as the store has its holder";
                    return Err(Error::new("subscribe", ErrorKind::Configuration, detail).at(&named.name));
                }
                Some(_) => {}
                None => new.push(named.clone()),
            }
        }
        if all != self.handlers.all() {
            for named in subscriptions {
                self.handlers.keep(named).await?;
            }
            let endpoints = self.handlers.endpoints(config, new.iter()).await?;
            self.change(config, all, endpoints).await?;
        }
        if self.handlers.any_own(subscriptions) {
            self.handlers.start_worker(config).await?;
        }
        Ok(Joined { same_rules: guest::rules(config) == rules })
    }

    /// Routes nothing more to this subscription, now and after a restart.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub(crate) async fn leave(&self, name: &str) -> Result<()> {
        self.delivers()?;
        let _turn = self.turn().await?;
        let running = self.running();
        let config = &running.config;
        let mut all = self.handlers.all();
        let named = all.get_mut(name).filter(|named| !named.has_ended()).ok_or_else(|| {
            Error::new("unsubscribe", ErrorKind::NotFound, "there is no such subscription").at(name)
        })?;
        named.types.clear();
        self.handlers.keep(named).await?;
        self.change(config, all, BTreeMap::new()).await
    }

    async fn change(
        &self,
        config: &Config,
        all: BTreeMap<String, Named>,
        endpoints: BTreeMap<String, EndpointSpec>,
    ) -> Result<()> {
        let routes = routes(config, &all);
        self.runtime.change(Change { endpoints, routes, flow: flow(config) }).await?;
        self.handlers.replace(all);
        Ok(())
    }

    fn delivers(&self) -> Result<()> {
        match self.purpose {
            Purpose::Deliver => Ok(()),
            Purpose::Look => {
                Err(Error::new("join", ErrorKind::Held, "the store is held by a verb that ends soon")
                    .advise("try again"))
            }
        }
    }
}

/// The routes that are configured, and those of these handlers.
pub(crate) fn routes(config: &Config, named: &BTreeMap<String, Named>) -> Vec<RouteSpec> {
    registry::routes(config).into_iter().chain(handlers::routes(named)).collect()
}

/// The holder's end of the socket.
pub(crate) struct Served {
    office: Arc<Office>,
    admin: AdminVerbs,
}

impl Served {
    pub(crate) fn new(office: Arc<Office>) -> Self {
        let admin = AdminVerbs::new(Arc::clone(&office.runtime) as Arc<dyn busway_core::Admin>);
        Self { office, admin }
    }
}

#[async_trait]
impl socket::Verbs for Served {
    async fn call(&self, _: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        answer(&self.admin, &params).await
    }

    fn connected(&self) -> Option<Arc<dyn socket::Verbs>> {
        let sessions = Arc::clone(self.office.handlers.sessions());
        Some(Arc::new(Connected {
            member: Member::new(sessions, uuid::Uuid::now_v7().to_string()),
            office: Arc::clone(&self.office),
            admin: self.admin.clone(),
        }))
    }
}

/// The holder's end of one connection.
struct Connected {
    member: Member,
    office: Arc<Office>,
    admin: AdminVerbs,
}

#[async_trait]
impl socket::Verbs for Connected {
    async fn call(&self, verb: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        if verb != VERB {
            return answer(&self.admin, &params).await;
        }
        match work::read(&params)? {
            Call::Join { subscriptions, rules } => {
                work::json(&self.office.join(&subscriptions, rules).await?)
            }
            Call::Leave { name } => work::json(&self.office.leave(&name).await?),
            call => {
                self.office.delivers()?;
                self.member.answer(call).await
            }
        }
    }
}

async fn answer(admin: &AdminVerbs, params: &RawValue) -> Result<Box<RawValue>> {
    let answer = admin.answer(params.get().as_bytes()).await;
    String::from_utf8(answer)
        .ok()
        .and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(|| Error::new("answer", ErrorKind::Internal, "an answer has no JSON form"))
}

/// Another process's end of the socket.
pub(crate) struct Line(pub(crate) socket::Client);

#[async_trait]
impl Asker for Line {
    async fn ask(&self, call: &[u8], deadline: Duration) -> Result<Vec<u8>> {
        let text = std::str::from_utf8(call)
            .ok()
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .ok_or_else(|| Error::new("ask", ErrorKind::Internal, "a call has no JSON form"))?;
        let answer = self.0.call("admin", text, deadline).await?;
        Ok(answer.get().as_bytes().to_vec())
    }
}
