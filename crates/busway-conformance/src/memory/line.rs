//! One queue: its messages in order, and which of them can be handed out now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use busway_core::Message;
use busway_core::clock::Millis;
use busway_core::transport::{Group, Standing};

/// The place in a group of those that were given none.
const LAST: u64 = u64::MAX;

/// One queue.
#[derive(Default)]
pub(super) struct Line {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    /// What can be handed out, in the order in which it is: high priority first, then position.
    ready: BTreeSet<(Reverse<u8>, u64)>,
    waiting: BTreeSet<(Millis, u64)>,
    groups: HashMap<GroupName, Members>,
}

/// One message of a queue.
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) deliveries: u32,
    pub(super) enqueued: Millis,
    stage: Stage,
    group: Option<Place>,
}

impl Entry {
    /// Its place in the order: what its group gave it, else the position it was taken in.
    pub(super) fn place(&self, position: u64) -> u64 {
        let given = self.group.as_ref().map(|place| place.position);
        given.filter(|given| *given != LAST).unwrap_or(position)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Due. A member of a group may still have to wait for those before it.
    Due,
    Waiting(Millis),
    Held,
}

/// Groups are those of one destination.
type GroupName = (Option<String>, u64);

#[derive(Clone)]
struct Place {
    name: GroupName,
    /// Those without a position given stand behind all that have one.
    position: u64,
}

#[derive(Default)]
struct Members {
    order: BTreeSet<(u64, u64)>,
    held: bool,
    /// The member that stands in `ready`.
    admitted: Option<(Reverse<u8>, u64)>,
}

impl Line {
    /// Adds a message at the end; `deliver_at` and its group decide when it can be handed out.
    pub(super) fn push(&mut self, message: Message, group: Option<Group>, now: Millis) {
        let position = self.next;
        self.next += 1;
        let place = group.map(|group| Place {
            name: (message.destination.clone(), group.key),
            position: group.position.unwrap_or(LAST),
        });
        if let Some(place) = &place {
            self.groups.entry(place.name.clone()).or_default().order.insert((place.position, position));
        }
        let due = message.deliver_at.filter(|due| *due > now);
        let entry = Entry { message, deliveries: 0, enqueued: now, stage: Stage::Held, group: place };
        self.entries.insert(position, entry);
        self.stage(position, due);
    }

    /// Marks a message as handed out.
    pub(super) fn hold(&mut self, position: u64) -> Option<&Entry> {
        let entry = self.entries.get_mut(&position)?;
        entry.stage = Stage::Held;
        entry.deliveries += 1;
        self.ready.remove(&(Reverse(entry.message.priority), position));
        if let Some(place) = entry.group.clone() {
            if let Some(members) = self.groups.get_mut(&place.name) {
                members.held = true;
            }
            self.refresh(&place.name);
        }
        self.entries.get(&position)
    }

    /// The same after an outcome: the deliveries before it are forgotten.
    pub(super) fn put_back(&mut self, position: u64, due: Option<Millis>) {
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.deliveries = 0;
        }
        self.give_back(position, due);
    }

    /// Takes a message back into its old place, to be handed out at once, or not before `due`.
    pub(super) fn give_back(&mut self, position: u64, due: Option<Millis>) {
        let name = self.entries.get(&position).and_then(|entry| entry.group.as_ref()).map(|g| g.name.clone());
        if let Some(members) = name.and_then(|name| self.groups.get_mut(&name)) {
            members.held = false;
        }
        self.stage(position, due);
    }

    /// Removes a message, in hand or not.
    pub(super) fn remove(&mut self, position: u64) -> Option<Entry> {
        let entry = self.entries.remove(&position)?;
        self.ready.remove(&(Reverse(entry.message.priority), position));
        if let Stage::Waiting(due) = entry.stage {
            self.waiting.remove(&(due, position));
        }
        if let Some(place) = &entry.group {
            if let Some(members) = self.groups.get_mut(&place.name) {
                members.order.remove(&(place.position, position));
                members.held = members.held && entry.stage != Stage::Held;
            }
            self.refresh(&place.name);
        }
        Some(entry)
    }

    /// The message at this position, to change its attributes while it is in hand.
    pub(super) fn message_mut(&mut self, position: u64) -> Option<&mut Message> {
        self.entries.get_mut(&position).map(|entry| &mut entry.message)
    }

    /// Lets in what has come due.
    pub(super) fn sweep(&mut self, now: Millis) {
        while let Some((due, position)) = self.waiting.first().copied() {
            if due > now {
                break;
            }
            self.waiting.remove(&(due, position));
            self.stage(position, None);
        }
    }

    /// What can be handed out, in order.
    pub(super) fn ready(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.ready.iter().filter_map(|(_, position)| Some((*position, self.entries.get(position)?)))
    }

    /// Every message, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(position, entry)| (*position, entry))
    }

    /// When the next waiting message comes due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Where a message stands.
    pub(super) fn standing(&self, position: u64, entry: &Entry) -> Standing {
        match entry.stage {
            Stage::Held => Standing::InFlight,
            Stage::Waiting(due) => Standing::Delayed(due),
            Stage::Due if self.ready.contains(&(Reverse(entry.message.priority), position)) => {
                Standing::Ready
            }
            Stage::Due => Standing::Behind,
        }
    }

    /// Whether an earlier message of its group has a due time that has not come.
    pub(super) fn behind_delayed(&self, position: u64, entry: &Entry) -> bool {
        let Some(place) = &entry.group else { return false };
        let Some(members) = self.groups.get(&place.name) else { return false };
        members.order.range(..(place.position, position)).any(|(_, earlier)| {
            self.entries.get(earlier).is_some_and(|entry| matches!(entry.stage, Stage::Waiting(_)))
        })
    }

    fn stage(&mut self, position: u64, due: Option<Millis>) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        let key = (Reverse(entry.message.priority), position);
        entry.stage = due.map_or(Stage::Due, Stage::Waiting);
        let group = entry.group.as_ref().map(|place| place.name.clone());
        if let Some(due) = due {
            self.waiting.insert((due, position));
        }
        match group {
            Some(name) => self.refresh(&name),
            None if due.is_none() => {
                self.ready.insert(key);
            }
            None => {}
        }
    }

    /// Lets in the head of a group where nothing of the group is in hand and the head is due.
    fn refresh(&mut self, name: &GroupName) {
        let Some(members) = self.groups.get_mut(name) else { return };
        if let Some(admitted) = members.admitted.take() {
            self.ready.remove(&admitted);
        }
        let Some((_, head)) = members.order.first().copied() else {
            self.groups.remove(name);
            return;
        };
        let due = self.entries.get(&head).filter(|entry| entry.stage == Stage::Due);
        if let Some(entry) = due
            && !members.held
        {
            let key = (Reverse(entry.message.priority), head);
            members.admitted = Some(key);
            self.ready.insert(key);
        }
    }
}
