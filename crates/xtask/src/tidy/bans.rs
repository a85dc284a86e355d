//! Packages that must not be in the graph at all: TLS is rustls with ring, once.

use super::Finding;
use crate::workspace::Metadata;

const BANNED: [(&str, &str); 9] = [
    ("aws-lc-rs", "TLS is rustls with ring"),
    ("aws-lc-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    ("hyper-tls", "TLS is rustls with ring"),
    ("tokio-native-tls", "TLS is rustls with ring"),
    ("openssl", "TLS is rustls with ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("openssl-src", "TLS is rustls with ring"),
    ("async-std", "the runtime is tokio"),
];

/// Banned, and yet in the graph through a package that cannot do without.
const TOLERATED: [(&str, &str); 0] = [];

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    check_with(metadata, &TOLERATED)
}

fn check_with(metadata: &Metadata, tolerated: &[(&str, &str)]) -> Vec<Finding> {
    let present = |name: &str| metadata.packages.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for (name, why) in BANNED {
        if present(name) && !tolerated.iter().any(|(tolerated, _)| *tolerated == name) {
            findings
                .push(Finding::new(name, format!("banned: {why}; pulled in by {}", parents(metadata, name))));
        }
    }
    for (name, _) in tolerated {
        if !present(name) {
            findings.push(Finding::new(*name, "tolerated, but no longer in the graph: remove the entry"));
        }
    }
    findings
}

fn parents(metadata: &Metadata, name: &str) -> String {
    let names: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.dependencies.iter().any(|dependency| dependency.name == name))
        .map(|package| package.name.as_str())
        .collect();
    if names.is_empty() { "nobody known".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{member, metadata, outside};
    use super::*;

    #[test]
    fn a_banned_package_is_found_with_its_parent() {
        let graph = metadata(vec![
            member("busway-http", &["openssl-sys", "ring"]),
            outside("openssl-sys", "0.9.0", Some("MIT")),
            outside("ring", "0.17.0", Some("ISC")),
        ]);
        let found = check(&graph);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("pulled in by busway-http"), "{}", found[0]);
        assert_eq!(check_with(&graph, &[("openssl-sys", "a reason")]), []);
    }

    #[test]
    fn a_toleration_without_use_is_found() {
        assert_eq!(check_with(&metadata(vec![]), &[("openssl", "a reason")]).len(), 1);
    }
}
