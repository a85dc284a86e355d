//! What one setting alone cannot know: references between sections, limits, and pairs that must
//! fit.

use std::collections::BTreeSet;
use std::time::Duration;

use busway_core::{Name, Secret};

use super::Config;
use super::endpoints::{Endpoint, Target};
use super::mistake::{Mistake, Origin, suggestion};
use super::pattern::check_pattern;
use super::sections::Route;
use super::setting::join;
use super::transports::TransportKind;

/// What a message may have besides its body: 128 KiB of headers, and 8 KiB kept for busway's own
/// attributes, so that whatever was accepted can be parked.
const AROUND: u64 = (128 + 8) << 10;

/// Names that are declared, those of entries with mistakes included.
pub(super) struct Declared {
    pub(super) transports: BTreeSet<String>,
    pub(super) endpoints: BTreeSet<String>,
}

/// Checks a whole configuration; `origin_of` tells where the value at a path was written.
pub(super) fn check(
    config: &Config,
    declared: &Declared,
    origin_of: &dyn Fn(&str) -> Option<Origin>,
) -> Vec<Mistake> {
    let mut checker = Checker { mistakes: Vec::new(), origin_of, declared };
    checker.bus(config);
    checker.transports(config);
    checker.http(config);
    checker.flow(config);
    let journal = config.journal.max_size.0 >= 1 << 20;
    checker.require(journal, "journal.max_size", "must be at least 1MiB; `keep = \"0s\"` keeps no journal");
    for (name, endpoint) in &config.endpoints {
        checker.endpoint(config, name, endpoint);
    }
    for (index, route) in config.routes.iter().enumerate() {
        checker.route(&format!("routes[{index}]"), route);
    }
    checker.mistakes
}

struct Checker<'a> {
    mistakes: Vec<Mistake>,
    origin_of: &'a dyn Fn(&str) -> Option<Origin>,
    declared: &'a Declared,
}

