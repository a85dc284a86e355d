//! Prometheus' text form.

use std::collections::HashSet;
use std::fmt::{Display, Write};

/// Begins a metric: its help and type, once, before its samples.
pub(super) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    put(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

/// One sample.
pub(super) fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    out.push_str(name);
    for (index, (label, text)) in labels.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(label);
        out.push_str("=\"");
        escape(out, text);
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
    put(out, format_args!(" {value}\n"));
}

/// Appends `second` but for metrics that `first` has: a scrape with one of them twice is refused
/// as a whole.
pub(super) fn join(first: String, second: &str) -> String {
    let known: HashSet<&str> = first.lines().filter_map(|line| named(line, "# TYPE ")).collect();
    let mut rest = String::with_capacity(second.len());
    let mut skipping = false;
    for line in second.lines() {
        if let Some(name) = named(line, "# HELP ") {
            skipping = known.contains(name);
        }
        if !skipping {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    let separator = if first.is_empty() || first.ends_with('\n') { "" } else { "\n" };
    first + separator + &rest
}

/// The metric that a comment of this kind is for.
fn named<'a>(line: &'a str, comment: &str) -> Option<&'a str> {
    line.strip_prefix(comment)?.split(' ').next()
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // writing to a string cannot fail
    if out.write_fmt(text).is_err() {
        tracing::error!("a metric has no text form");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_is_there_is_not_given_twice() {
        let mut second = String::new();
        for name in ["a", "b", "ab"] {
            head(&mut second, name, "gauge", "It is.");
            sample(&mut second, name, &[], 2);
        }
        let first = "# HELP b Is.\n# TYPE b gauge\nb 1";
        let wanted = format!(
            "{first}\n# HELP a It is.\n# TYPE a gauge\na 2\n# HELP ab It is.\n# TYPE ab gauge\nab 2\n"
        );
        assert_eq!(join(first.to_owned(), &second), wanted);
        assert_eq!(join(String::new(), &second), second);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        sample(&mut out, "m", &[("a", "x\"y\\z\n"), ("b", "é")], 1.5);
        sample(&mut out, "n", &[], 2u64);
        assert_eq!(out, "m{a=\"x\\\"y\\\\z\\n\",b=\"é\"} 1.5\nn 2\n");
    }
}
