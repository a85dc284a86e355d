//! A change of a running bus: routes, endpoints and flow control, while messages flow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use busway_core::{Error, ErrorKind, Result};

use crate::board::Board;
use crate::options::{EndpointSpec, FlowOptions, Room};
use crate::readback::prove_lanes;
use crate::routes::{RouteSpec, Routes};
use crate::runtime::Runtime;
use crate::target::{Setting, Target};

/// What a running bus is to go by from now on.
pub struct Change {
    /// Endpoints that are new or treated otherwise. One that is not named stays as it is: what waits for
    /// it is still delivered, whether or not a route names it.
    pub endpoints: BTreeMap<String, EndpointSpec>,
    /// All routes.
    pub routes: Vec<RouteSpec>,
    /// Flow control. The backlog, deadline and lease of the start stay.
    pub flow: FlowOptions,
}

impl Runtime {
    /// Changes what the bus goes by, while messages flow: all of it or, where it fails, nothing. Each
    /// message is routed by the routes before or after it, never by a mixture. A call under way ends by
    /// the settings it began with. Gates, breakers, lanes and what is parked survive.
    ///
    /// Cancelled, nothing is changed.
    ///
    /// # Errors
    /// `Configuration` where an endpoint's kind or order would change, or what a start would refuse;
    /// `Conflict` while another change is under way; `Closed` on a bus that does not deliver; those of
    /// the transport and the state store.
    pub async fn change(&self, change: Change) -> Result<()> {
        let _alone = Alone::enter(&self.changing)?;
        if !self.delivers() || self.engine.drains() {
            return Err(refused(ErrorKind::Closed, "the bus does not take messages in"));
        }
        let board = self.engine.desks.board.load_full();
        self.check(&board, &change)?;
        let room = change.flow.room(board.targets.len() + self.unknown(&board, &change).count());
        let added = self.prepare(&board, &change, room).await?;
        let targets: Vec<Arc<Target>> = board.targets.iter().chain(&added).cloned().collect();
        let names: Vec<Arc<str>> = targets.iter().map(|target| Arc::clone(&target.name)).collect();
        let routes = Routes::compile(&change.routes, &names)?;
        self.put_in_force(Board { routes, targets }, &added, change, room)
    }

    fn check(&self, board: &Board, change: &Change) -> Result<()> {
        change.flow.check()?;
        for (name, spec) in &change.endpoints {
            spec.check(name, &*self.engine.transport)?;
            let Some(target) = board.target(name) else { continue };
            let kind = target.settings.load().spec.endpoint.kind();
            if spec.endpoint.kind() != kind || spec.order != target.lanes.by() {
                let detail = "its kind and its order stay for as long as the bus runs";
                return Err(refused(ErrorKind::Configuration, detail).at(format!("endpoint {name}")));
            }
        }
        Ok(())
    }

    fn unknown<'a>(
        &self,
        board: &'a Board,
        change: &'a Change,
    ) -> impl Iterator<Item = (&'a String, &'a EndpointSpec)> {
        change.endpoints.iter().filter(|(name, _)| board.target(name).is_none())
    }

    /// The endpoints that are new, each brought to where it was left.
    async fn prepare(&self, board: &Board, change: &Change, room: Room) -> Result<Vec<Arc<Target>>> {
        let mut added = Vec::new();
        for (place, (name, spec)) in self.unknown(board, change).enumerate() {
            let into = Setting {
                bus: self.bus(),
                room,
                workers: &self.engine.desks.workers,
                desk: &self.engine.desk,
                origin: &self.engine.desks.origin,
                io: &self.engine.io,
            };
            let target = Target::new(name, board.targets.len() + place, spec.clone(), &into);
            self.memory.recall_gate(&target).await?;
            // Nothing is parked for it now that it does not know of: nothing is routed to it yet.
            prove_lanes(&self.engine, &target).await?;
            added.push(target);
        }
        Ok(added)
    }

    /// From here on nothing fails but for a bus that has stopped meanwhile.
    fn put_in_force(&self, board: Board, added: &[Arc<Target>], change: Change, room: Room) -> Result<()> {
        let engine = &self.engine;
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // A stop looks at the watches only after it has said so.
        let front = threads.get(1).filter(|_| !self.stopped.load(Ordering::Acquire));
        let front = front.ok_or_else(|| refused(ErrorKind::Closed, "the bus has stopped"))?;
        engine.desks.workers.grow(board.targets.len());
        for target in added {
            target.wake_for_workers();
            watches.push(self.crew.board_subscriber(front, target));
        }
        for target in &board.targets {
            match change.endpoints.get(&*target.name) {
                Some(spec) => target.change(spec.clone(), room),
                None => target.share_room(room),
            }
        }
        self.unread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|name, _| board.target(name).is_none());
        let flow = &change.flow;
        engine.credit.resize(flow.credit, flow.credit_bytes);
        engine.shared_credit.resize(usize::MAX / 2, room.bytes);
        engine.desks.lock_shares().set_rules(flow.max_share, flow.window);
        engine.desks.board.store(Arc::new(board));
        engine.desks.workers.set_total(flow.workers);
        engine.desks.replaced.notify_waiters();
        engine.added.ring();
        Ok(())
    }
}

/// Held while a change is under way.
struct Alone<'a>(&'a AtomicBool);

impl<'a> Alone<'a> {
    fn enter(changing: &'a AtomicBool) -> Result<Self> {
        if changing.swap(true, Ordering::AcqRel) {
            return Err(refused(ErrorKind::Conflict, "another change is under way"));
        }
        Ok(Self(changing))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn refused(kind: ErrorKind, detail: &str) -> Error {
    Error::new("change", kind, detail.to_owned())
}
