//! Delivers to a file: JSON lines in the structured form, one a delivery, synced before success is
//! told.
//!
//! What several deliveries bring at the same time is written at once and synced once. Several
//! processes may write the same file: each locks it for a batch. A tool that rotates it by renaming
//! needs no signal; the next batch goes to a new file.

mod lines;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint, Result, envelope};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout_at;

use lines::LineFile;

/// The most deliveries of a call.
const MAX_BATCH: usize = 512;
/// The most calls whose lines wait for the disk.
const MAX_WAITING: u32 = 64;
/// Lines of several calls are written together up to about this many bytes.
const MAX_WRITE_BYTES: usize = 8 * 1024 * 1024;

/// The settings of a [`FileEndpoint`].
#[derive(Clone, Debug)]
pub struct FileConfig {
    /// The endpoint's name, for messages about it.
    pub name: String,
    /// The file; it and the directories above it are made where they are missing.
    pub path: PathBuf,
    /// How long a delivery may take, waiting for another process that writes the file included.
    pub timeout: Duration,
}

impl FileConfig {
    /// Waits for the disk for up to 30 s.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into(), timeout: Duration::from_secs(30) }
    }
}

/// Appends a line for each delivery.
#[derive(Debug)]
pub struct FileEndpoint {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Held by the one writer while it works.
    file: Mutex<LineFile>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// A writer is at work and will take what is waiting.
    busy: bool,
}

/// The lines of one call.
#[derive(Debug)]
struct Job {
    lines: Vec<u8>,
    deadline: Instant,
    reply: oneshot::Sender<Result<(), DeliveryError>>,
    _slot: OwnedSemaphorePermit,
}

impl FileEndpoint {
    /// An endpoint by its settings. A last line that was torn by a crash is removed from the file
    /// if it is there; nothing is created before the first delivery.
    ///
    /// # Errors
    /// `Configuration` where the path names no file.
    pub fn new(config: FileConfig) -> Result<Self> {
        let mut file = LineFile::new(&config)?;
        if let Err(e) = file.mend_existing() {
            tracing::warn!(endpoint = config.name, error = %e, "the file is looked at again at the first delivery");
        }
        Ok(Self {
            shared: Arc::new(Shared { queue: Mutex::default(), file: Mutex::new(file) }),
            slots: Arc::new(Semaphore::new(MAX_WAITING as usize)),
            timeout: config.timeout,
        })
    }

    /// Has the lines written by whoever writes next.
    async fn append(&self, lines: Vec<u8>) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let late =
            |what: &str| DeliveryError::retry("timeout", format!("{what} took over {:?}", self.timeout));
        let slot = timeout_at(deadline.into(), Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| late("waiting for the lines before").overload())?
            .map_err(|_| DeliveryError::retry("closed", "the endpoint is closed"))?;
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut queue = lock(&self.shared.queue);
            queue.waiting.push_back(Job { lines, deadline, reply, _slot: slot });
            !std::mem::replace(&mut queue.busy, true)
        };
        if start {
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_blocking(move || shared.write());
        }
        match timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DeliveryError::retry("io", "the writer of the file ended")),
            Err(_) => Err(late("writing").overload()),
        }
    }
}

impl Shared {
    /// Writes until nothing waits.
    fn write(&self) {
        let _idle = IdleAfter(self);
        let mut file = lock(&self.file);
        while let Some(jobs) = self.next_jobs() {
            let deadline = jobs.iter().map(|job| job.deadline).max().unwrap_or_else(Instant::now);
            let written = match &jobs[..] {
                [job] => file.append(&job.lines, deadline),
                jobs => {
                    let lines: Vec<&[u8]> = jobs.iter().map(|job| &job.lines[..]).collect();
                    file.append(&lines.concat(), deadline)
                }
            };
            for job in jobs {
                if job.reply.send(written.clone()).is_err() {
                    tracing::debug!("lines were written whose delivery had ended; they will come again");
                }
            }
        }
    }

    /// What is to be written together; `None` where nothing waits, and then the writer is idle.
    fn next_jobs(&self) -> Option<Vec<Job>> {
        let mut queue = lock(&self.queue);
        queue.waiting.retain(|job| !job.reply.is_closed());
        let (mut count, mut bytes) = (0, 0);
        for job in &queue.waiting {
            bytes += job.lines.len();
            if count > 0 && bytes > MAX_WRITE_BYTES {
                break;
            }
            count += 1;
        }
        if count == 0 {
            queue.busy = false;
            return None;
        }
        Some(queue.waiting.drain(..count).collect())
    }
}

/// Lets the next call start a writer, should this one panic. Its jobs' senders are dropped then.
struct IdleAfter<'a>(&'a Shared);

impl Drop for IdleAfter<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = lock(&self.0.queue);
            queue.waiting.clear();
            queue.busy = false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Endpoint for FileEndpoint {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        if batch.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for delivery in &batch {
            lines.extend_from_slice(&envelope::json::encode(&delivery.message));
            lines.push(b'\n');
        }
        let written = self.append(lines).await;
        batch.iter().map(|_| written.clone()).collect()
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        let shared = Arc::clone(&self.shared);
        let deadline = Instant::now() + self.timeout;
        let tested = tokio::task::spawn_blocking(move || lock(&shared.file).test(deadline));
        match timeout_at(deadline.into(), tested).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DeliveryError::retry("io", "the test of the file ended")),
            Err(_) => Err(DeliveryError::retry("timeout", "the file is busy").overload()),
        }
    }

    async fn close(&self) {
        let all =
            timeout_at((Instant::now() + self.timeout).into(), self.slots.acquire_many(MAX_WAITING)).await;
        if all.is_err() {
            tracing::warn!("the file is closed while lines wait for the disk; they will come again");
        }
        self.slots.close();
        if let Ok(mut file) = self.shared.file.try_lock() {
            file.close();
        }
    }
}
