//! What each verb does.

mod accounts;
mod asked;
mod completions;
mod config;
mod dead;
mod demo;
mod endpoints;
mod man;
mod notify;
mod peek;
mod publish;
mod queues;
mod run;
mod signals;
mod trace;
mod watchdog;

use std::future::Future;
use std::sync::Arc;

use busway::config::{LoadOptions, Loaded, load};
use busway::core::Admin;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Accounts, After, Cli, Common, Config, Dead, Endpoints, Verb};
use crate::exit::{Failure, Outcome};
use crate::follow::Follow;
use crate::{logs, output};

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Outcome {
    let Cli { before, verb } = cli;
    let (between, After { common, json }) = verb.options();
    let common = common.over(between).over(before);
    output::colour(common.color.unwrap_or_default());
    let level = if matches!(verb, Verb::Run(_)) { "info" } else { "warn" };
    logs::start(common.log.as_deref(), level)?;
    let scope = Scope { common, json };
    match verb {
        Verb::Demo(demo) => demo::run(&scope, &demo).await,
        Verb::Run(run) => run::run(&scope, &run).await,
        Verb::Publish(publish) => publish::run(&scope, publish).await,
        Verb::Queues(queues) => queues::run(&scope, &queues).await,
        Verb::Peek(peek) => peek::run(&scope, &peek).await,
        Verb::Trace(trace) => trace::run(&scope, &trace).await,
        Verb::Dead(dead) => dead::run(&scope, dead.verb).await,
        Verb::Endpoints(endpoints) => endpoints::run(&scope, &endpoints.verb).await,
        Verb::Accounts(accounts) => accounts::run(&scope, &accounts.verb).await,
        Verb::Config(config) => config::run(&scope, &config.verb),
        Verb::Completions(completions) => completions::run(&completions),
        Verb::Man(man) => man::run(&man),
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
        Ok(load(&self.layers())?)
    }

    /// Where the configuration comes from.
    pub(crate) fn layers(&self) -> LoadOptions {
        LoadOptions::from_process(self.common.config.clone(), self.common.set.clone())
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
    /// The options between its words, and those that follow it.
    fn options(&self) -> (Common, After) {
        let (between, after) = match self {
            Self::Demo(demo) => (None, &demo.after),
            Self::Run(run) => (None, &run.after),
            Self::Publish(publish) => (None, &publish.after),
            Self::Queues(queues) => (None, &queues.after),
            Self::Peek(peek) => (None, &peek.after),
            Self::Trace(trace) => (None, &trace.after),
            Self::Dead(dead) => (Some(&dead.between), dead.verb.after()),
            Self::Endpoints(endpoints) => (Some(&endpoints.between), endpoints.verb.after()),
            Self::Accounts(accounts) => (Some(&accounts.between), accounts.verb.after()),
            Self::Config(config) => (Some(&config.between), config.verb.after()),
            Self::Completions(_) | Self::Man(_) => return Default::default(),
        };
        (between.cloned().unwrap_or_default(), after.clone())
    }
}

impl Dead {
    fn after(&self) -> &After {
        match self {
            Self::List(list) => &list.after,
            Self::Show(show) => &show.after,
            Self::Replay(replay) => &replay.selected.after,
            Self::Delete(selected) => &selected.after,
        }
    }
}

impl Endpoints {
    fn after(&self) -> &After {
        match self {
            Self::List(plain) => &plain.after,
            Self::Pause(named) | Self::Resume(named) | Self::Test(named) => &named.after,
        }
    }
}

impl Accounts {
    fn after(&self) -> &After {
        match self {
            Self::List(plain) => &plain.after,
            Self::Pause(named) | Self::Resume(named) => &named.after,
            Self::Weight(weight) => &weight.after,
        }
    }
}

impl Config {
    fn after(&self) -> &After {
        match self {
            Self::Init(init) => &init.after,
            Self::Check(plain) | Self::Show(plain) | Self::Schema(plain) => &plain.after,
        }
    }
}
