//! The whole way: published from memory, stored, routed, delivered, settled.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use busway::config::{Concurrency, Endpoint, HttpTarget, Mode, Target};
use busway::{Bus, Message};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::server::Server;
use super::{BODY_BYTES, CONNECTIONS, message};
use crate::{Bench, Measure, Run, Stopwatch};

const MESSAGES: u64 = 20_000;
/// Messages of one call of `publish_all`.
const BATCH: usize = 256;
/// Calls of it at once.
const PUBLISHERS: usize = 4;
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let messages = bench.scale(MESSAGES);
    let measure = Measure::alone("whole-path", "Bus: publish, store, route, deliver (wait), settle")
        .body_bytes(BODY_BYTES as u64)
        .durable()
        .notes(
            "batches of 256 published from memory, 64 deliveries at once; until the peer has answered the last; \
             the peer's thread is not counted as CPU",
        );
    let stores = bench.scratch()?;
    let mut number = 0;
    bench.measure(&measure, |_| {
        number += 1;
        let bus = bus(&stores.path().join(number.to_string()), &server)?;
        runtime.block_on(bus.start())?;
        let run = through(&runtime, &bus, &server, messages);
        runtime.block_on(bus.shutdown())?;
        run
    })
}

fn bus(directory: &std::path::Path, server: &Server) -> Result<Bus> {
    let mut endpoint = Endpoint::new(Target::Http(HttpTarget {
        url: format!("http://{}/rpc/items", server.address),
        mode: Mode::Wait,
        token: None,
        headers: Default::default(),
    }));
    endpoint.policy.concurrency = Concurrency { min: CONNECTIONS, max: Some(CONNECTIONS) };
    // One account has all of the load here, which is nobody's loss.
    let bus = Bus::builder("bench").embedded(directory).endpoint("inventory", endpoint);
    Ok(bus.route(&["item.*"], &["inventory"]).configure(|config| config.flow.max_share = 1.0).build()?)
}

fn through(runtime: &Runtime, bus: &Bus, server: &Server, messages: u64) -> Result<Run> {
    let batches: Vec<Vec<Message>> = {
        let all: Vec<Message> = (0..messages).map(|_| message()).collect();
        all.chunks(BATCH).map(<[Message]>::to_vec).collect()
    };
    let (before, cpu) = (server.answered(), server.cpu());
    let watch = Stopwatch::start();
    runtime.block_on(async {
        let mut batches = batches.into_iter();
        let mut calls = JoinSet::new();
        loop {
            while calls.len() < PUBLISHERS
                && let Some(batch) = batches.next()
            {
                let bus = bus.clone();
                calls.spawn(async move { bus.publish_all(batch).await });
            }
            let Some(ended) = calls.join_next().await else { break };
            let results = ended.context("a publisher")?;
            ensure!(results.iter().all(Result::is_ok), "a message was not stored");
        }
        Ok(())
    })?;
    let begun = Instant::now();
    while server.answered() - before < messages && begun.elapsed() < DELIVERED_WITHIN {
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut run = watch.stop(messages);
    run.cpu = run.cpu.saturating_sub(server.cpu().saturating_sub(cpu));
    let seen = server.answered() - before;
    Ok(run.counted(messages.saturating_sub(seen), seen.saturating_sub(messages)))
}
