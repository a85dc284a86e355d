//! What one build of everything made, read from cargo's messages.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workspace::Metadata;

/// The programs that a build made.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    /// The program `busway`, whose path tests get as `BUSWAY_BIN`.
    pub(super) busway: Option<PathBuf>,
    /// The test binaries, in the order of their names.
    pub(super) tests: Vec<Built>,
    /// The example programs, in the order of their names.
    pub(super) examples: Vec<Built>,
}

/// A program, and where it wants to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    /// `busway-core (lib)`, `busway-core (it)`, an example's name.
    pub(super) name: String,
    pub(super) package: String,
    pub(super) program: PathBuf,
    /// The folder of its crate: cargo runs tests there.
    pub(super) folder: PathBuf,
}

impl Artifacts {
    /// Reads the messages of `cargo build --workspace --all-targets --message-format=json`.
    pub(super) fn read(messages: &str, members: &Metadata, root: &Path) -> Self {
        let mut artifacts = Self::default();
        for line in messages.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            if message["reason"] == "compiler-artifact" {
                artifacts.add(&message, members, root);
            }
        }
        artifacts.tests.sort_by(|a, b| a.name.cmp(&b.name));
        artifacts.examples.sort_by(|a, b| a.name.cmp(&b.name));
        artifacts
    }

    fn add(&mut self, message: &Value, members: &Metadata, root: &Path) {
        let Some(program) = message["executable"].as_str().map(PathBuf::from) else { return };
        let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
        let Some(package) = members.members().find(|package| package.manifest == manifest) else { return };
        let target = message["target"]["name"].as_str().unwrap_or_default();
        let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
        let folder = manifest.parent().unwrap_or(root).to_path_buf();
        let built =
            |name: String| Built { name, package: package.name.clone(), program: program.clone(), folder };
        match (message["profile"]["test"] == true, kind) {
            // Benchmarks are measured elsewhere.
            (_, "bench") => {}
            (true, "test") => self.tests.push(built(format!("{} ({target})", package.name))),
            (true, "bin") => self.tests.push(built(format!("{} (bin {target})", package.name))),
            (true, kind) => self.tests.push(built(format!("{} ({kind})", package.name))),
            (false, "bin") if target == "busway" => self.busway = Some(program),
            (false, "example") => self.examples.push(built(target.to_owned())),
            (false, "bin") if manifest == root.join("examples/Cargo.toml") => {
                self.examples.push(built(target.to_owned()));
            }
            (false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    fn message(manifest: &str, kind: &str, name: &str, test: bool) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "manifest_path": manifest, "executable": format!("/t/{name}"),
            "target": {"name": name, "kind": [kind]}, "profile": {"test": test},
        })
        .to_string()
    }

    #[test]
    fn programs_are_told_apart() {
        let package = |name: &str, manifest: &str| Package {
            name: name.into(),
            manifest: manifest.into(),
            member: true,
            ..Package::default()
        };
        let members = Metadata {
            packages: vec![
                package("busway-cli", "/w/crates/busway-cli/Cargo.toml"),
                package("busway-examples", "/w/examples/Cargo.toml"),
            ],
            ..Metadata::default()
        };
        let cli = "/w/crates/busway-cli/Cargo.toml";
        let messages = [
            message(cli, "bin", "busway", false),
            message(cli, "test", "it", true),
            message(cli, "bin", "busway", true),
            message(cli, "bench", "speed", true),
            message("/w/examples/Cargo.toml", "example", "hello", false),
            message("/w/examples/Cargo.toml", "bin", "world", false),
            message("/elsewhere/Cargo.toml", "test", "foreign", true),
            "not JSON".to_owned(),
        ]
        .join("\n");
        let artifacts = Artifacts::read(&messages, &members, Path::new("/w"));
        assert_eq!(artifacts.busway.as_deref(), Some(Path::new("/t/busway")));
        let names = |built: &[Built]| built.iter().map(|built| built.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&artifacts.tests), ["busway-cli (bin busway)", "busway-cli (it)"]);
        assert_eq!(names(&artifacts.examples), ["hello", "world"]);
        assert_eq!(artifacts.tests[0].folder, Path::new("/w/crates/busway-cli"));
    }
}
