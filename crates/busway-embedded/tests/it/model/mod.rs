//! Random operations against the store and against a model of it, compared whole after every few:
//! through restarts, kills and cleaning nothing is lost, nothing comes back, nothing changes.

mod run;
mod state;

use run::Run;

/// Operations a run.
const STEPS: usize = 220;

async fn many(first: u64, runs: u64) {
    for seed in first..first + runs {
        let mut run = Run::new(seed).await;
        for _ in 0..STEPS {
            run.step().await;
        }
        run.finish().await;
    }
}

/// Ends the program when a run fails without a panic of its own, so that the seed is always told.
fn seeds(offset: u64) -> u64 {
    match std::env::var("BUSWAY_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => offset,
    }
}

fn runs() -> u64 {
    match std::env::var("BUSWAY_RUNS") {
        Ok(runs) => runs.parse().unwrap(),
        Err(_) => 12,
    }
}

#[tokio::test]
async fn the_store_does_what_the_model_does() {
    many(seeds(1), runs()).await;
}

#[tokio::test]
async fn the_store_does_what_the_model_does_on_other_threads() {
    many(seeds(1_000_000), runs()).await;
}
