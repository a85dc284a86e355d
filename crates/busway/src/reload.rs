//! What a new configuration comes to in a bus that runs: what changes now, and what needs a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use busway_core::{Error, ErrorKind, Result, Transport};
use busway_http::Reloaded;
use busway_runtime::EndpointSpec;

use crate::config::{Config, Endpoint};
use crate::registry;

/// A change of configuration, made ready.
pub(crate) struct Plan {
    /// What runs afterwards.
    pub(crate) next: Config,
    pub(crate) reloaded: Reloaded,
}

impl Plan {
    /// Of `new`, what can change while the bus runs by `old`. What cannot keeps its old value: the
    /// bus, its transports, the HTTP interface, the journal, an endpoint's kind and its order. An endpoint
    /// that is gone from `new` stays, without routes: what waits for it is delivered.
    ///
    /// # Errors
    /// `Configuration` where what can change does not fit to what cannot.
    pub(crate) fn of(old: &Config, new: &Config) -> Result<Self> {
        let mut next = Config {
            bus: old.bus.clone(),
            transports: old.transports.clone(),
            http: old.http.clone(),
            journal: old.journal.clone(),
            ..new.clone()
        };
        for (name, before) in &old.endpoints {
            match next.endpoints.get_mut(name) {
                Some(now) if now.target.kind_name() == before.target.kind_name() => {
                    now.policy.order = before.policy.order;
                }
                Some(now) => *now = before.clone(),
                None => {
                    next.endpoints.insert(name.clone(), before.clone());
                }
            }
        }
        next.validate().map_err(|mistakes| {
            // By key alone: here a text may repeat what a reference stands for.
            let keys: Vec<&str> = mistakes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
            let detail = format!("these do not fit to what only a restart can change: {}", keys.join(", "));
            Error::new("reload", ErrorKind::Configuration, detail).advise("restart")
        })?;
        let reloaded = Reloaded { applied: old.changes(&next), restart: next.changes(new) };
        Ok(Self { next, reloaded })
    }

    /// Every endpoint of the configuration that is to run. One whose target is the same goes on; the
    /// others are made anew.
    ///
    /// # Errors
    /// Those of opening an endpoint.
    pub(crate) async fn endpoints(
        &self,
        old: &Config,
        made: &BTreeMap<String, EndpointSpec>,
        transport: &Arc<dyn Transport>,
    ) -> Result<BTreeMap<String, EndpointSpec>> {
        let mut endpoints = BTreeMap::new();
        for (name, settings) in &self.next.endpoints {
            let same = old.endpoints.get(name).is_some_and(|before| goes_on(before, settings));
            let spec = match made.get(name).filter(|_| same) {
                Some(spec) => registry::treated(&self.next, settings, Arc::clone(&spec.endpoint))?,
                None => registry::endpoint(&self.next, name, settings, transport, false).await?,
            };
            endpoints.insert(name.clone(), spec);
        }
        Ok(endpoints)
    }
}

/// Whether what delivers is the same for both: each keeps its own time-out.
fn goes_on(before: &Endpoint, now: &Endpoint) -> bool {
    before.target == now.target && before.policy.timeout == now.policy.timeout
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::config::{FileTarget, HttpTarget, Order, Route, Target};

    fn running() -> Config {
        let mut config = Config::named("shop");
        let http = HttpTarget { url: "http://127.0.0.1:9/a".to_owned(), ..HttpTarget::default() };
        config.endpoints.insert("a".to_owned(), Endpoint::new(Target::Http(http)));
        let file = FileTarget { path: "b.jsonl".into() };
        config.endpoints.insert("b".to_owned(), Endpoint::new(Target::File(file)));
        config.routes.push(Route {
            r#type: vec!["#".to_owned()],
            to: vec!["a".to_owned(), "b".to_owned()],
            ..Route::default()
        });
        config
    }

    fn of(new: &Config) -> Reloaded {
        Plan::of(&running(), new).unwrap().reloaded
    }

    #[test]
    fn what_can_change_is_applied_and_the_rest_is_named_by_key() {
        let mut new = running();
        new.bus.name = "other".to_owned();
        new.flow.workers = 3;
        new.flow.shutdown_grace = Duration::from_secs(1);
        new.http = Some(crate::config::Http::default());
        let Target::Http(http) = &mut new.endpoints.get_mut("a").unwrap().target else { panic!("not http") };
        http.url = "http://127.0.0.1:9/b".to_owned();
        let a = &mut new.endpoints.get_mut("a").unwrap().policy;
        (a.order, a.retry.attempts) = (Order::Account, 2);
        let gone = new.endpoints.remove("b").unwrap();
        new.endpoints.insert("c".to_owned(), gone);
        new.routes[0].to = vec!["a".to_owned(), "c".to_owned()];
        let reloaded = of(&new);
        let applied = [
            "endpoints.a.retry.attempts",
            "endpoints.a.url",
            "endpoints.c",
            "flow.shutdown_grace",
            "flow.workers",
            "routes",
        ];
        assert_eq!(reloaded.applied, applied);
        assert_eq!(reloaded.restart, ["bus.name", "endpoints.a.order", "endpoints.b", "http"]);
        assert_eq!(of(&running()), Reloaded::default());
    }

    #[test]
    fn an_endpoint_of_another_kind_stays_as_a_whole_until_the_restart() {
        let mut new = running();
        let file = FileTarget { path: "a.jsonl".into() };
        new.endpoints.insert("a".to_owned(), Endpoint::new(Target::File(file)));
        let plan = Plan::of(&running(), &new).unwrap();
        assert_eq!(plan.next.endpoints, running().endpoints);
        assert!(plan.reloaded.applied.is_empty(), "{:?}", plan.reloaded);
        assert!(
            plan.reloaded.restart.iter().all(|key| key.starts_with("endpoints.a.")),
            "{:?}",
            plan.reloaded
        );
        assert!(plan.reloaded.restart.contains(&"endpoints.a.kind".to_owned()));
    }
}
