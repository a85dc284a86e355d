//! `route`: which endpoints a message goes to, without I/O.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use busway_core::transport::Want;
use busway_core::{Delivery, Endpoint, Message, Name, Outcome, Receiver};
use busway_runtime::{EndpointSpec, RouteSpec, Routes, Runtime, RuntimeOptions};
use busway_state::MemoryState;
use serde::Deserialize;

use super::Case;
use crate::free::{FreeEndpoint, FreeTransport, Line};
use crate::{Bench, Limit, Measure, Run, Side, Stopwatch};

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
/// Messages of a run through the whole bus, and how many of them are in it at once: so few that no
/// endpoint's places are used up, and nothing is parked.
const THROUGH_ALL: u64 = 200_000;
const WINDOW: usize = 192;
const DEADLINE: Duration = Duration::from_secs(120);

fn run(bench: &mut Bench<'_>) -> Result<()> {
    let types = demo_types(Path::new(DEMO_DATA))?;
    let batch = messages(&types);
    routes_alone(bench, &types, &batch)?;
    whole_plan(bench, &types, batch)
}

fn routes_alone(bench: &mut Bench<'_>, types: &[String], batch: &[Message]) -> Result<()> {
    let notes = "batches of 1,024 in memory; twin: a hash map from the type to its destinations, made beforehand, \
                 whose routes match every account";
    let routes = compiled(1000, types)?;
    let by_hand = by_hand(types);
    let rounds = bench.scale(ROUNDS);
    let measure = Measure::new("1,000 routes", "Routes::destinations", "hash map by type")
        .limit(Limit::CpuMicroseconds(1.0))
        .notes(notes);
    bench.measure(&measure, |side| {
        Ok(match side {
            Side::Subject => time(rounds, batch, |message| routes.destinations(message).len()),
            Side::Twin => time(rounds, batch, |message| {
                by_hand.get(&message.r#type).map_or(0, |found| black_box(found.clone()).len())
            }),
        })
    })?;
    let few = compiled(10, types)?;
    let many = compiled(10_000, types)?;
    let measure = Measure::new("10,000 routes", "with 10,000 routes", "with 10 routes")
        .limit(Limit::Ratio(0.5))
        .notes("3 of the routes match; batches of 1,024 in memory");
    bench.measure(&measure, |side| {
        let routes = if side == Side::Subject { &many } else { &few };
        Ok(time(rounds, batch, |message| routes.destinations(message).len()))
    })
}

/// From the receive to the settle, between a transport and endpoints that cost next to nothing.
fn whole_plan(bench: &mut Bench<'_>, types: &[String], batch: Vec<Message>) -> Result<()> {
    let total = bench.scale(THROUGH_ALL);
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let by_hand = by_hand(types);
    let measure =
        Measure::new("whole plan", "a bus of 3 endpoints", "receive, look up, call, settle in a loop").notes(
            "transport and endpoints in memory that do nothing; 192 messages at once, 3 destinations each, \
             endpoints that take batches; all threads of the bus are counted",
        );
    bench.measure(&measure, |side| {
        let transport = FreeTransport::new(batch.clone(), total, WINDOW);
        let line = Arc::clone(transport.line());
        let run = match side {
            Side::Subject => io.block_on(through_the_bus(types, transport, total))?,
            Side::Twin => io.block_on(in_a_loop(&by_hand, &line, total))?,
        };
        let (lost, duplicated) = line.lost_and_duplicated();
        Ok(run.counted(lost, duplicated))
    })
}

async fn through_the_bus(types: &[String], transport: Arc<FreeTransport>, total: u64) -> Result<Run> {
    let line = Arc::clone(transport.line());
    let mut options = RuntimeOptions::new(Name::new("bench")?, transport, Arc::new(MemoryState::new()));
    options.routes = specs(1000, types, MATCHING);
    for n in 0..MATCHING {
        let spec = EndpointSpec::new(Arc::new(FreeEndpoint));
        options.endpoints.insert(format!("endpoint-{n}"), spec);
    }
    let watch = Stopwatch::start();
    let bus = Runtime::start(options).await?;
    let finished = line.finished(DEADLINE).await;
    let run = watch.stop(total);
    bus.shutdown(Duration::from_secs(10)).await;
    finished.map(|()| run)
}

async fn in_a_loop(by_hand: &HashMap<String, Vec<usize>>, line: &Line, total: u64) -> Result<Run> {
    let endpoints: Vec<FreeEndpoint> = (0..MATCHING).map(|_| FreeEndpoint).collect();
    let name: Arc<str> = "endpoint".into();
    let watch = Stopwatch::start();
    let mut settled = 0;
    while settled < total {
        let mut calls: Vec<Vec<Delivery>> = endpoints.iter().map(|_| Vec::new()).collect();
        let mut receipts = Vec::new();
        for leased in line.receive(Want::new(WINDOW, DEADLINE)).await? {
            let message = Arc::new(leased.message);
            for to in by_hand.get(&message.r#type).into_iter().flatten() {
                let (message, destination) = (Arc::clone(&message), Arc::clone(&name));
                calls[*to].push(Delivery { message, destination, attempt: 1 });
            }
            receipts.push((leased.receipt, Outcome::Ack));
        }
        for (endpoint, call) in endpoints.iter().zip(calls) {
            black_box(endpoint.deliver(call).await);
        }
        settled += line.settle(receipts).await.len() as u64;
    }
    Ok(watch.stop(total))
}

/// Routes the batch again and again; a message that finds too few destinations is lost, and each one
/// too many is a duplicate.
fn time(rounds: u64, batch: &[Message], mut destinations: impl FnMut(&Message) -> usize) -> Run {
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
fn specs(count: usize, types: &[String], endpoints: usize) -> Vec<RouteSpec> {
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
        specs.push(spec(vec![r#type], &account.into_iter().collect::<Vec<_>>(), n % endpoints));
    }
    specs
}

fn compiled(count: usize, types: &[String]) -> Result<Routes> {
    let endpoints: Vec<Arc<str>> = (0..ENDPOINTS).map(|n| format!("endpoint-{n}").into()).collect();
    Ok(Routes::compile(&specs(count, types, ENDPOINTS), &endpoints)?)
}

fn group(r#type: &str) -> String {
    format!("{}.#", r#type.split('.').next().unwrap_or_default())
}

fn by_hand(types: &[String]) -> HashMap<String, Vec<usize>> {
    types.iter().map(|r#type| (r#type.clone(), (0..MATCHING).collect())).collect()
}
