//! Latency under a load that does not wait for answers, from the moment at which each message was meant
//! to be sent: a stall counts for every message it delayed.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::run::{Latency, Run, Stopwatch};

/// What the last messages may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How fast messages are sent, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A second.
    pub rate: f64,
    /// In all; this bounds how many can be under way.
    pub messages: u64,
}

/// Sends on the runtime at a pace kept by the calling thread, which must not be one of the runtime's.
/// `send` gets the number of the message and says whether it succeeded; one that did not, or not within
/// a minute of the last, counts as lost.
pub fn open_loop<F, S>(runtime: &Handle, pace: Pace, send: F) -> Run
where
    F: Fn(u64) -> S,
    S: Future<Output = bool> + Send + 'static,
{
    let latency = Arc::new(Mutex::new(Latency::default()));
    let mut under_way = JoinSet::new();
    let watch = Stopwatch::start();
    let begun = Instant::now();
    for number in 0..pace.messages {
        let intended = begun + Duration::from_secs_f64(crate::run::count(number) / pace.rate);
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        let (sending, latency) = (send(number), Arc::clone(&latency));
        under_way.spawn_on(
            async move {
                if sending.await {
                    lock(&latency).record(intended.elapsed());
                    return true;
                }
                false
            },
            runtime,
        );
    }
    let succeeded = runtime.block_on(async {
        let mut succeeded = 0;
        let all = async {
            while let Some(result) = under_way.join_next().await {
                succeeded += u64::from(result.unwrap_or(false));
            }
        };
        // What is not there by then is counted as lost.
        let in_time = tokio::time::timeout(DEADLINE, all).await;
        if in_time.is_err() {
            eprintln!("open loop: not all answers came within {DEADLINE:?}");
        }
        succeeded
    });
    let latency = lock(&latency).clone();
    watch.stop(pace.messages).counted(pace.messages - succeeded, 0).latency(latency)
}

fn lock(latency: &Mutex<Latency>) -> std::sync::MutexGuard<'_, Latency> {
    latency.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_all_that_it_delayed() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        let pace = Pace { rate: 1000.0, messages: 200 };
        // One worker that is held for 100 ms by the first: the messages meant for that time wait.
        let run = open_loop(runtime.handle(), pace, |number| async move {
            if number == 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            number != 7
        });
        assert_eq!(run.lost, 1);
        let found = run.latency.unwrap_or_default().percentiles();
        assert!(found.p99 > 90.0, "the stall of the first: {found:?}");
    }
}
