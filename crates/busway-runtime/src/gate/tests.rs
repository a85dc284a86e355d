#![allow(clippy::unwrap_used)]
use super::*;

fn plain(limit: usize) -> Arc<Gate> {
    Gate::new(limit, 1, Room { messages: 100, bytes: 1000 })
}

fn fill(gate: &Arc<Gate>, way: Way, account: &str) -> Vec<Ticket> {
    std::iter::from_fn(|| gate.enter(way, account, 10).ok()).collect()
}

#[test]
fn direct_messages_and_a_backlog_have_half_the_room_each() {
    let gate = plain(4);
    gate.set_backlog(true);
    let direct = fill(&gate, Way::Direct, "a");
    assert_eq!(direct.len(), 4);
    drop(direct);
    let read_back = fill(&gate, Way::ReadBack, "");
    assert_eq!(read_back.len(), 4);
    let direct = fill(&gate, Way::Direct, "a");
    assert_eq!(direct.len(), 2);
    assert_eq!(gate.enter(Way::ReadBack, "", 0).err(), Some(Reason::Saturated));
    assert_eq!(gate.enter(Way::Direct, "a", 10).err(), Some(Reason::Saturated));
    assert!(gate.enter(Way::Direct, "b", 10).is_ok(), "a place is kept for who has few inside");
}

#[test]
fn one_account_leaves_room_to_the_others_and_a_loud_one_half() {
    let gate = plain(4);
    let alone = fill(&gate, Way::Direct, "a");
    assert_eq!(alone.len(), 6, "enough to keep four calls busy");
    let other = gate.enter(Way::Direct, "b", 10);
    assert!(other.is_ok());
    drop((alone, other));
    assert_eq!(fill(&gate, Way::Loud, "a").len(), 4);
    assert_eq!(gate.free_to_loud(), 4, "a place is free again when its ticket is dropped");
}

#[test]
fn newcomers_leave_room_to_a_backlog() {
    for (limit, least) in [(1, 1), (4, 2), (16, 8)] {
        let gate = plain(limit);
        gate.set_backlog(true);
        let newcomers: Vec<_> =
            (0..100).filter_map(|n| gate.enter(Way::Direct, &format!("a{n}"), 10).ok()).collect();
        assert!(newcomers.len() >= limit, "{} of {limit} calls", newcomers.len());
        assert_eq!(fill(&gate, Way::ReadBack, "").len(), least, "{limit} calls");
    }
}

#[test]
fn a_gate_holds_no_more_than_its_part_of_the_credit() {
    let few = Gate::new(2, 512, Room { messages: 8, bytes: 1000 });
    assert_eq!(fill(&few, Way::Direct, "a").len(), 6);
    let heavy = Gate::new(2, 512, Room { messages: 100, bytes: 25 });
    let direct = fill(&heavy, Way::Direct, "a");
    assert_eq!(direct.len(), 2);
    assert_eq!(heavy.enter(Way::Direct, "b", 10).err(), Some(Reason::Saturated));
    drop(direct);
    assert!(heavy.enter(Way::Direct, "b", 100).is_ok(), "one of any size, alone");
}

#[test]
fn a_paused_gate_lets_nothing_in_and_remembers_nothing_wrong() {
    let gate = plain(2);
    gate.set_paused(true);
    assert_eq!(gate.enter(Way::ReadBack, "", 0).err(), Some(Reason::Breaker));
    gate.set_paused(false);
    assert!(gate.enter(Way::ReadBack, "", 0).is_ok());
}

#[test]
fn retry_after_survives_into_the_next_process() {
    let gate = plain(2);
    gate.learn(0, &Err(DeliveryError::retry("status-503", "busy").after(Duration::from_secs(60))));
    assert!(gate.enter(Way::Direct, "a", 10).is_err());
    let next = plain(2);
    next.restore(&gate.memory());
    assert!(next.enter(Way::Direct, "a", 10).is_err());
    assert_eq!(next.describe().0, "waiting");
}

#[tokio::test]
async fn a_half_open_breaker_lets_one_probe_through() {
    let gate = plain(4);
    for _ in 0..10 {
        gate.learn(0, &Err(DeliveryError::retry("refused", "refused")));
    }
    assert!(gate.shut());
    let probe = tokio::time::timeout(Duration::from_secs(5), gate.read_back_places(10)).await.unwrap();
    assert_eq!(probe.len(), 1);
    assert!(gate.enter(Way::ReadBack, "", 0).is_err());
    gate.learn(1, &Ok(()));
    drop(probe);
    assert_eq!(gate.calls().1, 1, "a slow start");
    gate.learn(1, &Ok(()));
    assert_eq!(gate.calls().1, 2);
    gate.learn(1, &Ok(()));
    assert_eq!(gate.calls().1, 4);
}

#[tokio::test]
async fn calls_of_before_the_breaker_opened_are_neither_the_probe_nor_its_result() {
    let gate = plain(4);
    let hung: Vec<_> =
        (0..3).map(|_| (gate.enter(Way::Direct, "a", 10).unwrap(), gate.call().unwrap())).collect();
    for _ in 0..10 {
        gate.learn(0, &Err(DeliveryError::retry("refused", "refused")));
    }
    let patience = Duration::from_secs(30);
    let mut probe = tokio::time::timeout(patience, gate.read_back_places(10)).await.unwrap();
    assert_eq!(probe.len(), 1, "one, though others hang");
    gate.learn(0, &Ok(()));
    gate.learn(0, &Err(DeliveryError::retry("timeout", "timeout")));
    assert_eq!(gate.describe().0, "half-open");
    let call = gate.call().unwrap();
    assert!(gate.call().is_none(), "no second probe");
    assert_eq!(gate.calls().0, 4, "no more than its limit");
    gate.learn(call.opening(), &Ok(()));
    drop(call);
    assert_eq!(gate.describe().0, "open");
    assert!(gate.call().is_some(), "those that hang do not stop the slow start");
    assert!(gate.enter(Way::Direct, "b", 10).is_ok());
    probe.clear();
    drop(hung);
    assert_eq!((gate.calls().0, gate.free_to_loud()), (0, 1));
}
