//! The text of the project speaks of itself alone: no paths of somebody's machine, no package registries,
//! which mirrors and air-gapped builds replace.

use super::Finding;
use super::files::SourceFile;

/// What must not stand in any text file. Each is put together here so that this file passes.
const FORBIDDEN: [(&str, &str); 9] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/home/", "runner/"), "a path of one machine"),
    (concat!("crates", ".io"), "a package registry"),
    (concat!("registry.npmjs", ".org"), "a package registry"),
    (concat!("repo.maven.apache", ".org"), "a package registry"),
    (concat!("repo1.maven", ".org"), "a package registry"),
    (concat!("pypi", ".org"), "a package registry"),
    (concat!("deb.debian", ".org"), "a package registry"),
];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for (word, what) in FORBIDDEN {
                if stands(line, word) {
                    findings.push(Finding::at(&file.path, number + 1, format!("`{word}` is {what}")));
                }
            }
        }
    }
    findings
}

/// A path counts where it begins, not as a part of a longer one.
fn stands(line: &str, word: &str) -> bool {
    let part_of_longer =
        |before: char| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}' | ')' | '>' | '*');
    line.match_indices(word).any(|(at, _)| !word.starts_with('/') || !line[..at].ends_with(part_of_longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        check(&[SourceFile { path: "README.md".to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn each_word_is_found_and_a_longer_path_is_not() {
        for (word, _) in FORBIDDEN {
            assert_eq!(count(&format!("see `{word}x`")), 1, "{word}");
        }
        assert_eq!(
            count(&format!("target{}x and https://example.org{}x", FORBIDDEN[0].0, FORBIDDEN[1].0)),
            0
        );
    }
}
