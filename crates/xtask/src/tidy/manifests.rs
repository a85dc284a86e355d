//! Every crate takes the workspace's lints: a crate without them is outside the rules.

use super::Finding;
use super::files::SourceFile;
use crate::workspace::Metadata;

pub(super) fn check(metadata: &Metadata, files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.members() {
        // Compared by their end, for cargo gives the whole path.
        let manifest = files
            .iter()
            .filter(|file| file.path != "Cargo.toml")
            .find(|file| file.path.ends_with("Cargo.toml") && package.manifest.ends_with(&file.path));
        match manifest {
            None => findings.push(Finding::new(&package.name, "its manifest was not found")),
            Some(file) if !takes_lints(&file.text) => {
                findings.push(Finding::new(&file.path, "`[lints] workspace = true` is missing"));
            }
            Some(_) => {}
        }
    }
    findings
}

fn takes_lints(manifest: &str) -> bool {
    let lines = manifest.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut section = "";
    for line in lines {
        if line.starts_with('[') {
            section = line;
        } else if section == "[lints]" && line.replace(' ', "") == "workspace=true" {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{member, metadata};
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let mut package = member("a", &[]);
        package.manifest = "/w/crates/a/Cargo.toml".into();
        let graph = metadata(vec![package]);
        let file = |text: &str| SourceFile { path: "crates/a/Cargo.toml".into(), text: text.into() };
        assert_eq!(check(&graph, &[file("[package]\n\n[lints]\nworkspace = true\n")]), []);
        for text in ["[package]\n", "[dependencies]\nworkspace = true\n", "[lints]\n# workspace = true\n"] {
            assert_eq!(check(&graph, &[file(text)]).len(), 1, "{text}");
        }
        assert_eq!(check(&graph, &[]).len(), 1);
    }
}
