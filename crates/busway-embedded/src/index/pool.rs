//! Things by number, and a hasher for numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Values by number; numbers are used again.
pub(crate) struct Pool<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.items[number as usize] = Some(item);
            return number;
        }
        self.items.push(Some(item));
        (self.items.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let item = self.items.get_mut(number as usize)?.take();
        if item.is_some() {
            self.free.push(number);
        }
        item
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.items.get(number as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.items.get_mut(number as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.items).filter_map(|(number, item)| Some((number, item.as_ref()?)))
    }
}

impl<T> std::ops::Index<u32> for Pool<T> {
    type Output = T;

    #[expect(clippy::expect_used, reason = "a number that names nothing is a fault in this crate")]
    fn index(&self, number: u32) -> &T {
        self.items[number as usize].as_ref().expect("a number in use")
    }
}

impl<T> std::ops::IndexMut<u32> for Pool<T> {
    #[expect(clippy::expect_used, reason = "a number that names nothing is a fault in this crate")]
    fn index_mut(&mut self, number: u32) -> &mut T {
        self.items[number as usize].as_mut().expect("a number in use")
    }
}

/// A map whose keys are numbers.
pub(crate) type NumberMap<K, V> = HashMap<K, V, NumberHash>;

/// Hashes numbers with one multiplication each, differently in every map.
#[derive(Clone)]
pub(crate) struct NumberHash(u64);

impl Default for NumberHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for NumberHash {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        NumberHasher(self.0)
    }
}

/// The state of [`NumberHash`].
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}
