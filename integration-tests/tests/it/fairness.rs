//! One party's flood beside the others' trickle.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Arrived, Bed, Peer, Request, Stopwatch, percentile, seed, until};

const LIMIT: Duration = Duration::from_secs(120);
/// How long the endpoint takes, and how many at once: some 200 messages a second.
const TAKES: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 4;
/// Rounds of the load, and what lies between two: over what the endpoint can take.
const ROUNDS: usize = 40;
const EVERY: Duration = Duration::from_millis(100);
const LOUD: usize = 50;

fn slow_bed(peer: &Peer) -> Bed {
    Bed::new(&format!(
        "[endpoints.slow]\nkind = \"http\"\nurl = \"{}\"\nconcurrency = {{ min = {AT_ONCE}, max = {AT_ONCE} }}\n\
         [[routes]]\ntype = [\"bulk\"]\nto = [\"slow\"]\n",
        peer.url()
    ))
}

/// What each account's messages took from their publish to their first arrival, and why they were diverted.
#[derive(Default)]
struct Account {
    took: Vec<Duration>,
    reasons: HashMap<String, usize>,
}

/// Publishes in each round what `load` says of it, and waits until all has arrived.
fn measure(load: &[(&str, usize)]) -> HashMap<String, Account> {
    let peer = Peer::answering(|_| {
        thread::sleep(TAKES);
        Some(200)
    });
    let bed = slow_bed(&peer);
    let daemon = bed.start();
    let mut client = daemon.client();
    let mut random = fastrand::Rng::with_seed(seed());
    let mut sent = HashMap::new();
    for round in 0..ROUNDS {
        let mut lines = Vec::new();
        for (account, count) in load {
            for number in 0..*count {
                let id = format!("{account}-{round}-{number}");
                lines.push(format!(
                    "{{\"id\":\"{id}\",\"type\":\"bulk\",\"account\":\"{account}\",\"data\":1}}\n"
                ));
                sent.insert(id, Instant::now());
            }
        }
        random.shuffle(&mut lines);
        let reply = client.send(&Request::lines(lines.concat())).unwrap();
        assert_eq!(reply.status, 202, "{reply:?}");
        // No schedule: catching up after a stall would bring more quiet messages at once than have places.
        thread::sleep(EVERY);
    }
    until(LIMIT, "all arrive", || peer.count() >= sent.len());
    daemon.drain(LIMIT);
    assert_eq!(daemon.get("/v1/dead").as_array().unwrap().len(), 0);
    by_account(&sent, &peer.arrived())
}

fn by_account(sent: &HashMap<String, Instant>, arrived: &[Arrived]) -> HashMap<String, Account> {
    let mut accounts: HashMap<String, Account> = HashMap::new();
    for message in arrived {
        let account = accounts.entry(message.header("ce-account").unwrap().to_owned()).or_default();
        account.took.push(message.at - sent[&message.id()]);
        if let Some(reason) = message.header("ce-bwreason") {
            *account.reasons.entry(reason.to_owned()).or_default() += 1;
        }
    }
    // Without a failure nothing comes twice, so that the counts say that all came.
    assert_eq!(arrived.len(), sent.len());
    accounts
}

#[test]
fn of_99_to_1_only_the_loud_account_is_diverted_and_all_of_both_arrives() {
    let accounts = measure(&[("loud", LOUD * 99 / 100), ("quiet", 1)]);
    let (loud, quiet) = (&accounts["loud"], &accounts["quiet"]);
    let [loud_p99, quiet_p99] = [loud, quiet].map(|account| percentile(&account.took, 0.99));
    println!("loud: p99 {loud_p99:?}, diverted {:?}", loud.reasons);
    println!("quiet: p99 {quiet_p99:?}, diverted {:?}", quiet.reasons);
    // Which of the two reasons it is depends on whether a quiet message waits at the moment.
    let diverted = |account: &Account| account.reasons.values().sum::<usize>();
    assert!(diverted(loud) > loud.took.len() / 10, "{:?}", loud.reasons);
    assert_eq!(quiet.reasons.get("share"), None);
    // Until the window has seen who is loud, the first round fills the places of all alike.
    assert!(diverted(quiet) <= quiet.took.len() / 10, "{:?}", quiet.reasons);
    assert!(quiet_p99 < loud_p99 / 2, "quiet {quiet_p99:?}, loud {loud_p99:?}");
}

#[test]
fn equal_accounts_at_overload_are_not_diverted_for_their_share() {
    for names in [&["a", "b"][..], &["a", "b", "c", "d"]] {
        let load: Vec<_> = names.iter().map(|name| (*name, LOUD / 2 / names.len())).collect();
        let accounts = measure(&load);
        for (name, account) in accounts {
            assert_eq!(account.reasons.get("share"), None, "{name} of {names:?}: {:?}", account.reasons);
        }
    }
}

#[test]
fn a_saturated_endpoint_costs_another_nothing() {
    const PROBES: usize = 300;
    let stuck = Peer::scripted(|conversation, record| {
        while let Some(arrived) = conversation.read() {
            record(arrived);
            conversation.stand(LIMIT);
        }
    });
    let watch = Stopwatch::new();
    let bed = Bed::new(&format!(
        "[endpoints.stuck]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"60s\"\n\
         [endpoints.open]\nkind = \"http\"\nurl = \"{}\"\n\
         [[routes]]\ntype = [\"bulk\"]\nto = [\"stuck\"]\n[[routes]]\ntype = [\"probe\"]\nto = [\"open\"]\n",
        stuck.url(),
        watch.url()
    ));
    let daemon = bed.start();
    let before = percentile(&watch.measure(&daemon, PROBES, Duration::from_millis(10)), 0.99);
    let line = |number| format!("{{\"type\":\"bulk\",\"account\":\"a{}\",\"data\":1}}\n", number % 7);
    daemon.publish(&(0..5_000).map(line).collect::<String>());
    until(LIMIT, "it is saturated and the rest is parked", || {
        stuck.count() > 0 && daemon.endpoint("stuck")["waiting"].as_u64().unwrap() > 4_900
    });
    let after = watch.quietest_p99(&daemon, PROBES, Duration::from_millis(10));
    println!("p99 {before:?} before, {after:?} beside a saturated endpoint");
    // Far over what a shared machine does to a p99, far under waiting for a worker.
    assert!(after < before * 5 + Duration::from_millis(100), "{before:?} before, {after:?} after");
    assert_eq!(daemon.endpoint("open")["diverted"], 0);
}
