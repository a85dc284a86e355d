//! The text files of the workspace that people write.

use std::path::Path;

/// A text file and its path from the workspace's folder, with `/`.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

const EXTENSIONS: [&str; 16] = [
    "rs", "toml", "md", "sh", "yml", "yaml", "c", "h", "java", "xml", "html", "js", "css", "sql", "conf",
    "py",
];

/// Folders that hold nothing written by hand: build output, foreign data.
const SKIPPED: [&str; 5] = ["target", "var", "node_modules", "examples/data", "proptest-regressions"];

/// Hidden folders that are read all the same.
const HIDDEN_BUT_READ: [&str; 3] = [".ci", ".cargo", ".github"];

/// Reads all of them, in the order of their paths.
pub(super) fn read(root: &Path) -> Result<Vec<SourceFile>, String> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if is_read(&name, &path) {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file() && is_text(&name, prefix) {
            let text = std::fs::read_to_string(entry.path()).map_err(|error| format!("{path}: {error}"))?;
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

fn is_read(name: &str, path: &str) -> bool {
    let hidden = name.starts_with('.') && !HIDDEN_BUT_READ.contains(&name);
    !hidden && !SKIPPED.contains(&path) && !SKIPPED.contains(&name)
}

fn is_text(name: &str, prefix: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) || prefix.starts_with(".ci/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_output_and_foreign_data_are_left_out() {
        assert!(is_read("src", "crates/xtask/src") && is_read(".ci", ".ci"));
        for (name, path) in [("target", "target"), (".git", ".git"), ("data", "examples/data")] {
            assert!(!is_read(name, path), "{path}");
        }
        assert!(is_text("run", ".ci/") && is_text("a.rs", "src/"));
        assert!(!is_text("Cargo.lock", "") && !is_text("a.jsonl", "x/"));
    }
}
