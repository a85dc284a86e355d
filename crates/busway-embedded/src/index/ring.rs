//! Whose turn it is.

use super::entry::NONE;
use super::lane::Lane;
use super::pool::Pool;

/// Lanes that have something ready, in turn: a circle linked through the lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// The lane whose turn it is.
    pub(super) head: u32,
    /// Messages it has been given in this turn.
    pub(super) served: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self { head: NONE, served: 0 }
    }
}

/// A lane's neighbours in a ring.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) previous: u32,
    pub(super) next: u32,
}

/// Which of a lane's two rings.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Destination = 0,
    Queue = 1,
}

impl Ring {
    pub(super) fn push(&mut self, lanes: &mut Pool<Lane>, of: Of, lane: u32) {
        if self.head == NONE {
            lanes[lane].links[of as usize] = Link { previous: lane, next: lane };
            self.head = lane;
            self.served = 0;
            return;
        }
        let last = lanes[self.head].links[of as usize].previous;
        lanes[lane].links[of as usize] = Link { previous: last, next: self.head };
        lanes[last].links[of as usize].next = lane;
        lanes[self.head].links[of as usize].previous = lane;
    }

    pub(super) fn remove(&mut self, lanes: &mut Pool<Lane>, of: Of, lane: u32) {
        let Link { previous, next } = lanes[lane].links[of as usize];
        if self.head == lane {
            self.head = if next == lane { NONE } else { next };
            self.served = 0;
        }
        lanes[previous].links[of as usize].next = next;
        lanes[next].links[of as usize].previous = previous;
    }

    /// Ends the turn of the lane whose turn it is.
    pub(super) fn turn(&mut self, lanes: &Pool<Lane>, of: Of) {
        self.head = self.following(lanes, of);
        self.served = 0;
    }

    /// The lane whose turn comes next.
    pub(super) fn following(&self, lanes: &Pool<Lane>, of: Of) -> u32 {
        lanes[self.head].links[of as usize].next
    }
}
