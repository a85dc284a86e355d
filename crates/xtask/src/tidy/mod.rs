//! `cargo xtask tidy`: the rules of the project that a compiler does not check.
//!
//! Each rule is a function from what it reads to findings, in a file of its own with its tables and its
//! tests. A table entry that is no longer needed is a finding too, so the tables stay true.

mod arrows;
mod bans;
mod code;
mod documents;
mod duplicates;
mod files;
mod licences;
mod manifests;
mod sources;
mod spdx;
mod words;

use std::fmt;
use std::path::Path;

use crate::Verdict;
use crate::workspace::{self, Metadata};

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// A file of the workspace, with its line where one is to blame, or a package.
    place: String,
    problem: String,
}

impl Finding {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    fn at(path: &str, line: usize, problem: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), problem)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// A rule's name and what it found.
pub(crate) struct Checked {
    pub(crate) rule: &'static str,
    pub(crate) findings: Vec<Finding>,
}

/// The task: prints what breaks a rule.
pub(crate) fn run() -> Result<Verdict, String> {
    let checked = check(&workspace::root()?)?;
    for rule in &checked {
        for finding in &rule.findings {
            println!("{}: {finding}", rule.rule);
        }
    }
    let broken: usize = checked.iter().map(|rule| rule.findings.len()).sum();
    if broken == 0 {
        println!("tidy: {} rules hold", checked.len());
        return Ok(Verdict::Done);
    }
    println!("tidy: {broken} findings");
    Ok(Verdict::Failed)
}

/// Checks every rule against the workspace.
pub(crate) fn check(root: &Path) -> Result<Vec<Checked>, String> {
    let metadata = Metadata::load(root)?;
    let files = files::read(root)?;
    let mut checked = vec![
        Checked { rule: "arrows", findings: arrows::check(&metadata) },
        Checked { rule: "banned", findings: bans::check(&metadata) },
        Checked { rule: "duplicates", findings: duplicates::check(&metadata) },
        Checked { rule: "licences", findings: licences::check(&metadata, root) },
        Checked { rule: "manifests", findings: manifests::check(&metadata, &files) },
        Checked { rule: "sources", findings: sources::check(&files) },
        Checked { rule: "length", findings: sources::check_length(&files) },
        Checked { rule: "words", findings: words::check(&files) },
        Checked { rule: "documents", findings: documents::check(&metadata, root, &files) },
    ];
    for rule in &mut checked {
        rule.findings.sort();
    }
    Ok(checked)
}

#[cfg(test)]
mod fixture {
    //! Small metadata for the rules' tests.

    use crate::workspace::{Dependency, Metadata, Package};

    /// A member of the workspace; a dependency that begins with `dev:` is for its tests alone.
    pub(super) fn member(name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|name| match name.strip_prefix("dev:") {
                Some(name) => Dependency { name: name.to_owned(), dev: true },
                None => Dependency { name: (*name).to_owned(), dev: false },
            })
            .collect();
        Package { name: name.to_owned(), member: true, dependencies, ..Package::default() }
    }

    /// A package from outside.
    pub(super) fn outside(name: &str, version: &str, license: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(str::to_owned),
            ..Package::default()
        }
    }

    pub(super) fn metadata(packages: Vec<Package>) -> Metadata {
        Metadata { packages, ..Metadata::default() }
    }
}
