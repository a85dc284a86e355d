//! Where the workspace is and what `cargo metadata` says of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The workspace's folder: two above this crate's.
pub(crate) fn root() -> Result<PathBuf, String> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no workspace above {}", here.display()))
}

/// The cargo that started this program, in the workspace's folder.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// The parts of `cargo metadata` that tasks read.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Where cargo builds; follows `CARGO_TARGET_DIR`.
    pub(crate) target_directory: PathBuf,
    /// Every package of the dependency graph, the workspace's own ones included.
    pub(crate) packages: Vec<Package>,
}

/// A package of the graph.
#[derive(Debug, Default, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression of its manifest.
    pub(crate) license: Option<String>,
    /// The licence's file, where the manifest names one.
    pub(crate) license_file: Option<String>,
    pub(crate) manifest: PathBuf,
    /// One of this workspace's own.
    pub(crate) member: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest's dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// For tests alone; what the library, the program and the build script need is not.
    pub(crate) dev: bool,
}

impl Metadata {
    /// Asks cargo for the whole graph, without touching the lock file.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        Self::ask(root, &["metadata", "--format-version", "1", "--locked", "--quiet"])
    }

    /// Asks for the workspace's own packages alone, which needs no network.
    pub(crate) fn load_members(root: &Path) -> Result<Self, String> {
        Self::ask(root, &["metadata", "--format-version", "1", "--no-deps", "--quiet"])
    }

    /// The workspace's own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    fn ask(root: &Path, arguments: &[&str]) -> Result<Self, String> {
        let output = cargo(root)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo metadata could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed: {}", output.status));
        }
        let json = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
        Ok(Self::parse(&json))
    }

    fn parse(json: &Value) -> Self {
        let members: Vec<&str> = list(json, "workspace_members").filter_map(Value::as_str).collect();
        Self {
            target_directory: text(json, "target_directory").unwrap_or_default().into(),
            packages: list(json, "packages").map(|package| Package::parse(package, &members)).collect(),
        }
    }
}

impl Package {
    fn parse(json: &Value, members: &[&str]) -> Self {
        Self {
            name: text(json, "name").unwrap_or_default(),
            version: text(json, "version").unwrap_or_default(),
            license: text(json, "license"),
            license_file: text(json, "license_file"),
            manifest: text(json, "manifest_path").unwrap_or_default().into(),
            member: json["id"].as_str().is_some_and(|id| members.contains(&id)),
            dependencies: list(json, "dependencies")
                .map(|dependency| Dependency {
                    name: text(dependency, "name").unwrap_or_default(),
                    dev: dependency["kind"] == "dev",
                })
                .collect(),
        }
    }
}

fn text(json: &Value, key: &str) -> Option<String> {
    json[key].as_str().map(str::to_owned)
}

fn list<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json[key].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let json = serde_json::json!({
            "target_directory": "/t",
            "workspace_members": ["path+file:///w/a#0.1.0"],
            "packages": [
                {"id": "path+file:///w/a#0.1.0", "name": "a", "version": "0.1.0", "license": "MIT",
                 "license_file": null, "manifest_path": "/w/a/Cargo.toml", "dependencies": [
                    {"name": "b", "kind": null}, {"name": "c", "kind": "dev"}, {"name": "d", "kind": "build"}]},
                {"id": "other#b@1.0.0", "name": "b", "version": "1.0.0", "license": null,
                 "license_file": "LICENSE", "manifest_path": "/r/b/Cargo.toml", "dependencies": []}
            ]
        });
        let metadata = Metadata::parse(&json);
        assert_eq!(metadata.members().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let dev: Vec<bool> = metadata.packages[0].dependencies.iter().map(|d| d.dev).collect();
        assert_eq!(dev, [false, true, false]);
        assert_eq!(metadata.packages[1].license, None);
        assert_eq!(metadata.packages[1].license_file.as_deref(), Some("LICENSE"));
    }
}
