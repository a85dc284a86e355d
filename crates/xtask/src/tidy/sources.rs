//! What must not stand in Rust code, and how long a file may be.

use super::Finding;
use super::code::without_text;
use super::files::SourceFile;

/// Text that no Rust code may hold, and what to do instead.
const FORBIDDEN: [(&str, &str); 7] = [
    ("todo!", "finish it, or return an error that says what is not supported"),
    ("unimplemented!", "finish it, or return an error that says what is not supported"),
    ("dbg!", "log by tracing"),
    ("unbounded_channel", "every queue has a bound"),
    ("UnboundedSender", "every queue has a bound"),
    ("mpsc::unbounded", "every queue has a bound"),
    ("mpsc::channel()", "every queue has a bound: sync_channel"),
];

/// An ignored test must be the other half of one that runs it in a process of its own, and say so.
const IGNORE: &str = "#[ignore";
const HELPER: &str = "#[ignore = \"is run by ";

/// The only crate that may choose by cargo feature: its registry names the kinds of transport.
const REGISTRY: &str = "crates/busway/";

/// The files that may lift the ban on unsafe code, and why.
const UNSAFE: [(&str, &str); 3] = [
    (
        "crates/busway-endpoints/src/http/tcp_info.rs",
        "getsockopt(TCP_INFO), which no crate in use wraps safely",
    ),
    ("fuzz/src/memory.rs", "an allocator that counts, an unsafe trait"),
    ("crates/xtask/src/signals.rs", "signal(2) and kill(2), without a crate for two functions"),
];

const MAX_LINES: usize = 600;

/// Longer files, and why they are one.
const LONG: [(&str, &str); 0] = [];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lifted: Vec<&str> = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = without_text(&file.text);
        forbidden(file, &code, &mut findings);
        ignored(file, &code, &mut findings);
        if !file.path.starts_with(REGISTRY) {
            features(file, &code, &mut findings);
        }
        if let Some(line) = attributes_with(&code, &["allow(", "expect(", "warn("], "unsafe_code").next() {
            lifted.push(&file.path);
            if !UNSAFE.iter().any(|(path, _)| *path == file.path) {
                findings.push(Finding::at(
                    &file.path,
                    line,
                    "lifts the ban on unsafe code, and is not listed",
                ));
            }
        }
    }
    for (path, _) in UNSAFE {
        if !files.is_empty() && !lifted.contains(&path) {
            findings.push(Finding::new(path, "listed as unsafe, and is not: remove the entry"));
        }
    }
    findings
}

pub(super) fn check_length(files: &[SourceFile]) -> Vec<Finding> {
    check_length_with(files, &LONG)
}

fn check_length_with(files: &[SourceFile], long: &[(&str, &str)]) -> Vec<Finding> {
    let too_long = |file: &SourceFile| file.is_rust() && file.text.lines().count() > MAX_LINES;
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| too_long(file)) {
        if !long.iter().any(|(path, _)| *path == file.path) {
            let lines = file.text.lines().count();
            findings.push(Finding::new(
                &file.path,
                format!("{lines} lines; at most {MAX_LINES}, one noun a file"),
            ));
        }
    }
    for (path, _) in long {
        if !files.iter().any(|file| file.path == *path && too_long(file)) {
            findings.push(Finding::new(*path, "excepted from the length, but not long: remove the entry"));
        }
    }
    findings
}

fn forbidden(file: &SourceFile, code: &str, findings: &mut Vec<Finding>) {
    for (number, line) in code.lines().enumerate() {
        for (text, instead) in FORBIDDEN {
            if stands_alone(line, text) {
                findings.push(Finding::at(&file.path, number + 1, format!("`{text}`: {instead}")));
            }
        }
    }
}

fn ignored(file: &SourceFile, code: &str, findings: &mut Vec<Finding>) {
    // Found in code, whose literals are blanked; read in the text beside it.
    for (number, (line, text)) in code.lines().zip(file.text.lines()).enumerate() {
        if line.contains(IGNORE) && !text.contains(HELPER) {
            let problem =
                "an ignored test: it runs, or prints NOT RUN and why; what takes long asks BUSWAY_TEST_LONG";
            findings.push(Finding::at(&file.path, number + 1, problem));
        }
    }
}

