//! What became of a message: from the journal, and from the queues it stands in now.

use busway_core::admin::{Place, Trace, TraceEvent};
use busway_core::transport::{Filter, Selector};
use busway_core::{Queue, Result, clock};

use crate::options::QUEUES;
use crate::runtime::Runtime;

/// The most messages that are gone through in one queue.
const SEARCHED: u64 = 100_000;
/// The most copies of one message that are shown of one queue.
const COPIES: usize = 100;

impl Runtime {
    /// What the journal has of a message, and where it stands.
    pub(crate) async fn trace_of(&self, id: &str) -> Result<Option<Trace>> {
        let found = self.engine.journal.find(id).await?;
        let mut trace = Trace {
            id: id.to_owned(),
            r#type: found.r#type,
            account: found.account,
            events: found.events.into_iter().map(TraceEvent::from).collect(),
            missing: found.missing,
            cut_off: found.cut_off,
            since: found.since.map(clock::format_rfc3339),
            ..Trace::default()
        };
        for queue in &QUEUES {
            self.look_for(queue, &mut trace).await?;
        }
        let known = !trace.events.is_empty() || !trace.r#where.is_empty();
        if let (None, Some(place)) = (&trace.r#type, trace.r#where.first()) {
            trace.r#type = Some(place.row.r#type.clone());
            trace.account.clone_from(&place.row.account);
        }
        if trace.events.is_empty()
            && let Some(accepted) = trace.r#where.iter().find_map(|place| place.row.accepted.clone())
        {
            trace.events.push(TraceEvent {
                at: accepted,
                event: "accepted".to_owned(),
                ..TraceEvent::default()
            });
        }
        Ok(known.then_some(trace))
    }

    /// Adds where the message stands in a queue, unless there is too much in it to go through. The
    /// account narrows it down, where it is known.
    async fn look_for(&self, queue: &Queue, trace: &mut Trace) -> Result<()> {
        let of_account = Filter { account: trace.account.clone(), ..Filter::default() };
        let narrow =
            if of_account.is_empty() { Selector::All } else { Selector::Matching(of_account.clone()) };
        let depth = self.engine.transport.inspect(queue, &narrow).await?;
        let messages: u64 = [depth.ready, depth.delayed, depth.in_flight].into_iter().flatten().sum();
        if messages > SEARCHED {
            trace.not_searched.push(queue.to_string());
            return Ok(());
        }
        let selector = Selector::Matching(Filter { id: Some(trace.id.clone()), ..of_account });
        for peeked in self.engine.transport.peek(queue, &selector, 0, COPIES).await? {
            let row = self.peek_row(queue, &peeked, true);
            trace.r#where.push(Place { queue: queue.to_string(), row });
        }
        Ok(())
    }
}
