//! A set of slots by a hash that is computed from their entries: four bytes a slot.

use super::entry::NONE;

/// Open addressing with linear probing; at most three quarters full.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<u32>,
    used: usize,
}

impl Table {
    /// The slot with this hash that `is` accepts.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.row_of(hash, is).map(|row| self.rows[row])
    }

    /// Puts `new` into the row of the slot that `is` accepts; whether there was one.
    pub(crate) fn replace(&mut self, hash: u64, is: impl Fn(u32) -> bool, new: u32) -> bool {
        let row = self.row_of(hash, is);
        if let Some(row) = row {
            self.rows[row] = new;
        }
        row.is_some()
    }

    /// Adds a slot that is not in it; `hash_of` gives the hashes of those that are.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 4 > self.rows.len() * 3 {
            self.resize((self.rows.len() * 2).max(16), &hash_of);
        }
        self.place(hash, slot);
        self.used += 1;
    }

    /// Takes out the slot that `is` accepts.
    pub(crate) fn remove(&mut self, hash: u64, is: impl Fn(u32) -> bool, hash_of: impl Fn(u32) -> u64) {
        let Some(mut hole) = self.row_of(hash, is) else { return };
        let mask = self.rows.len() - 1;
        let mut row = hole;
        loop {
            row = (row + 1) & mask;
            let slot = self.rows[row];
            if slot == NONE {
                break;
            }
            let home = hash_of(slot) as usize & mask;
            // The slot may fill the hole unless its own home lies between the hole and itself.
            if (row.wrapping_sub(home) & mask) >= (row.wrapping_sub(hole) & mask) {
                self.rows[hole] = slot;
                hole = row;
            }
        }
        self.rows[hole] = NONE;
        self.used -= 1;
        if self.rows.len() > 64 && self.used * 8 < self.rows.len() {
            self.resize(self.rows.len() / 2, &hash_of);
        }
    }

    fn row_of(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.rows.len().checked_sub(1)?;
        let mut row = hash as usize & mask;
        while self.rows[row] != NONE {
            if is(self.rows[row]) {
                return Some(row);
            }
            row = (row + 1) & mask;
        }
        None
    }

    fn place(&mut self, hash: u64, slot: u32) {
        let mask = self.rows.len() - 1;
        let mut row = hash as usize & mask;
        while self.rows[row] != NONE {
            row = (row + 1) & mask;
        }
        self.rows[row] = slot;
    }

    fn resize(&mut self, rows: usize, hash_of: &impl Fn(u32) -> u64) {
        let old = std::mem::replace(&mut self.rows, vec![NONE; rows]);
        for slot in old.into_iter().filter(|slot| *slot != NONE) {
            self.place(hash_of(slot), slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_holds_what_a_set_holds() {
        // Few different hashes, so that rows collide and wrap around.
        let hash = |slot: u32| u64::from(slot % 7) * 3;
        let mut rng = fastrand::Rng::with_seed(3);
        let mut table = Table::default();
        let mut set = HashSet::new();
        for _ in 0..20_000 {
            let slot = rng.u32(0..120);
            if set.contains(&slot) {
                table.remove(hash(slot), |other| other == slot, hash);
                set.remove(&slot);
            } else {
                table.insert(hash(slot), slot, hash);
                set.insert(slot);
            }
            let probe = rng.u32(0..120);
            let found = table.find(hash(probe), |other| other == probe).is_some();
            assert_eq!(found, set.contains(&probe));
        }
    }
}
