//! Who may do what: the token, and where there is none, which hosts and origins are let in.
//!
//! Without a token only the machine itself can connect, yet a browser on it can be made to: a
//! foreign page may post here, and a foreign name may be bound to the loopback address (DNS
//! rebinding). So the names in `Host` and `Origin` must be this machine's own.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use busway_core::Secret;

use crate::config::HttpConfig;
use crate::problem::Problem;

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Nothing: health checks.
    Anyone,
    /// To look.
    Read,
    /// To publish, pause, resume, replay.
    Operate,
    /// To delete what cannot be got back.
    Force,
}

/// Decides who is let in.
pub(crate) struct Access {
    token: Option<Secret>,
    listen: IpAddr,
    hosts: Vec<String>,
}

impl Access {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self {
            token: config.token.clone(),
            listen: config.listen.ip(),
            hosts: config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether a request with these headers may do what needs `role`.
    pub(crate) fn check(&self, headers: &HeaderMap, role: Role) -> Result<(), Problem> {
        if role == Role::Anyone {
            return Ok(());
        }
        let Some(token) = &self.token else { return self.check_names(headers) };
        if self.granted(token, headers) >= Some(role) {
            return Ok(());
        }
        Err(Problem::unauthorized())
    }

    /// The role that the request's token carries; the one token there is carries all of them.
    fn granted(&self, token: &Secret, headers: &HeaderMap) -> Option<Role> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, given) = value.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        (is_bearer && token.matches(given.trim())).then_some(Role::Force)
    }

    fn check_names(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(host) = headers.get(header::HOST)
            && !host.to_str().is_ok_and(|host| self.is_own(host))
        {
            return Err(Problem::forbidden(
                "the Host header does not name this machine; set http.hosts to serve other names, \
                 or http.token",
            ));
        }
        if let Some(origin) = headers.get(header::ORIGIN)
            && !self.is_own_origin(origin)
        {
            return Err(Problem::forbidden("requests from pages of another origin are refused"));
        }
        Ok(())
    }

    fn is_own_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| self.is_own(host))
    }

    /// Whether `host`, with or without a port, is this machine's own.
    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) => address.is_loopback() || address == self.listen,
            Err(_) => name == "localhost" || self.hosts.contains(&name),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn access(token: Option<&str>) -> Access {
        let hosts = vec!["Shop.Example".to_owned()];
        Access::new(&HttpConfig { token: token.map(Secret::new), hosts, ..HttpConfig::default() })
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(name.parse().unwrap(), value.parse().unwrap());
        map
    }

    #[test]
    fn only_own_names_are_let_in_without_a_token() {
        for (host, passes) in [
            ("localhost", true),
            ("LOCALHOST:8620", true),
            ("127.0.0.1:8620", true),
            ("[::1]:8620", true),
            ("[::1]", true),
            ("shop.example:80", true),
            ("evil.example", false),
            ("evil.example:8620", false),
            ("localhost.evil.example", false),
            ("10.0.0.7", false),
            ("", false),
        ] {
            assert_eq!(access(None).check(&headers("host", host), Role::Read).is_ok(), passes, "{host}");
            assert!(access(None).check(&headers("host", host), Role::Anyone).is_ok(), "{host}");
        }
    }

    #[test]
    fn foreign_origins_are_refused_without_a_token() {
        for (origin, passes) in [
            ("http://localhost:8620", true),
            ("http://127.0.0.1", true),
            ("https://evil.example", false),
            ("null", false),
            ("file://localhost", false),
        ] {
            let checked = access(None).check(&headers("origin", origin), Role::Operate);
            assert_eq!(checked.is_ok(), passes, "{origin}");
        }
    }

    #[test]
    fn a_token_is_asked_for_but_by_health_checks() {
        let access = access(Some("s3cret"));
        for (value, passes) in [
            ("Bearer s3cret", true),
            ("bearer s3cret", true),
            ("Bearer s3cre", false),
            ("Basic s3cret", false),
            ("s3cret", false),
            ("Bearer", false),
        ] {
            let checked = access.check(&headers("authorization", value), Role::Force);
            assert_eq!(checked.is_ok(), passes, "{value}");
        }
        assert!(access.check(&HeaderMap::new(), Role::Read).is_err());
        assert!(access.check(&HeaderMap::new(), Role::Anyone).is_ok());
        assert!(access.check(&headers("host", "evil.example"), Role::Anyone).is_ok());
    }
}