/// The text is in the line and is not the tail of a longer word.
fn stands_alone(line: &str, text: &str) -> bool {
    line.match_indices(text)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

fn features(file: &SourceFile, code: &str, findings: &mut Vec<Finding>) {
    for line in attributes_with(code, &["cfg(", "cfg_attr(", "cfg!("], "feature") {
        let problem = "cfg(feature) belongs in the registry of crates/busway alone";
        findings.push(Finding::at(&file.path, line, problem));
    }
}

/// The lines where one of the openings begins a parenthesis that holds the word.
fn attributes_with<'a>(
    code: &'a str,
    openings: &'a [&str],
    word: &'a str,
) -> impl Iterator<Item = usize> + 'a {
    openings.iter().flat_map(|opening| code.match_indices(opening)).filter_map(move |(at, _)| {
        let mut words = parenthesised(&code[at..]).split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|found| found == word).then(|| code[..at].matches('\n').count() + 1)
    })
}

fn parenthesised(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return &text[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    /// What is found in the text besides the list of unsafe files, which a fixture does not have.
    fn problems(path: &str, text: &str) -> Vec<String> {
        let mut found: Vec<_> = check(&[rust(path, text)]).iter().map(Finding::to_string).collect();
        found.retain(|finding| !finding.contains("remove the entry"));
        found
    }

    #[test]
    fn forbidden_code_is_found_by_its_line() {
        for (text, _) in FORBIDDEN {
            let found = problems("crates/a/src/lib.rs", &format!("fn a() {{\n    {text}\n}}\n"));
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].starts_with("crates/a/src/lib.rs:2: "), "{}", found[0]);
        }
    }

    #[test]
    fn a_test_is_ignored_only_where_another_runs_it() {
        for text in ["#[ignore]", "#[ignore = \"slow\"]", "#[ignore = \"\"] // is run by"] {
            assert_eq!(problems("crates/a/tests/it/main.rs", text).len(), 1, "{text}");
        }
        assert_eq!(problems("crates/a/tests/it/main.rs", "#[ignore = \"is run by b\"]").len(), 0);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_code() {
        let text = "// todo! later\nconst A: &str = \"dbg!(x) #[ignore]\";\nfn my_dbg!() {}\n";
        assert_eq!(problems("crates/a/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn features_are_chosen_in_the_registry_alone() {
        let plain = "#[cfg(feature = \"kafka\")]\nmod kafka;\n";
        let nested = "#[cfg(all(\n    unix,\n    feature = \"kafka\",\n))]\nmod kafka;\n";
        for text in [plain, nested, "if cfg!(feature = \"a\") {}", "#[cfg_attr(feature = \"a\", b)]"] {
            assert_eq!(problems("crates/busway-http/src/lib.rs", text).len(), 1, "{text}");
            assert_eq!(problems("crates/busway/src/registry.rs", text).len(), 0, "{text}");
        }
        assert_eq!(problems("crates/a/src/lib.rs", "#[cfg(test)]\nfn feature() {}").len(), 0);
    }

    #[test]
    fn unsafe_code_is_listed() {
        let text = "#![expect(unsafe_code, reason = \"x\")]";
        assert_eq!(problems("crates/a/src/lib.rs", text).len(), 1);
        assert_eq!(problems("crates/a/src/lib.rs", "#![forbid(unsafe_code)]").len(), 0);
        let listed = |text: &str| UNSAFE.map(|(path, _)| rust(path, text));
        assert_eq!(check(&listed(text)), []);
        assert_eq!(check(&listed("")).len(), UNSAFE.len(), "entries without use");
    }

    #[test]
    fn a_long_file_needs_an_entry_and_an_entry_a_long_file() {
        let long = rust("crates/a/src/lib.rs", &"\n".repeat(MAX_LINES + 1));
        let short = rust("crates/b/src/lib.rs", &"\n".repeat(MAX_LINES));
        let files = [long, short];
        assert_eq!(check_length_with(&files, &[]).len(), 1);
        assert_eq!(check_length_with(&files, &[("crates/a/src/lib.rs", "a table")]), []);
        let both = [("crates/a/src/lib.rs", "a table"), ("crates/b/src/lib.rs", "a table")];
        assert_eq!(check_length_with(&files, &both).len(), 1);
    }
}
