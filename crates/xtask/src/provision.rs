//! What the test command needs on a machine, and how to get what is missing.

use std::process::{Command, Stdio};

/// A tool, how to see that it is there, and where it comes from.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) name: &'static str,
    probe: &'static [&'static str],
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A component of the pinned Rust toolchain.
    Rustup(&'static str),
    /// A package of Debian and its relatives.
    Apt(&'static str),
    /// Nothing that can be installed from here.
    ByHand(&'static str),
}

/// What every run needs. The brokers bring their own list.
pub(crate) const NEEDS: [Need; 6] = [
    Need {
        name: "rustc",
        probe: &["rustc", "--version"],
        source: Source::ByHand("install Rust with rustup; rust-toolchain.toml names the version"),
    },
    Need { name: "cargo", probe: &["cargo", "--version"], source: Source::ByHand("comes with Rust") },
    Need { name: "clippy", probe: &["cargo", "clippy", "--version"], source: Source::Rustup("clippy") },
    Need { name: "rustfmt", probe: &["cargo", "fmt", "--version"], source: Source::Rustup("rustfmt") },
    Need { name: "a C compiler", probe: &["cc", "--version"], source: Source::Apt("gcc libc6-dev") },
    Need { name: "make", probe: &["make", "--version"], source: Source::Apt("make") },
];

impl Need {
    /// Whether the tool is there and starts.
    pub(crate) fn met(&self) -> bool {
        succeeds(self.probe)
    }

    /// What a person would do about it.
    pub(crate) fn advice(&self) -> String {
        match self.source {
            Source::ByHand(advice) => advice.to_owned(),
            source => installer(source).map(|command| command.join(" ")).unwrap_or_default(),
        }
    }
}

/// The needs of the list that are not met.
pub(crate) fn missing(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !need.met()).collect()
}

/// The commands that install them, each tried in its order; packages of one source in one command.
pub(crate) fn commands(missing: &[&Need]) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|need| match need.source {
            Source::Apt(packages) => Some(packages),
            _ => None,
        })
        .flat_map(str::split_whitespace)
        .collect();
    if !packages.is_empty() {
        commands.push(apt(&["update"]));
        commands.push(apt(&[&["install", "--no-install-recommends"], &packages[..]].concat()));
    }
    let components = missing.iter().filter(|need| matches!(need.source, Source::Rustup(_)));
    commands.extend(components.filter_map(|need| installer(need.source)));
    commands
}

fn installer(source: Source) -> Option<Vec<String>> {
    match source {
        Source::Rustup(component) => {
            Some(["rustup", "component", "add", component].map(str::to_owned).to_vec())
        }
        Source::Apt(packages) => Some(apt(&[
            &["install", "--no-install-recommends"],
            &packages.split(' ').collect::<Vec<_>>()[..],
        ]
        .concat())),
        Source::ByHand(_) => None,
    }
}

/// `apt-get`, by sudo where that works without a password and this is not the administrator.
fn apt(arguments: &[&str]) -> Vec<String> {
    let sudo: &[&str] = if succeeds(&["sudo", "-n", "true"]) && !is_root() { &["sudo", "-n"] } else { &[] };
    let quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet"];
    [sudo, &quiet, arguments].concat().into_iter().map(str::to_owned).collect()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(source: Source) -> Need {
        Need { name: "a tool", probe: &["no-such-program-anywhere"], source }
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let needs = [
            absent(Source::Rustup("clippy")),
            Need { name: "true", probe: &["true"], source: Source::Apt("x") },
            absent(Source::ByHand("ask")),
        ];
        let missing = missing(&needs);
        assert_eq!(
            missing.iter().map(|need| need.advice()).collect::<Vec<_>>(),
            ["rustup component add clippy", "ask"]
        );
    }

    #[test]
    fn packages_are_installed_in_one_go() {
        let needs = [
            absent(Source::Apt("gcc libc6-dev")),
            absent(Source::Rustup("rustfmt")),
            absent(Source::Apt("make")),
        ];
        let commands: Vec<String> =
            commands(&needs.iter().collect::<Vec<_>>()).iter().map(|command| command.join(" ")).collect();
        assert_eq!(commands.len(), 3);
        assert!(commands[0].ends_with("apt-get --yes --quiet update"), "{}", commands[0]);
        assert!(commands[1].ends_with("gcc libc6-dev make"), "{}", commands[1]);
        assert_eq!(commands[2], "rustup component add rustfmt");
    }
}
