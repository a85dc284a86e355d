//! The servers that are delivered to: one that fails by turns, one that keeps order, one that is not asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::load::Board;
use crate::harness::{Arrived, Conversation, Peer};

/// How long each part of the flapping one's round lasts.
const TURN: Duration = Duration::from_millis(900);
const SLOW: Duration = Duration::from_millis(400);

/// All of them.
pub(super) struct Peers {
    pub(super) flapping: Peer,
    pub(super) ordered: Peer,
    pub(super) forgotten: Peer,
    healed: Arc<AtomicBool>,
}

impl Peers {
    pub(super) fn start(board: &Arc<Board>) -> Self {
        let healed = Arc::new(AtomicBool::new(false));
        let (begun, well) = (Instant::now(), Arc::clone(&healed));
        let flapping = answering(board, "flapping", move |_| {
            if well.load(Ordering::SeqCst) {
                return Some(200);
            }
            match begun.elapsed().as_millis() / TURN.as_millis() % 8 {
                5 => Some(503),
                6 => None,
                7 => {
                    thread::sleep(SLOW);
                    Some(200)
                }
                _ => Some(200),
            }
        });
        let (requests, well) = (AtomicU64::new(0), Arc::clone(&healed));
        let order = Arc::clone(board);
        let ordered = answering(board, "ordered", move |arrived| {
            let request = requests.fetch_add(1, Ordering::SeqCst);
            if request % 17 == 5 && !well.load(Ordering::SeqCst) {
                return Some(500);
            }
            let number = std::str::from_utf8(&arrived.body).unwrap().parse().unwrap();
            order.order.delivered(arrived.header("ce-partitionkey").unwrap(), number);
            Some(200)
        });
        let forgotten = answering(board, "forgotten", |_| Some(200));
        Self { flapping, ordered, forgotten, healed }
    }

    /// None of them fails from now on.
    pub(super) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }
}

/// One that counts what it answers with success, before it does.
fn answering(
    board: &Arc<Board>,
    name: &'static str,
    answer: impl Fn(&Arrived) -> Option<u16> + Send + Sync + 'static,
) -> Peer {
    let board = Arc::clone(board);
    Peer::scripted(move |conversation: &mut Conversation, _| {
        while let Some(arrived) = conversation.read() {
            let Some(status) = answer(&arrived) else { return };
            if status == 200 {
                board.delivered(name, &arrived.id());
            }
            if conversation.answer(status).is_err() {
                return;
            }
        }
    })
}
