//! Publishers and subscribers that go on over restarts of the transport under them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::error::ErrorClass;
use busway_core::{Message, Outcome, Publication, Queue};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Ledger;
use crate::suite::{Bed, Bus, Failure, Outcomes, ensure, fail};

const TURN: Duration = Duration::from_millis(50);

/// The bus in use; none while it is restarted.
type Current = watch::Receiver<Option<Arc<Bus>>>;

/// A load under way on the queue `priority`.
pub(super) struct Load {
    bed: Bed,
    current: watch::Sender<Option<Arc<Bus>>>,
    ledger: Arc<Ledger>,
    publishers: JoinSet<Outcomes>,
    subscribers: JoinSet<Outcomes>,
}

impl Load {
    /// Publishes the messages from many tasks, each again with the same id until it is confirmed,
    /// and consumes them in others.
    pub(super) fn start(bus: Bus, messages: Vec<Message>, publishers: usize, subscribers: usize) -> Self {
        let bed = bus.bed.clone();
        let (current, watched) = watch::channel(Some(Arc::new(bus)));
        let ledger = Arc::new(Ledger::new());
        let mut load = Self {
            bed,
            current,
            ledger: Arc::clone(&ledger),
            publishers: JoinSet::new(),
            subscribers: JoinSet::new(),
        };
        for part in messages.chunks(messages.len().div_ceil(publishers)) {
            load.publishers.spawn(publish(part.to_vec(), watched.clone(), Arc::clone(&ledger)));
        }
        for _ in 0..subscribers {
            load.subscribers.spawn(subscribe(watched.clone(), Arc::clone(&ledger)));
        }
        load
    }

    /// Waits until this many are acknowledged.
    pub(super) async fn acknowledged(&self, count: usize) -> Outcomes {
        let give_up = Instant::now() + self.bed.features().patience * 2;
        while self.ledger.verdict().acked < count as u64 {
            ensure!(Instant::now() < give_up, "{count} were to be acknowledged: {}", self.ledger.verdict());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Closes the transport under the running load and opens the storage again.
    pub(super) async fn restart(&self) -> Outcomes {
        let Some(bus) = self.current.send_replace(None) else { fail!("there is no bus to restart") };
        self.bed.bounded("close", bus.transport.close()).await??;
        let mut bus = bus;
        let give_up = Instant::now() + self.bed.features().patience;
        let bus = loop {
            match Arc::try_unwrap(bus) {
                Ok(bus) => break bus,
                Err(used) => bus = used,
            }
            ensure!(Instant::now() < give_up, "calls on a closed transport do not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let bus = bus.reopen().await?;
        self.current.send_replace(Some(Arc::new(bus)));
        Ok(())
    }

    /// Waits until all is published and consumed, as long as it goes on.
    pub(super) async fn finish(mut self) -> Outcomes<Arc<Ledger>> {
        while let Some(ended) = self.publishers.join_next().await {
            ended.map_err(|error| Failure::new(format!("a publisher ended: {error}")))??;
        }
        let (mut last, mut open) = (Instant::now(), self.ledger.outstanding());
        while open > 0 {
            let waited = last.elapsed();
            ensure!(
                waited < self.bed.features().patience,
                "nothing came for {waited:?}: {}",
                self.ledger.verdict()
            );
            tokio::time::sleep(TURN).await;
            if self.ledger.outstanding() != open {
                (last, open) = (Instant::now(), self.ledger.outstanding());
            }
        }
        tokio::time::sleep(self.bed.features().quiet).await;
        self.current.send_replace(None);
        self.subscribers.abort_all();
        while let Some(ended) = self.subscribers.join_next().await {
            match ended {
                Ok(outcome) => outcome?,
                Err(error) if error.is_cancelled() => {}
                Err(error) => fail!("a subscriber ended: {error}"),
            }
        }
        Ok(self.ledger)
    }
}

async fn publish(mut messages: Vec<Message>, mut current: Current, ledger: Arc<Ledger>) -> Outcomes {
    while !messages.is_empty() {
        let bus = in_use(&mut current).await?;
        let rest = messages.split_off(messages.len().min(10));
        let publication = |message: &Message| Publication::new(Queue::Priority, message.clone());
        messages.iter().for_each(|message| ledger.attempted(&message.id));
        let results = bus.try_publish(messages.iter().map(publication).collect()).await?;
        drop(bus);
        let mut again = Vec::new();
        for (message, result) in messages.into_iter().zip(results) {
            match result {
                Ok(()) => ledger.acknowledged(&message.id),
                Err(error) => {
                    if error.class() == ErrorClass::Unknown {
                        ledger.unknown(&message.id);
                    }
                    again.push(message);
                }
            }
        }
        again.extend(rest);
        messages = again;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Until it is cancelled; whatever ends a receive or a settle, the next bus is waited for.
async fn subscribe(mut current: Current, ledger: Arc<Ledger>) -> Outcomes {
    loop {
        let bus = in_use(&mut current).await?;
        let Ok(reader) = bus.short_lease(&Queue::Priority).await else { continue };
        drop(bus);
        while let Ok(leased) = reader.try_receive(10, TURN).await? {
            leased.iter().for_each(|leased| ledger.delivered(&leased.message.id));
            let batch = leased.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
            if reader.try_settle(batch).await?.iter().any(Result::is_err) {
                break;
            }
        }
        drop(reader);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn in_use(current: &mut Current) -> Outcomes<Arc<Bus>> {
    let bus = current.wait_for(Option::is_some).await.map(|bus| bus.clone());
    bus.ok().flatten().ok_or_else(|| Failure::new("the load has ended"))
}
