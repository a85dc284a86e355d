//! Every dependency's licence is one that the project may be given away with. `deny.toml` says the same to
//! those who use cargo-deny.

use std::path::Path;

use super::{Finding, spdx};
use crate::workspace::{Metadata, Package};

const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// A package whose manifest names no licence but a file.
struct Unnamed {
    name: &'static str,
    licence: &'static str,
    /// What its licence file must say.
    says: &'static str,
}

const UNNAMED: [Unnamed; 1] =
    [Unnamed { name: "cloudevents-sdk", licence: "Apache-2.0", says: "Apache License" }];

pub(super) fn check(metadata: &Metadata, root: &Path) -> Vec<Finding> {
    let mut findings = check_packages(metadata, &UNNAMED, &|package| {
        let file = package.manifest.parent()?.join(package.license_file.as_ref()?);
        std::fs::read_to_string(file).ok()
    });
    match std::fs::read_to_string(root.join("deny.toml")) {
        Ok(text) => findings.extend(check_deny(&text)),
        Err(error) => findings.push(Finding::new("deny.toml", error.to_string())),
    }
    findings
}

type ReadLicence<'a> = &'a dyn Fn(&Package) -> Option<String>;

fn check_packages(metadata: &Metadata, unnamed: &[Unnamed], read: ReadLicence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let place = format!("{} {}", package.name, package.version);
        let problem = match &package.license {
            Some(expression) => match spdx::satisfied(expression, &is_allowed) {
                Ok(true) => None,
                Ok(false) => Some(format!("its licence is not allowed: {expression}")),
                Err(error) => Some(format!("its licence cannot be read: {error}")),
            },
            None => check_unnamed(package, unnamed, read),
        };
        findings.extend(problem.map(|problem| Finding::new(place, problem)));
    }
    for entry in unnamed {
        if !metadata.packages.iter().any(|package| package.name == entry.name && package.license.is_none()) {
            findings.push(Finding::new(
                entry.name,
                "excepted, but no longer without a licence: remove the entry",
            ));
        }
    }
    findings
}

fn check_unnamed(package: &Package, unnamed: &[Unnamed], read: ReadLicence<'_>) -> Option<String> {
    let Some(entry) = unnamed.iter().find(|entry| entry.name == package.name) else {
        return Some("its manifest names no licence".to_owned());
    };
    if !is_allowed(entry.licence) {
        return Some(format!("its licence is not allowed: {}", entry.licence));
    }
    match read(package) {
        Some(text) if text.contains(entry.says) => None,
        Some(_) => Some(format!("its licence file does not say `{}`", entry.says)),
        None => Some("its licence file cannot be read".to_owned()),
    }
}

/// `deny.toml` allows exactly what the table allows.
fn check_deny(text: &str) -> Vec<Finding> {
    let listed = deny_list(text);
    let missing = ALLOWED.iter().filter(|licence| !listed.contains(licence));
    let surplus = listed.iter().filter(|licence| !is_allowed(licence));
    missing
        .map(|licence| Finding::new("deny.toml", format!("does not allow {licence}")))
        .chain(
            surplus.map(|licence| Finding::new("deny.toml", format!("allows {licence}, the table does not"))),
        )
        .collect()
}

/// The strings of the list `allow = [...]` under `[licenses]`.
fn deny_list(text: &str) -> Vec<&str> {
    let section = text.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = section.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

fn is_allowed(licence: &str) -> bool {
    ALLOWED.contains(&licence)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{metadata, outside};
    use super::*;

    fn problems(packages: Vec<Package>, file: Option<&str>) -> Vec<String> {
        check_packages(&metadata(packages), &UNNAMED, &|_| file.map(str::to_owned))
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn a_forbidden_or_missing_licence_is_found() {
        let found = problems(
            vec![
                outside("good", "1.0.0", Some("MIT OR GPL-3.0")),
                outside("bad", "1.0.0", Some("GPL-3.0")),
                outside("odd", "1.0.0", Some("MIT OR")),
                outside("none", "1.0.0", None),
                outside("cloudevents-sdk", "0.9.0", None),
            ],
            Some("Apache License"),
        );
        assert_eq!(
            found,
            [
                "bad 1.0.0: its licence is not allowed: GPL-3.0",
                "odd 1.0.0: its licence cannot be read: a licence was expected at the end",
                "none 1.0.0: its manifest names no licence",
            ]
        );
    }

    #[test]
    fn an_exception_must_be_true_and_needed() {
        let without = || vec![outside("cloudevents-sdk", "0.9.0", None)];
        assert_eq!(problems(without(), Some("All rights reserved")).len(), 1);
        assert_eq!(problems(without(), None).len(), 1);
        assert_eq!(problems(vec![outside("cloudevents-sdk", "1.0.0", Some("MIT"))], None).len(), 1);
    }

    #[test]
    fn deny_toml_must_say_the_same() {
        let all = ALLOWED.map(|licence| format!("  \"{licence}\",\n")).concat();
        assert_eq!(check_deny(&format!("[licenses]\nallow = [\n{all}]\n")), []);
        let found = check_deny(&format!("[licenses]\nallow = [{}\"GPL-3.0\"]", all.replace("\"ISC\",", "")));
        assert_eq!(
            found.iter().map(Finding::to_string).collect::<Vec<_>>(),
            ["deny.toml: does not allow ISC", "deny.toml: allows GPL-3.0, the table does not"]
        );
    }
}
