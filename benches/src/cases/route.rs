//! `route`: which endpoints a message goes to, without I/O.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use busway_core::Message;
use busway_runtime::{RouteSpec, Routes};
use serde::Deserialize;

use super::Case;
use crate::{Bench, Limit, Measure, Side, Stopwatch};

pub(super) const CASE: Case = Case {
    name: "route",
    about: "routing of the demo data's types: 1,000 routes of which 3 match, 100,000 accounts",
    run,
};

const DEMO_DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/github-webhooks.jsonl");
const ENDPOINTS: usize = 100;
/// The first three routes match every message, and go to the first three endpoints.
const MATCHING: usize = 3;
const ACCOUNTS: u64 = 100_000;
const BATCH: usize = 1024;
const ROUNDS: u64 = 200;

fn run(bench: &mut Bench<'_>) -> Result<()> {
    let types = demo_types(Path::new(DEMO_DATA))?;
    let batch = messages(&types);
    let notes = "batches of 1,024 in memory; twin: a hash map from the type to its destinations, made beforehand, \
                 whose routes match every account";
    let routes = compiled(1000, &types)?;
    let by_hand = by_hand(&types);
    let rounds = bench.scale(ROUNDS);
    let measure = Measure::new("1,000 routes", "Routes::destinations", "hash map by type")
        .limit(Limit::CpuMicroseconds(1.0))
        .notes(notes);
    bench.measure(&measure, |side| {
        Ok(match side {
            Side::Subject => time(rounds, &batch, |message| routes.destinations(message).len()),
            Side::Twin => time(rounds, &batch, |message| {
                by_hand.get(&message.r#type).map_or(0, |found| black_box(found.clone()).len())
            }),
        })
    })?;
    let few = compiled(10, &types)?;
    let many = compiled(10_000, &types)?;
    let measure = Measure::new("10,000 routes", "with 10,000 routes", "with 10 routes")
        .limit(Limit::Ratio(0.5))
        .notes("3 of the routes match; batches of 1,024 in memory");
    bench.measure(&measure, |side| {
        let routes = if side == Side::Subject { &many } else { &few };
        Ok(time(rounds, &batch, |message| routes.destinations(message).len()))
    })
}

/// Routes the batch again and again; a message that finds too few destinations is lost, and each one
/// too many is a duplicate.
fn time(rounds: u64, batch: &[Message], mut destinations: impl FnMut(&Message) -> usize) -> crate::Run {
    let mut found = 0;
    let watch = Stopwatch::start();
    for _ in 0..rounds {
        for message in batch {
            found += destinations(black_box(message)) as u64;
        }
    }
    let messages = rounds * batch.len() as u64;
    let run = watch.stop(messages);
    let due = messages * MATCHING as u64;
    run.counted(due.saturating_sub(found), found.saturating_sub(due))
}

#[derive(Deserialize)]
struct Headers {
    r#type: String,
}

fn demo_types(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let each = text.lines().map(|line| Ok(serde_json::from_str::<Headers>(line)?.r#type));
    each.collect::<Result<_>>().with_context(|| path.display().to_string())
}

fn messages(types: &[String]) -> Vec<Message> {
    let mut random = fastrand::Rng::with_seed(1);
    let each = types.iter().cycle().take(BATCH);
    each.map(|r#type| Message::new(r#type.clone(), "").account(format!("account-{}", random.u64(..ACCOUNTS))))
        .collect()
}

/// One route of every type, one of each first word, one of each exact type; the others have the same
/// forms, and names or accounts that no message has.
fn compiled(count: usize, types: &[String]) -> Result<Routes> {
    let endpoints: Vec<Arc<str>> = (0..ENDPOINTS).map(|n| format!("endpoint-{n}").into()).collect();
    let mut groups: Vec<String> = types.iter().map(|text| group(text)).collect();
    groups.dedup();
    let spec = |types: Vec<String>, accounts: &[String], to: usize| RouteSpec {
        types,
        accounts: accounts.to_vec(),
        to: vec![format!("endpoint-{to}")],
    };
    let mut specs = vec![
        spec(vec!["#".to_owned()], &[], 0),
        spec(groups, &[], 1),
        spec(types.to_vec(), &["*".to_owned()], 2),
    ];
    for n in MATCHING..count {
        let (r#type, account) = match n % 6 {
            0 => (format!("order_{n}.created"), None),
            1 => (format!("order_{n}.#"), None),
            2 => (format!("*.undone_{n}"), None),
            3 => (format!("#.undone_{n}"), None),
            4 => ("#".to_owned(), Some(format!("tenant-{n}"))),
            _ => (types[n % types.len()].clone(), Some(format!("tenant-{n}.*"))),
        };
        specs.push(spec(vec![r#type], &account.into_iter().collect::<Vec<_>>(), n % ENDPOINTS));
    }
    Ok(Routes::compile(&specs, &endpoints)?)
}

fn group(r#type: &str) -> String {
    format!("{}.#", r#type.split('.').next().unwrap_or_default())
}

fn by_hand(types: &[String]) -> HashMap<String, Vec<usize>> {
    types.iter().map(|r#type| (r#type.clone(), (0..MATCHING).collect())).collect()
}
