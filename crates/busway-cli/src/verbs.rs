//! What each verb does.

mod accounts;
mod config;
mod dead;
mod demo;
mod endpoints;
mod notify;
mod peek;
mod publish;
mod queues;
mod run;

use std::future::Future;
use std::sync::Arc;

use busway::config::{LoadOptions, Loaded, load};
use busway::core::Admin;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Accounts, After, Cli, Common, Config, Dead, Endpoints, Verb};
use crate::exit::{Failure, Outcome};
use crate::follow::Follow;
use crate::logs;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Outcome {
    let Cli { before, verb } = cli;
    let started = |after: After| {
        let common = after.common.over(before);
        let level = if matches!(verb, Verb::Run(_)) { "info" } else { "warn" };
        logs::start(common.log.as_deref(), level).map(|()| Scope { common, json: after.json })
    };
    let scope = started(verb.after().clone())?;
    match verb {
        Verb::Demo(demo) => demo::run(&scope, &demo).await,
        Verb::Run(run) => run::run(&scope, &run).await,
        Verb::Publish(publish) => publish::run(&scope, publish).await,
        Verb::Queues(queues) => queues::run(&scope, &queues).await,
        Verb::Peek(peek) => peek::run(&scope, &peek).await,
        Verb::Dead(dead) => dead::run(&scope, dead).await,
        Verb::Endpoints(endpoints) => endpoints::run(&scope, &endpoints).await,
        Verb::Accounts(accounts) => accounts::run(&scope, &accounts).await,
        Verb::Config(config) => config::run(&scope, &config),
    }
}

/// What holds for a verb wherever it stood on the command line.
pub(crate) struct Scope {
    pub(crate) common: Common,
    pub(crate) json: bool,
}

impl Scope {
    /// The configuration.
    pub(crate) fn load(&self) -> Outcome<Loaded> {
        Ok(load(&LoadOptions::from_process(self.common.config.clone(), self.common.set.clone()))?)
    }

    /// Reaches the bus, wherever it is held.
    pub(crate) async fn reach(&self) -> Outcome<Arc<Follow>> {
        let loaded = self.load()?;
        tokio::select! {
            handle = Follow::reach(&loaded.config, self.common.timeout()) => Ok(handle?),
            () = interrupted() => Err(Failure::Interrupted),
        }
    }

    /// Does something with the bus and lets go of it; an interruption ends it.
    pub(crate) async fn with_bus<T, F>(&self, work: impl FnOnce(Arc<dyn Admin>) -> F) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let bus = self.reach().await?;
        let done = tokio::select! {
            done = work(Arc::clone(&bus) as Arc<dyn Admin>) => done,
            () = interrupted() => Err(Failure::Interrupted),
        };
        let closed = bus.close().await;
        let done = done?;
        closed?;
        Ok(done)
    }
}

/// Ends when the program is asked to stop.
pub(crate) async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminate.recv() => {}
        else => std::future::pending().await,
    }
}

impl Verb {
    /// The options that follow it.
    fn after(&self) -> &After {
        match self {
            Self::Demo(demo) => &demo.after,
            Self::Run(run) => &run.after,
            Self::Publish(publish) => &publish.after,
            Self::Queues(queues) => &queues.after,
            Self::Peek(peek) => &peek.after,
            Self::Dead(Dead::List(list)) => &list.after,
            Self::Dead(Dead::Show(show)) => &show.after,
            Self::Dead(Dead::Replay(selected) | Dead::Delete(selected)) => &selected.after,
            Self::Endpoints(Endpoints::List(plain)) | Self::Accounts(Accounts::List(plain)) => &plain.after,
            Self::Endpoints(Endpoints::Pause(named) | Endpoints::Resume(named) | Endpoints::Test(named))
            | Self::Accounts(Accounts::Pause(named) | Accounts::Resume(named)) => &named.after,
            Self::Accounts(Accounts::Weight(weight)) => &weight.after,
            Self::Config(Config::Init(init)) => &init.after,
            Self::Config(Config::Check(plain) | Config::Show(plain)) => &plain.after,
        }
    }
}
