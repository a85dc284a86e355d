//! The documents name what there is: each crate has its place in ARCHITECTURE.md, and the command of the
//! README is the one that CI calls.

use std::path::Path;

use super::Finding;
use super::files::SourceFile;
use crate::workspace::Metadata;

const TEST_COMMAND: &str = "cargo xtask test";

/// Files that must be there.
const REQUIRED: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "deny.toml",
];

pub(super) fn check(metadata: &Metadata, root: &Path, files: &[SourceFile]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = REQUIRED
        .iter()
        .filter(|path| !root.join(path).is_file())
        .map(|path| Finding::new(*path, "is missing"))
        .collect();
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    if let Some(architecture) = text("ARCHITECTURE.md") {
        let names = metadata.members().map(|package| package.name.as_str());
        findings.extend(
            unnamed(names, architecture)
                .map(|name| Finding::new("ARCHITECTURE.md", format!("does not name the crate `{name}`"))),
        );
    }
    for path in ["README.md", ".ci/run"] {
        if !text(path).is_some_and(|text| text.contains(TEST_COMMAND)) {
            findings.push(Finding::new(path, format!("does not hold the test command `{TEST_COMMAND}`")));
        }
    }
    findings
}

fn unnamed<'a>(names: impl Iterator<Item = &'a str>, document: &str) -> impl Iterator<Item = &'a str> {
    names.filter(move |name| {
        let mut words = document.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
        !words.any(|word| word == *name)
    })
}

#[cfg(test)]
mod tests {
    use super::unnamed;

    #[test]
    fn a_crate_counts_as_named_only_by_its_whole_name() {
        let document = "The crates `busway-core` and `busway-http-extra`.";
        let missing: Vec<_> =
            unnamed(["busway", "busway-core", "busway-http"].into_iter(), document).collect();
        assert_eq!(missing, ["busway", "busway-http"]);
    }
}
