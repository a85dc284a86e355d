//! The data queue of an actor: outside of it, so that it survives the actor's restart.
//!
//! A mailbox of actix loses what is in it when its actor dies. So the mailbox carries control
//! messages and one [`Poke`] at a time; the data lie here. What bounds an inbox is the credit that
//! each item holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix::prelude::*;

/// Tells an actor that there is something in its inbox.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(crate) struct Poke;

/// A data queue with one reader.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    bell: Bell,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), closed: false }), bell: Bell::default() }
    }
}

impl<T> Inbox<T> {
    /// Adds items in order and pokes the reader. After [`Inbox::close`] they are dropped.
    pub(crate) fn extend(&self, items: impl IntoIterator<Item = T>) {
        let mut items: VecDeque<T> = items.into_iter().collect();
        {
            let mut state = self.lock();
            if !state.closed {
                state.items.append(&mut items);
            }
        }
        // What a closed inbox did not take is dropped here, outside of the lock.
        drop(items);
        self.bell.ring();
    }

    /// Adds one item and pokes the reader.
    pub(crate) fn push(&self, item: T) {
        let refused = {
            let mut state = self.lock();
            if state.closed {
                Some(item)
            } else {
                state.items.push_back(item);
                None
            }
        };
        // Dropped outside of the lock.
        drop(refused);
        self.bell.ring();
    }

    /// Puts items back in front, in order, without a poke: the caller comes again by itself.
    pub(crate) fn put_back(&self, items: impl DoubleEndedIterator<Item = T>) {
        let mut items: VecDeque<T> = items.collect();
        let mut state = self.lock();
        if !state.closed {
            while let Some(item) = items.pop_back() {
                state.items.push_front(item);
            }
        }
        drop(state);
    }

    /// The first item.
    pub(crate) fn pop(&self) -> Option<T> {
        self.lock().items.pop_front()
    }

    /// Takes items from the front while `wanted` says so.
    pub(crate) fn take_while(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let queue = &mut self.lock().items;
        let count = queue.iter().take_while(|item| wanted(item)).count();
        queue.drain(..count).collect()
    }

    /// Looks at the first item in its place; a panic of `look` leaves it there.
    pub(crate) fn with_first<R>(&self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().items.front_mut().map(look)
    }

    /// Drops what is there and what still comes, and forgets the reader, at the end.
    pub(crate) fn close(&self) {
        self.bell.detach();
        let items = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.items)
        };
        drop(items);
    }

    /// Whether one of the first `most` items is as asked.
    pub(crate) fn any_of_first(&self, most: usize, asked: impl FnMut(&T) -> bool) -> bool {
        self.lock().items.iter().take(most).any(asked)
    }

    /// How many items are as asked.
    pub(crate) fn count(&self, asked: impl Fn(&T) -> bool) -> usize {
        self.lock().items.iter().filter(|item| asked(item)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// How the reader is told.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pokes whoever reads now, once until it has answered.
#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    reader: Mutex<Option<Recipient<Poke>>>,
}

impl Bell {
    /// Pokes the reader unless a poke is under way. Without a reader nothing happens: the next one
    /// looks by itself when it attaches.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(reader) = &*self.reader.lock().unwrap_or_else(PoisonError::into_inner)
        {
            reader.do_send(Poke);
        }
    }

    /// For the reader, before it looks: what is added from now on pokes again.
    pub(crate) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Makes `reader` the one that is poked, and pokes it for what is there already.
    pub(crate) fn attach(&self, reader: Recipient<Poke>) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        self.rung.store(false, Ordering::Release);
        self.ring();
    }

    /// Forgets the reader, at the end.
    pub(crate) fn detach(&self) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
