//! What each record of the log does to the index when it is read again.

use busway_core::Queue;

use super::{Replay, Stop};
use crate::codec;
use crate::index::{Arrival, Now, Place};
use crate::log::frame::HIGHEST;
use crate::log::record::{MessageRecord, Record, Records, Waiting};

impl Replay {
    pub(super) fn replay(
        &mut self,
        segment: u32,
        offset: u32,
        payload: &[u8],
        next: &mut Option<u32>,
    ) -> Result<(), Stop> {
        let bad = |detail: &dyn std::fmt::Display| Stop::Record(offset.into(), detail.to_string());
        let mut records = Records::new(payload);
        self.orderly = false;
        while let Some(record) = records.next().map_err(|error| bad(&error))? {
            if next.is_some() {
                return Err(bad(&"there is more after the file's end"));
            }
            match record {
                Record::Message(message) => self.message(segment, offset, &message).map_err(|e| bad(&e))?,
                Record::Settled(positions) => positions.iter().for_each(|position| self.settled(position)),
                Record::Waits { position, waiting } => {
                    if let Some(slot) = self.slots.get(&position) {
                        self.index.set_waiting(*slot, &waiting);
                        self.index.entries[*slot].deliveries = 0;
                    }
                }
                Record::Counts(counts) => {
                    for (position, deliveries) in counts.iter() {
                        if let Some(slot) = self.slots.get(&position) {
                            self.index.entries[*slot].deliveries = deliveries;
                        }
                    }
                }
                Record::Queue { number, name } => {
                    let queue = Queue::parse(name).map_err(|error| bad(&error))?;
                    self.numbers.insert(number, self.index.declare(&queue));
                    if self.numbers.get(&number) != Some(&number) {
                        return Err(bad(&format!("queue {name} has number {number} out of turn")));
                    }
                }
                Record::Oldest(oldest) => self.oldest = self.oldest.max(oldest),
                Record::Ends { next: id } => *next = Some(id),
                Record::Closed => self.orderly = true,
            }
        }
        Ok(())
    }

    fn message(&mut self, segment: u32, offset: u32, record: &MessageRecord<'_>) -> Result<(), String> {
        if record.position > HIGHEST {
            return Err(format!("there is no position {}", record.position));
        }
        let length = record.body.len() as u32;
        let place = Place { segment, offset: offset + record.body_at as u32, length };
        if let Some(slot) = self.slots.get(&record.position) {
            if self.index.entries[*slot].length != length {
                return Err(format!("position {} stands for two messages", record.position));
            }
            self.index.moved(*slot, place);
            let (due, attempt) = (record.meta.due, record.meta.attempt);
            let entry = &mut self.index.entries[*slot];
            (entry.due, entry.attempt, entry.deliveries) = (due, attempt, record.deliveries);
            // The file that said so may be gone, though the one with the original could not be removed.
            if let Some((parked, reason)) = record.waited.clone() {
                self.index.set_waiting(*slot, &Waiting { due, attempt, parked, reason });
            }
            return Ok(());
        }
        if !self.numbers.contains_key(&record.meta.queue) {
            return Err(format!("queue number {} was never declared", record.meta.queue));
        }
        let (account, destination) = codec::decode_party(record.body).map_err(|error| error.to_string())?;
        let slot = self.index.restore(&Arrival {
            position: record.position,
            meta: &record.meta,
            place,
            destination,
            account,
            waited: record.waited.clone(),
            deliveries: record.deliveries,
        });
        self.slots.insert(record.position, slot);
        Ok(())
    }

    fn settled(&mut self, position: u64) {
        if let Some(slot) = self.slots.remove(&position) {
            // Nothing is exposed yet, so no due time is looked at.
            self.index.remove(slot, Now { wall: 0, steady: 0 });
        }
    }
}
