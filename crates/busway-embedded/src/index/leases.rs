//! Messages in hand. A token names one handing-out of one message and is never used twice, so a
//! late settle cannot touch what was handed out since.

use std::collections::BTreeSet;

use super::pool::Pool;

/// Names a lease: its number and how often that number has been used.
pub(crate) type Token = u64;

/// One message in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) slot: u32,
    pub(crate) receiver: u32,
    /// When it ends, by the steady clock; `None` while it is being settled.
    pub(crate) until: Option<u64>,
    generation: u32,
}

/// All messages in hand.
#[derive(Default)]
pub(crate) struct Leases {
    leases: Pool<Lease>,
    generation: u32,
    ends: BTreeSet<(u64, u32)>,
}

impl Leases {
    pub(crate) fn begin(&mut self, slot: u32, receiver: u32, until: u64) -> Token {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let number = self.leases.insert(Lease { slot, receiver, until: Some(until), generation });
        self.ends.insert((until, number));
        u64::from(generation) << 32 | u64::from(number)
    }

    /// The lease of a token, unless it has ended.
    pub(crate) fn get(&self, token: Token) -> Option<&Lease> {
        self.leases.get(token as u32).filter(|lease| lease.generation == (token >> 32) as u32)
    }

    /// Stops a lease from running out while its end is written; `None` where it has ended or is
    /// being settled already.
    pub(crate) fn freeze(&mut self, token: Token) -> Option<Lease> {
        let lease = *self.get(token)?;
        self.ends.remove(&(lease.until?, token as u32));
        if let Some(lease) = self.leases.get_mut(token as u32) {
            lease.until = None;
        }
        Some(lease)
    }

    /// Makes a lease end no sooner than at `until`; whether there is one.
    pub(crate) fn extend(&mut self, token: Token, until: u64) -> bool {
        let Some(old) = self.get(token).and_then(|lease| lease.until) else { return false };
        if until > old
            && let Some(lease) = self.leases.get_mut(token as u32)
        {
            lease.until = Some(until);
            self.ends.remove(&(old, token as u32));
            self.ends.insert((until, token as u32));
        }
        true
    }

    pub(crate) fn end(&mut self, token: Token) -> Option<Lease> {
        let lease = *self.get(token)?;
        if let Some(until) = lease.until {
            self.ends.remove(&(until, token as u32));
        }
        self.leases.remove(token as u32)
    }

    /// The token of a lease that has run out.
    pub(crate) fn first_over(&self, now: u64) -> Option<Token> {
        let (_, number) = self.ends.first().filter(|(until, _)| *until <= now)?;
        let lease = self.leases.get(*number)?;
        Some(u64::from(lease.generation) << 32 | u64::from(*number))
    }

    pub(crate) fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_names_a_later_lease() {
        let mut leases = Leases::default();
        let first = leases.begin(7, 0, 100);
        assert_eq!(leases.end(first).unwrap().slot, 7);
        let second = leases.begin(8, 0, 100);
        assert_eq!(first as u32, second as u32, "the number is used again");
        assert!(leases.get(first).is_none());
        assert!(leases.freeze(first).is_none());
        assert!(!leases.extend(first, 500));
        assert_eq!(leases.first_over(100), Some(second));
        assert!(leases.extend(second, 50) && leases.next_end() == Some(100), "never shortened");
        assert!(leases.extend(second, 500));
        assert_eq!(leases.first_over(499), None);
        assert!(leases.freeze(second).is_some() && leases.first_over(9999).is_none());
        assert!(leases.freeze(second).is_none(), "settled once");
    }
}