impl Checker<'_> {
    fn report(&mut self, path: &str, text: impl Into<String>) {
        let origin = (self.origin_of)(path).unwrap_or(Origin::Default);
        self.mistakes.push(Mistake { origin, path: path.to_owned(), text: text.into() });
    }

    fn require(&mut self, holds: bool, path: &str, text: &str) {
        if !holds {
            self.report(path, text);
        }
    }

    fn name(&mut self, path: &str, name: &str) {
        if Name::new(name).is_err() {
            let form = "use a lower-case letter, then at most 40 of a-z 0-9 _ -";
            self.report(path, format!("{name:?} is not a name; {form}"));
        }
    }

    fn transport_exists(&mut self, path: &str, name: &str) {
        let known = &self.declared.transports;
        if !known.contains(name) {
            let near = suggestion(name, known.iter().map(String::as_str));
            self.report(path, format!("there is no transport {name:?}{near}"));
        }
    }

    fn bus(&mut self, config: &Config) {
        self.name("bus.name", &config.bus.name);
        self.transport_exists("bus.transport", &config.bus.transport);
        let file = config.bus.state.strip_prefix("sqlite:");
        if file.is_none_or(str::is_empty) {
            self.report("bus.state", "not a state store; known: sqlite:PATH");
        }
    }

    fn transports(&mut self, config: &Config) {
        for name in &self.declared.transports {
            self.name(&join("transports", name), name);
        }
        for (name, transport) in &config.transports {
            let TransportKind::Embedded(embedded) = &transport.kind;
            let fits = ((200 << 10) + AROUND..=64 << 20).contains(&embedded.max_message.0);
            self.require(fits, &format!("transports.{name}.max_message"), "must be 336KiB to 64MiB");
        }
    }

    fn http(&mut self, config: &Config) {
        let Some(http) = &config.http else { return };
        if !http.listen.ip().to_canonical().is_loopback() && http.token.is_none() {
            let text = "an address that others can reach needs `http.token`; set it, or listen on 127.0.0.1";
            self.report("http.listen", text);
        }
        self.require(http.max_body.0 >= 200 << 10, "http.max_body", "must be at least 200KiB");
        if let Some(transport) = config.transports.get(&config.bus.transport) {
            let TransportKind::Embedded(embedded) = &transport.kind;
            let carried = http.max_body.0 + AROUND <= embedded.max_message.0;
            let text = "is more than the bus's transport can carry: its `max_message` must be 136KiB larger";
            self.require(carried, "http.max_body", text);
        }
        let visible = |token: &Secret| token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        let token = http.token.as_ref().is_none_or(visible);
        self.require(token, "http.token", "may have visible ASCII characters only");
        self.require(http.max_held >= http.max_body, "http.max_held", "is below `max_body`");
        for (path, positive) in [
            ("http.max_stream", http.max_stream.0 > 0),
            ("http.max_lines", http.max_lines > 0),
            ("http.max_batch", http.max_batch > 0),
            ("http.max_connections", http.max_connections > 0),
            ("http.deadline", !http.deadline.is_zero()),
            ("http.keep_alive", !http.keep_alive.is_zero()),
        ] {
            self.require(positive, path, "must be more than 0");
        }
    }

    fn flow(&mut self, config: &Config) {
        let flow = &config.flow;
        self.require((1..=65_536).contains(&flow.workers), "flow.workers", "must be 1 to 65536");
        let share = flow.max_share > 0.0 && flow.max_share <= 1.0;
        self.require(share, "flow.max_share", "must be above 0 and at most 1");
        let window = Duration::from_millis(100)..=Duration::from_secs(3_600);
        self.require(window.contains(&flow.window), "flow.window", "must be 100ms to 1h");
        self.require((1..=1 << 20).contains(&flow.credit), "flow.credit", "must be 1 to 1048576");
        let bytes = flow.credit_bytes.0 >= 1 << 20;
        self.require(bytes, "flow.credit_bytes", "must be at least 1MiB");
    }

    fn endpoint(&mut self, config: &Config, name: &str, endpoint: &Endpoint) {
        let path = join("endpoints", name);
        self.name(&path, name);
        let at = |key: &str| join(&path, key);
        match &endpoint.target {
            Target::Http(http) => {
                let scheme = ["http://", "https://"].iter().find_map(|scheme| http.url.strip_prefix(scheme));
                let host = scheme.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
                self.require(host, &at("url"), "must be http://HOST… or https://HOST…");
                let authority = scheme.and_then(|rest| rest.split(['/', '?', '#']).next());
                let user = authority.is_some_and(|authority| authority.contains('@'));
                self.require(!user, &at("url"), "has a user part; use `token` or `headers` for credentials");
            }
            Target::Queue(queue) => {
                self.name(&at("queue"), &queue.queue);
                let own = ["priority", "delayed", "dead"].contains(&queue.queue.as_str());
                self.require(!own, &at("queue"), "is one of the bus's own queues");
                if let Some(transport) = &queue.transport {
                    self.transport_exists(&at("transport"), transport);
                    let known = self.declared.transports.contains(transport);
                    let own = *transport == config.bus.transport;
                    let text = "is not the bus's transport; a queue of another one is not supported";
                    self.require(own || !known, &at("transport"), text);
                }
            }
            Target::Exec(exec) => {
                let program = exec.command.first().is_some_and(|program| !program.is_empty());
                self.require(program, &at("command"), "names no program");
            }
            Target::File(_) => {}
        }
        let policy = &endpoint.policy;
        self.require(!policy.timeout.is_zero(), &at("timeout"), "must be longer than 0s");
        let (min, max) = (policy.concurrency.min, policy.concurrency.max);
        self.require(min >= 1, &at("concurrency.min"), "must be at least 1");
        self.require(max.is_none_or(|max| max >= min), &at("concurrency.max"), "is below `min`");
        self.require(policy.retry.attempts >= 1, &at("retry.attempts"), "must be at least 1");
        self.require(policy.retry.first <= policy.retry.max, &at("retry.max"), "is below `first`");
    }

    fn route(&mut self, path: &str, route: &Route) {
        let account = route.account.as_deref();
        for (key, patterns) in [("type", &route.r#type[..]), ("account", account.unwrap_or_default())] {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(wrong) = check_pattern(pattern) {
                    self.report(&format!("{path}.{key}[{index}]"), wrong);
                }
            }
        }
        let text = "is empty and would match nothing; leave it out to match every account";
        self.require(account != Some(&[]), &join(path, "account"), text);
        self.require(!route.r#type.is_empty(), &join(path, "type"), "is empty and would match nothing");
        self.require(!route.to.is_empty(), &join(path, "to"), "names no endpoint");
        for (index, endpoint) in route.to.iter().enumerate() {
            let known = &self.declared.endpoints;
            if !known.contains(endpoint) {
                let near = suggestion(endpoint, known.iter().map(String::as_str));
                self.report(
                    &format!("{path}.to[{index}]"),
                    format!("there is no endpoint {endpoint:?}{near}"),
                );
            }
        }
    }
}
