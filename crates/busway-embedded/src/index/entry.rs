//! What is kept in memory of a stored message: 96 bytes, no text and no payload.

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The slot is free.
    Free,
    /// In no structure, for as long as a change takes.
    Hidden,
    /// In its lane, can be handed out.
    Ready,
    /// Waits for a moment.
    Delayed,
    /// Behind another message of its group.
    Behind,
    /// Handed out.
    Leased,
}

/// A stored message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its own number, never used twice.
    pub(crate) position: u64,
    /// Its place in the order: the position that its group gave it, else its own.
    pub(crate) order: u64,
    pub(crate) due: u64,
    pub(crate) accepted: u64,
    pub(crate) parked: u64,
    /// The group's key, where it is [`Entry::GROUPED`].
    pub(crate) group: u64,
    pub(crate) segment: u32,
    /// Offset of the body in its file.
    pub(crate) offset: u32,
    /// Bytes of the body.
    pub(crate) length: u32,
    pub(crate) weight: u32,
    pub(crate) lane: u32,
    /// Number of the reason it waits for, where it is [`Entry::WAITED`].
    pub(crate) reason: u32,
    pub(crate) attempt: u32,
    pub(crate) deliveries: u32,
    /// Neighbours in its group; `next` also links free slots.
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) priority: u8,
    pub(crate) flags: u8,
    pub(crate) state: State,
}

const _: () = assert!(size_of::<Entry>() <= 96);

impl Entry {
    /// It is in a group.
    pub(crate) const GROUPED: u8 = 1;
    /// Reason, attempt, due time and parking time are newer than those in its body.
    pub(crate) const WAITED: u8 = 2;
    /// Its group gave it its place.
    pub(crate) const PLACED: u8 = 4;
    /// It is kept back after it was dropped or could not be read.
    pub(crate) const HELD: u8 = 8;
    /// Its body is in the cache.
    pub(crate) const CACHED: u8 = 16;
    /// It is in its group's circle.
    pub(crate) const LINKED: u8 = 32;
    /// It is about to be removed without having been handed out.
    pub(crate) const SEIZED: u8 = 64;
    /// It is the first of its group, and another one of it is in hand.
    pub(crate) const BUSY: u8 = 128;

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// By what messages of one priority are ordered.
    pub(crate) fn key(&self) -> (u64, u64) {
        (self.order, self.position)
    }

    /// By what the messages of a group are ordered: those without a place of their own come after
    /// those that have one.
    pub(crate) fn group_key(&self) -> (u64, u64) {
        (if self.has(Self::PLACED) { self.order } else { u64::MAX }, self.position)
    }

    const FREE: Self = Self {
        position: 0,
        order: 0,
        due: 0,
        accepted: 0,
        parked: 0,
        group: 0,
        segment: 0,
        offset: 0,
        length: 0,
        weight: 0,
        lane: NONE,
        reason: NONE,
        attempt: 0,
        deliveries: 0,
        previous: NONE,
        next: NONE,
        priority: 0,
        flags: 0,
        state: State::Free,
    };
}

const CHUNK: usize = 1024;

/// Entries by slot, in chunks that are given back when they are empty. The lowest chunk with room
/// is filled first, so that a shrinking backlog frees memory.
#[derive(Default)]
pub(crate) struct Entries {
    chunks: Vec<Chunk>,
    with_room: std::collections::BTreeSet<u32>,
    /// A chunk that is empty and kept, so that a backlog about a boundary does not make and give
    /// back the same memory over and over.
    spare: Option<u32>,
}

struct Chunk {
    entries: Box<[Entry]>,
    free: u32,
    live: u32,
}

impl Entries {
    /// The number that every slot is below.
    pub(crate) fn slots(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    pub(crate) fn insert(&mut self, entry: Entry) -> u32 {
        let index = match self.with_room.first() {
            Some(index) => *index,
            None => {
                let index = self.chunks.len() as u32;
                self.chunks.push(Chunk { entries: Box::default(), free: 0, live: 0 });
                self.with_room.insert(index);
                index
            }
        };
        if self.spare == Some(index) {
            self.spare = None;
        }
        let chunk = &mut self.chunks[index as usize];
        if chunk.entries.is_empty() {
            chunk.entries = (1..=CHUNK as u32)
                .map(|next| Entry { next: if next == CHUNK as u32 { NONE } else { next }, ..Entry::FREE })
                .collect();
            chunk.free = 0;
        }
        let at = chunk.free;
        chunk.free = chunk.entries[at as usize].next;
        chunk.entries[at as usize] = entry;
        chunk.live += 1;
        if chunk.free == NONE {
            self.with_room.remove(&index);
        }
        index * CHUNK as u32 + at
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let index = slot / CHUNK as u32;
        let at = slot % CHUNK as u32;
        let chunk = &mut self.chunks[index as usize];
        chunk.entries[at as usize] = Entry { next: chunk.free, ..Entry::FREE };
        chunk.free = at;
        chunk.live -= 1;
        self.with_room.insert(index);
        if chunk.live == 0 {
            match self.spare {
                Some(_) => chunk.entries = Box::default(),
                None => self.spare = Some(index),
            }
        }
    }

    /// The entry in `slot`; `None` where the slot is free.
    pub(crate) fn get(&self, slot: u32) -> Option<&Entry> {
        let chunk = self.chunks.get(slot as usize / CHUNK)?;
        chunk.entries.get(slot as usize % CHUNK).filter(|entry| entry.state != State::Free)
    }
}

impl std::ops::Index<u32> for Entries {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        &self.chunks[slot as usize / CHUNK].entries[slot as usize % CHUNK]
    }
}

impl std::ops::IndexMut<u32> for Entries {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.chunks[slot as usize / CHUNK].entries[slot as usize % CHUNK]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn entry(position: u64) -> Entry {
        Entry { position, state: State::Hidden, ..Entry::FREE }
    }

    #[test]
    fn slots_are_used_again_and_empty_chunks_given_back() {
        let mut entries = Entries::default();
        let slots: Vec<u32> = (0..3000).map(|n| entries.insert(entry(n))).collect();
        assert!(slots.iter().zip(0..).all(|(slot, n)| entries[*slot].position == n));
        for slot in &slots[..2048] {
            entries.remove(*slot);
        }
        assert!(entries.get(slots[5]).is_none() && entries.get(slots[1500]).is_none());
        assert!(entries.chunks[1].entries.is_empty(), "one empty chunk is kept, the next given back");
        let again: Vec<u32> = (0..2048).map(|n| entries.insert(entry(n + 9000))).collect();
        assert!(again.iter().all(|slot| *slot < 2048), "low slots are filled first");
        assert_eq!(entries.slots(), 3072);
        assert_eq!(entries[slots[2999]].position, 2999);
    }
}
