//! The records inside a group.

mod read;
mod write;

use busway_core::reason::Reason;
use busway_core::transport::Group;

pub(crate) use read::{Counts, Positions, Records, check_body};
pub(crate) use write::{
    Span, put_closed, put_counts, put_ends, put_moved, put_oldest, put_publication, put_queue, put_settled,
    put_waits, set_position,
};

/// What a record says.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// A message, or its copy moved to the log's head with all that had become of it.
    Message(MessageRecord<'a>),
    /// These positions are gone.
    Settled(Positions<'a>),
    /// A message waits again, in its old place.
    Waits { position: u64, waiting: Waiting },
    /// How often messages have been handed out.
    Counts(Counts<'a>),
    /// A queue and the number it goes by in this log.
    Queue { number: u16, name: &'a str },
    /// Files below this one are no longer part of the log.
    Oldest(u32),
    /// The file ends here; the next one exists.
    Ends { next: u32 },
    /// The store was closed in order.
    Closed,
}

/// What a retried or parked message waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) due: u64,
    pub(crate) attempt: u32,
    pub(crate) parked: u64,
    pub(crate) reason: Reason,
}

impl Waiting {
    /// Sets what it changes in the message as it was published.
    pub(crate) fn put_on(&self, message: &mut busway_core::Message) {
        message.reason = Some(self.reason.clone());
        message.attempt = self.attempt;
        message.deliver_at = Some(self.due);
        message.parked = Some(self.parked);
    }
}

/// A stored message without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) queue: u16,
    pub(crate) priority: u8,
    /// Memory it takes while held ([`busway_core::Message::weight`]).
    pub(crate) weight: u32,
    pub(crate) attempt: u32,
    pub(crate) due: u64,
    pub(crate) accepted: u64,
    pub(crate) group: Option<Group>,
}

/// A message record as it stands in a group.
#[derive(Debug)]
pub(crate) struct MessageRecord<'a> {
    pub(crate) position: u64,
    pub(crate) meta: Meta,
    pub(crate) waited: Option<(u64, Reason)>,
    pub(crate) deliveries: u32,
    pub(crate) body: &'a [u8],
    /// Offset of the body within the bytes that were read.
    pub(crate) body_at: usize,
}

/// Bytes directly before a body: when it was enqueued, its length, its checksum.
pub(crate) const BODY_PREFIX: usize = 16;

/// About how much a message takes on disk beside its body.
pub(crate) const MESSAGE_OVERHEAD: u64 = (FIXED + BODY_PREFIX) as u64;

const FIXED: usize = 37;
const POSITION_AT: usize = 9;

mod kind {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const SETTLED: u8 = 2;
    pub(super) const WAITS: u8 = 3;
    pub(super) const COUNTS: u8 = 4;
    pub(super) const QUEUE: u8 = 5;
    pub(super) const OLDEST: u8 = 6;
    pub(super) const ENDS: u8 = 7;
    pub(super) const CLOSED: u8 = 8;
}

mod flag {
    pub(super) const GROUPED: u8 = 1;
    pub(super) const WAITED: u8 = 2;
    pub(super) const COUNTED: u8 = 4;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use busway_core::transport::Publication;
    use busway_core::{Message, Queue};

    use super::*;
    use crate::codec;

    #[test]
    fn a_group_of_every_record_is_read_back() {
        let mut out = Vec::new();
        let mut publication = Publication::new(Queue::Delayed, Message::new("t", "body").account("a"));
        publication.group = Some(Group { key: 5, position: Some(2) });
        let (meta, span) = put_publication(&mut out, &publication, 3, 1000);
        set_position(&mut out, span.record, 42);
        let moved = out[span.body - BODY_PREFIX..].to_vec();
        put_moved(&mut out, &meta, 42, Some((9, &Reason::Share)), 7, &moved);
        put_settled(&mut out, &[1, 2]);
        let waiting = Waiting { due: 1, attempt: 2, parked: 3, reason: Reason::error("x") };
        put_waits(&mut out, 42, &waiting);
        put_counts(&mut out, &[(42, 8)]);
        put_queue(&mut out, 3, "delayed");
        put_oldest(&mut out, 6);
        put_ends(&mut out, 7);
        put_closed(&mut out);

        let mut records = Records::new(&out);
        for deliveries in [0, 7] {
            let Some(Record::Message(record)) = records.next().unwrap() else { panic!("a message") };
            assert_eq!((record.position, record.deliveries), (42, deliveries));
            assert_eq!(record.waited.is_some(), deliveries == 7);
            assert_eq!(record.meta.group, publication.group);
            assert_eq!(codec::decode(record.body).unwrap(), publication.message);
            let stored = &out[record.body_at - BODY_PREFIX..record.body_at + record.body.len()];
            assert_eq!(check_body(stored).unwrap(), (1000, record.body));
        }
        let Some(Record::Settled(gone)) = records.next().unwrap() else { panic!("settled") };
        assert_eq!(gone.iter().collect::<Vec<_>>(), [1, 2]);
        let Some(Record::Waits { position: 42, waiting: read }) = records.next().unwrap() else { panic!() };
        assert_eq!(read, waiting);
        let Some(Record::Counts(counts)) = records.next().unwrap() else { panic!("counts") };
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(42, 8)]);
        assert!(matches!(records.next().unwrap(), Some(Record::Queue { number: 3, name: "delayed" })));
        assert!(matches!(records.next().unwrap(), Some(Record::Oldest(6))));
        assert!(matches!(records.next().unwrap(), Some(Record::Ends { next: 7 })));
        assert!(matches!(records.next().unwrap(), Some(Record::Closed)));
        assert!(records.next().unwrap().is_none());
    }
}
