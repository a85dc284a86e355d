//! `config init|check|show|schema`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::Scope;
use crate::cli::{Config, ConfigInit};
use crate::exit::{Failure, Outcome};
use crate::output;

/// What `init` writes.
const START: &str = include_str!("../../../../config/example.toml");

pub(super) fn run(scope: &Scope, verb: &Config) -> Outcome {
    match verb {
        Config::Init(wanted) => init(scope, wanted),
        Config::Check(_) => check(scope),
        Config::Schema(_) => schema(scope),
        Config::Show(_) => {
            let loaded = scope.load()?;
            if scope.json { output::json(&loaded.to_json()) } else { output::print(&loaded.to_toml()) }
        }
    }
}

fn init(scope: &Scope, wanted: &ConfigInit) -> Outcome {
    let named = wanted.file.clone().or_else(|| scope.common.config.clone());
    let path = named.unwrap_or_else(|| PathBuf::from("busway.toml"));
    if path.as_os_str() == "-" {
        return output::print(START);
    }
    let mut options = OpenOptions::new();
    let options = if wanted.force { options.create(true).truncate(true) } else { options.create_new(true) };
    let written = options.write(true).open(&path).and_then(|mut file| {
        file.write_all(START.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::Failed(format!("{} is there already; --force replaces it", path.display()))
        }
        _ => Failure::Failed(format!("{}: {error}", path.display())),
    })?;
    if scope.json {
        return output::json(&json!({ "file": path.display().to_string() }));
    }
    output::line(&format!("wrote {}", path.display()))
}

fn schema(scope: &Scope) -> Outcome {
    let schema = busway::config::schema();
    if scope.json {
        return output::json(&schema);
    }
    output::print(&format!("{schema:#}\n"))
}

fn check(scope: &Scope) -> Outcome {
    let loaded = scope.load()?;
    let files: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    if scope.json {
        return output::json(&json!({ "ok": true, "files": files }));
    }
    let what = if files.is_empty() { "built-in defaults".to_owned() } else { files.join(", ") };
    output::line(&format!("ok: {what}"))
}
