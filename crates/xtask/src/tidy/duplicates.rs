//! Two versions of one package cost build time and, where types cross, correctness: each pair needs a
//! reason here.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::workspace::Metadata;

/// Packages that are in the graph more than once, and why nothing can be done. A name that ends in `*`
/// stands for all that begin so.
const ALLOWED: [(&str, &str); 16] = [
    ("base64", "sqlx and metrics-exporter-prometheus are one version behind"),
    ("bit-set", "fancy-regex, which checks the schema in tests, is behind proptest"),
    ("bit-vec", "through bit-set"),
    ("block-buffer", "through digest"),
    ("cpufeatures", "through sha2"),
    ("crypto-common", "through digest"),
    ("digest", "through sha2"),
    ("getrandom", "ring, rand 0.9 and rand 0.10 each have their own"),
    ("hashbrown", "hashlink and metrics-util are one version behind indexmap"),
    ("http", "actix-http still has http 0.2"),
    ("r-efi", "through getrandom; never built here"),
    ("rand", "metrics-util is one version behind"),
    ("rand_core", "through rand"),
    ("sha2", "sqlx-core is one version behind sqlx-postgres"),
    ("syn", "macros move to syn 3 one by one"),
    ("windows-*", "other platforms alone"),
];

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    check_with(metadata, &ALLOWED)
}

fn check_with(metadata: &Metadata, allowed: &[(&str, &str)]) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut findings = Vec::new();
    for (name, versions) in &versions {
        if !allowed.iter().any(|(pattern, _)| matches(pattern, name)) {
            let list = versions.iter().copied().collect::<Vec<_>>().join(", ");
            findings.push(Finding::new(*name, format!("in the graph more than once: {list}")));
        }
    }
    for (pattern, _) in allowed {
        if !versions.keys().any(|name| matches(pattern, name)) {
            findings.push(Finding::new(*pattern, "allowed twice, but there once: remove the entry"));
        }
    }
    findings
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{metadata, outside};
    use super::*;

    #[test]
    fn a_pair_needs_an_entry_and_an_entry_a_pair() {
        let graph = metadata(vec![
            outside("rand", "0.9.5", None),
            outside("rand", "0.10.4", None),
            outside("windows-sys", "0.52.0", None),
            outside("windows-sys", "0.61.0", None),
            outside("bytes", "1.0.0", None),
        ]);
        assert_eq!(check_with(&graph, &[("rand", ""), ("windows-*", "")]), []);
        let found: Vec<_> =
            check_with(&graph, &[("windows-*", ""), ("bytes", "")]).iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "rand: in the graph more than once: 0.10.4, 0.9.5",
                "bytes: allowed twice, but there once: remove the entry",
            ]
        );
    }
}
