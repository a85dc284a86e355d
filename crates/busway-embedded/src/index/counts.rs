//! How much stands where.

use super::entry::State;

/// How many messages stand how, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ready: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    pub(super) fn change(&mut self, from: State, to: State) {
        if let Some(count) = self.of(from) {
            *count -= 1;
        }
        if let Some(count) = self.of(to) {
            *count += 1;
        }
    }

    fn of(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Ready => Some(&mut self.ready),
            State::Leased => Some(&mut self.in_flight),
            State::Delayed | State::Behind => Some(&mut self.delayed),
            State::Free | State::Hidden => None,
        }
    }
}
