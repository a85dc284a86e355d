//! Arrows between crates point down: core at the bottom, adapters that know core alone, the facade that
//! names the kinds, the program above it. Frameworks stay in the one crate that hides them.

use super::Finding;
use crate::workspace::{Metadata, Package};

/// The crates that speak to a broker. None knows another.
const ADAPTERS: [&str; 5] =
    ["busway-embedded", "busway-rabbitmq", "busway-activemq", "busway-sqs", "busway-kafka"];

/// What the facade is built from, besides the adapters.
const LAYERS: [&str; 7] = [
    "busway-core",
    "busway-runtime",
    "busway-endpoints",
    "busway-http",
    "busway-journal",
    "busway-migrate",
    "busway-state",
];

/// What tests of a crate that knows core alone may use besides.
const TEST_AIDS: [&str; 2] = ["busway-conformance", "busway-embedded"];

/// A framework and the only crates that may name it, in tests too.
const CONFINED: [(&str, &[&str]); 5] = [
    ("actix", &["busway-runtime", "busway-examples"]),
    ("actix-rt", &["busway-runtime", "busway-examples"]),
    ("actix-web", &["busway-http", "busway-examples"]),
    ("actix-ws", &["busway-http"]),
    ("actix-http", &["busway-http"]),
];

/// Core does no I/O, so nothing that does belongs below it.
const NOT_IN_CORE: [&str; 8] =
    ["tokio", "hyper", "rustix", "socket2", "sqlx", "reqwest", "futures-util", "tracing-subscriber"];

/// The workspace dependencies a crate may have.
struct Allowed {
    normal: Vec<&'static str>,
    dev: Vec<&'static str>,
}

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let members: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata.members() {
        match allowed(&package.name, &members) {
            Some(allowed) => check_package(package, &allowed, &members, &mut findings),
            None => findings
                .push(Finding::new(&package.name, "not in the table of arrows; say there what it may know")),
        }
        check_frameworks(package, &mut findings);
    }
    findings
}

fn allowed(name: &str, members: &[&str]) -> Option<Allowed> {
    let core = || vec!["busway-core"];
    let (normal, dev) = match name {
        "busway-core" | "xtask" => (vec![], vec![]),
        "busway-conformance" => (core(), vec![]),
        "busway-runtime" | "busway-migrate" | "busway-http" | "busway-endpoints" => {
            (core(), TEST_AIDS.to_vec())
        }
        "busway-journal" | "busway-state" => (core(), vec!["busway-conformance"]),
        // Whose transport in memory is what its users test with.
        "busway" => ([&LAYERS[..], &ADAPTERS[..], &["busway-conformance"]].concat(), vec![]),
        "busway-cli" | "busway-examples" => (vec!["busway"], vec![]),
        "busway-benches" | "busway-fuzz" | "busway-integration-tests" => {
            let all: Vec<_> = all_names().filter(|name| members.contains(name)).collect();
            (all.clone(), all)
        }
        adapter if ADAPTERS.contains(&adapter) => (core(), vec!["busway-conformance"]),
        _ => return None,
    };
    Some(Allowed { normal, dev })
}

fn all_names() -> impl Iterator<Item = &'static str> {
    LAYERS.into_iter().chain(ADAPTERS).chain(["busway", "busway-conformance", "busway-cli"])
}

fn check_package(package: &Package, allowed: &Allowed, members: &[&str], findings: &mut Vec<Finding>) {
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        let known = allowed.normal.contains(&name) || (dependency.dev && allowed.dev.contains(&name));
        if members.contains(&name) && !known {
            let kind = if dependency.dev { "its tests must not know" } else { "must not know" };
            findings.push(Finding::new(&package.name, format!("{kind} {name}")));
        }
    }
}

fn check_frameworks(package: &Package, findings: &mut Vec<Finding>) {
    for dependency in &package.dependencies {
        for (framework, homes) in CONFINED {
            if dependency.name == framework && !homes.contains(&package.name.as_str()) {
                let problem = format!("depends on {framework}, which only {} may", homes.join(" and "));
                findings.push(Finding::new(&package.name, problem));
            }
        }
        let reaches_out = NOT_IN_CORE.contains(&dependency.name.as_str());
        if package.name == "busway-core" && !dependency.dev && reaches_out {
            let problem = format!("does no I/O, so it must not depend on {}", dependency.name);
            findings.push(Finding::new(&package.name, problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{member, metadata};
    use super::*;

    fn problems(packages: Vec<Package>) -> Vec<String> {
        check(&metadata(packages)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn arrows_that_point_down_pass() {
        let found = problems(vec![
            member("busway-core", &["bytes"]),
            member("busway-conformance", &["busway-core"]),
            member("busway-embedded", &["busway-core", "dev:busway-conformance"]),
            member("busway-runtime", &["busway-core", "actix", "dev:busway-embedded"]),
            member("busway-http", &["busway-core", "actix-web"]),
            member("busway", &["busway-core", "busway-embedded", "busway-runtime", "busway-http"]),
            member("busway-cli", &["busway"]),
            member("busway-examples", &["busway", "actix"]),
            member("busway-integration-tests", &["busway-core", "dev:busway-embedded", "dev:busway"]),
            member("busway-benches", &["busway-core", "busway-runtime", "busway"]),
            member("xtask", &["lexopt"]),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_found() {
        let found = problems(vec![
            member("busway-core", &["busway-state"]),
            member("busway-state", &["busway-core"]),
            member("busway-embedded", &["busway-core", "busway-rabbitmq"]),
            member("busway-rabbitmq", &["busway-core", "dev:busway-embedded"]),
            member("busway-runtime", &["busway-embedded"]),
            member("busway-cli", &["busway-core"]),
            member("xtask", &["dev:busway-core"]),
        ]);
        assert_eq!(
            found,
            [
                "busway-core: must not know busway-state",
                "busway-embedded: must not know busway-rabbitmq",
                "busway-rabbitmq: its tests must not know busway-embedded",
                "busway-runtime: must not know busway-embedded",
                "busway-cli: must not know busway-core",
                "xtask: its tests must not know busway-core",
            ]
        );
    }

    #[test]
    fn a_framework_outside_its_crate_is_found_in_tests_too() {
        let found = problems(vec![
            member("busway-http", &["actix"]),
            member("busway-endpoints", &["dev:actix-web"]),
            member("busway-core", &["tokio"]),
        ]);
        assert_eq!(
            found,
            [
                "busway-http: depends on actix, which only busway-runtime and busway-examples may",
                "busway-endpoints: depends on actix-web, which only busway-http and busway-examples may",
                "busway-core: does no I/O, so it must not depend on tokio",
            ]
        );
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(problems(vec![member("busway-new", &[])]).len(), 1);
    }
}
