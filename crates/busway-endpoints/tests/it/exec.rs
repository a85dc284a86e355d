//! Programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use busway_core::{AttributeValue, Endpoint, endpoint::Verdict};
use busway_endpoints::{ExecConfig, ExecEndpoint};

use crate::support::{delivery, eventually, message, send};

fn config(script: &str) -> ExecConfig {
    let args = vec!["-c".to_owned(), script.to_owned()];
    ExecConfig { args, timeout: Duration::from_secs(60), ..ExecConfig::new("tool", "sh") }
}

fn shell(script: &str) -> ExecEndpoint {
    ExecEndpoint::new(config(script)).unwrap()
}

fn alive(pid_file: &Path) -> bool {
    let pid = fs::read_to_string(pid_file).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie that nobody has waited for yet is not alive.
    !status.is_empty() && !status.contains(") Z ")
}

#[tokio::test]
async fn the_payload_is_the_input_and_attributes_are_variables() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config("cat > input; env > env");
    config.directory = Some(directory.path().to_owned());
    config.env = vec![("TEAM".to_owned(), "blue".to_owned())];
    let endpoint = ExecEndpoint::new(config).unwrap();
    let data = vec![b'x'; 1_000_000];
    let mut message = message(data.clone()).subject("a \"b\" %c é").partition_key("k");
    message.attempt = 2;
    message.extensions.insert("traceparent".to_owned(), AttributeValue::String("00-ab".to_owned()));
    endpoint.deliver(vec![delivery(message)]).await.remove(0).unwrap();
    assert!(fs::read(directory.path().join("input")).unwrap() == data);
    let env = fs::read_to_string(directory.path().join("env")).unwrap();
    for line in [
        "CE_ID=1",
        "CE_TYPE=item.updated",
        "CE_SOURCE=busway",
        "CE_ACCOUNT=acme",
        "CE_SUBJECT=a \"b\" %c é",
        "CE_PARTITIONKEY=k",
        "CE_BWATTEMPT=2",
        "CE_TRACEPARENT=00-ab",
        "CE_DATACONTENTTYPE=application/json",
        "CE_SPECVERSION=1.0",
        "TEAM=blue",
    ] {
        assert!(env.lines().any(|found| found == line), "{line} is not in\n{env}");
    }
    let own = ["CE_", "TEAM=", "PATH=", "PWD=", "_=", "SHLVL=", "OLDPWD="];
    assert!(env.lines().all(|line| own.iter().any(|name| line.starts_with(name))), "{env}");
}

#[tokio::test]
async fn the_end_of_the_program_is_the_outcome() {
    for (script, class, verdict) in [
        ("exit 65", "exit-65", Verdict::Reject),
        ("exit 75", "exit-75", Verdict::Retry),
        ("exit 1", "exit-1", Verdict::Retry),
        ("kill -9 $$", "signal-9", Verdict::Retry),
        ("echo secret >&2; exit 3", "exit-3", Verdict::Retry),
    ] {
        let error = send(&shell(script), "{}").await.unwrap_err();
        assert_eq!((&*error.class, error.verdict), (class, verdict), "{script}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    send(&shell("exit 0"), "{}").await.unwrap();
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    send(&shell("exit 0"), vec![b'x'; 5_000_000]).await.unwrap();
    send(&shell("exec <&-; sleep 0.2"), vec![b'x'; 5_000_000]).await.unwrap();
}

#[tokio::test]
async fn output_has_no_bound_and_takes_no_room() {
    send(
        &shell("head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; cat > /dev/null"),
        vec![b'x'; 300_000],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn what_holds_the_pipes_open_does_not_hold_the_delivery() {
    let start = Instant::now();
    send(&shell("sleep 40 & exit 0"), "{}").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// A script that starts a program in the background, and the files with both process ids.
fn family(directory: &Path) -> (String, [PathBuf; 2]) {
    let files = [directory.join("child"), directory.join("parent")];
    let [child, parent] = &files;
    let script = format!("sleep 300 & echo $! > {}; echo $$ > {}; wait", child.display(), parent.display());
    (script, files)
}

#[tokio::test]
async fn after_the_time_limit_the_whole_group_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let (script, files) = family(directory.path());
    let config = ExecConfig { timeout: Duration::from_secs(10), ..config(&script) };
    let error = send(&ExecEndpoint::new(config).unwrap(), "{}").await.unwrap_err();
    assert_eq!((&*error.class, error.overloaded, error.verdict), ("timeout", true, Verdict::Retry));
    eventually("all of them are gone", || files.iter().all(|file| !alive(file))).await;
}

#[tokio::test]
async fn a_cancelled_delivery_leaves_nothing_running() {
    let directory = tempfile::tempdir().unwrap();
    let (script, files) = family(directory.path());
    let running = tokio::spawn(async move { send(&shell(&script), "{}").await });
    let written = || files.iter().all(|file| fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')));
    eventually("both run", written).await;
    assert!(files.iter().all(|file| alive(file)));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    eventually("all of them are gone", || files.iter().all(|file| !alive(file))).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    for program in [PathBuf::from("/nowhere/tool"), PathBuf::from("no-such-tool-anywhere"), plain] {
        let endpoint = ExecEndpoint::new(ExecConfig::new("tool", &program)).unwrap();
        let error = send(&endpoint, "{}").await.unwrap_err();
        assert_eq!((&*error.class, error.verdict), ("spawn", Verdict::Retry), "{error}");
        assert_eq!(&*endpoint.test().await.unwrap_err().class, "spawn");
    }
    assert!(shell("exit 0").test().await.unwrap().contains("/sh can be run"));
}

#[tokio::test]
async fn what_cannot_be_a_variable_is_never_tried_again() {
    let endpoint = shell("exit 0");
    for subject in ["a\0b".to_owned(), "x".repeat(200_000)] {
        let message = message("{}").subject(subject);
        let error = endpoint.deliver(vec![delivery(message)]).await.remove(0).unwrap_err();
        assert_eq!((&*error.class, error.verdict), ("attributes", Verdict::Reject), "{error}");
    }
}

#[tokio::test]
async fn wrong_settings_are_refused_with_their_key() {
    let env = |name: &str| vec![(name.to_owned(), "x".to_owned())];
    for (config, key) in [
        (ExecConfig::new("tool", ""), "program"),
        (ExecConfig { args: vec!["a\0".to_owned()], ..ExecConfig::new("tool", "sh") }, "args"),
        (ExecConfig { env: env("A=B"), ..ExecConfig::new("tool", "sh") }, "env"),
    ] {
        let error = ExecEndpoint::new(config).unwrap_err();
        assert!(error.to_string().contains(&format!("endpoints.tool.{key}")), "{error}");
    }
}
