//! A disk that is full or breaks while the store works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::transport::{Declare, Selector};
use busway_core::{ErrorClass, ErrorKind, Leased, Message, Outcome, Publication, Queue, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use tempfile::TempDir;

use crate::faults::Faulty;
use crate::support::{exactly, message, now};

struct Setup {
    home: TempDir,
    disk: Faulty,
    config: EmbeddedConfig,
    transport: Arc<EmbeddedTransport>,
}

async fn setup(change: impl FnOnce(&mut EmbeddedConfig)) -> Setup {
    let home = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    config.segment_bytes = 64 << 10;
    config.garbage_bytes = 16 << 10;
    config.idle_garbage_bytes = 16 << 10;
    config.reserve_bytes = 32 << 10;
    change(&mut config);
    let disk = Faulty::default();
    let transport = EmbeddedTransport::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    transport.declare(&[Queue::Priority, Queue::Dead], Declare::Create).await.unwrap();
    Setup { home, disk, config, transport }
}

impl Setup {
    async fn publish(&self, id: &str, size: usize) -> busway_core::Result<()> {
        let message = Message::new("t", ".".repeat(size)).id(id);
        let sender = self.transport.sender().await?;
        sender.publish(vec![Publication::new(Queue::Priority, message)]).await.remove(0)
    }

    async fn ids(&self) -> Vec<String> {
        let rows = self.transport.peek(&Queue::Priority, &Selector::All, 0, usize::MAX).await.unwrap();
        rows.into_iter().map(|row| row.message.id).collect()
    }

    /// Opens the store again, on the disk as it is.
    fn again(self) -> Self {
        let Self { home, disk, config, transport } = self;
        drop(transport);
        let disk_again = Arc::new(disk.clone());
        let transport = EmbeddedTransport::open_on(config.clone(), disk_again).unwrap();
        Self { home, disk, config, transport }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_at_whatever_byte_it_is_full_and_goes_on_once_there_is_room() {
    for ahead in [0, 1 << 20] {
        refuses_at_every_byte(ahead).await;
    }
}

async fn refuses_at_every_byte(ahead: u32) {
    let setup = setup(|config| (config.reserve_bytes, config.ahead_bytes) = (0, ahead)).await;
    let mut stored = Vec::new();
    setup.disk.set(|faults| faults.room = Some(0));
    while setup.publish(&format!("laid out {}", stored.len()), 40).await.is_ok() {
        stored.push(format!("laid out {}", stored.len()));
    }
    assert!(ahead == 0 || stored.len() > 5, "what is laid out is used up when there is no room");
    let before = stored.len();
    for room in 0..260 {
        setup.disk.set(|faults| faults.room = Some(room));
        let id = format!("m{room}");
        match setup.publish(&id, 40).await {
            Ok(()) => stored.push(id),
            Err(error) => {
                assert_eq!((error.kind(), error.class()), (ErrorKind::Full, ErrorClass::Retry), "{error}");
                assert!(error.to_string().contains("free space"), "{error}");
            }
        }
    }
    assert!((10..250).contains(&(stored.len() - before)), "{} were stored", stored.len());
    setup.disk.set(|faults| faults.room = None);
    setup.publish("last", 40).await.unwrap();
    stored.push("last".to_owned());
    assert_eq!(setup.ids().await, stored);
    setup.transport.close().await.unwrap();
    assert_eq!(setup.again().ids().await, stored);
}

#[tokio::test]
async fn on_a_full_disk_messages_can_still_be_acknowledged_and_that_makes_room() {
    let setup = setup(|_| {}).await;
    for n in 0..300 {
        setup.publish(&format!("m{n}"), 1000).await.unwrap();
    }
    setup.disk.set(|faults| faults.room = Some(500));
    let mut stored = 300;
    let error = loop {
        match setup.publish("last", 1000).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(stored < 310, "{stored}: what was laid out is soon used up");
    let reader = setup.transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    while stored > 0 {
        let some = exactly(&reader, stored.min(10)).await;
        stored -= some.len();
        for leased in some {
            let results = reader.settle(vec![(leased.receipt, Outcome::Ack)]).await;
            assert!(results[0].is_ok(), "{:?}", results[0]);
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while setup.publish("after", 1000).await.is_err() {
        assert!(Instant::now() < deadline, "the files of acknowledged messages make room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(setup.ids().await, ["after"]);
    setup.transport.close().await.unwrap();
    assert_eq!(setup.again().ids().await, ["after"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_for_want_of_room_is_tried_again_now_and_then_also_when_idle() {
    let setup = setup(|config| (config.reserve_bytes, config.ahead_bytes) = (0, 0)).await;
    let segment = |id: u32| setup.config.path.join(format!("segments/{id:08}.log"));
    let mut count = 0;
    while !segment(2).exists() {
        setup.publish(&format!("m{count}"), 1500).await.unwrap();
        count += 1;
    }
    let reader = setup.transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let mut first = exactly(&reader, count - 1).await;
    let rest = first.split_off(1);
    let acks = |leased: Vec<Leased>| leased.into_iter().map(|one| (one.receipt, Outcome::Ack)).collect();
    // Deliveries are counted and the witness is borne by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = std::fs::metadata(segment(2)).unwrap().len();
    reader.settle(acks(first)).await.remove(0).unwrap();
    let ack = std::fs::metadata(segment(2)).unwrap().len() - before;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let more = 8 * (rest.len() as u64 - 1);
    setup.disk.set(|faults| (faults.room, faults.writes) = (Some(ack + more), 0));
    reader.settle(acks(rest)).await.into_iter().for_each(|result| result.unwrap());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut writes = 0;
    setup.disk.set(|faults| (writes, faults.room) = (faults.writes, None));
    assert!(segment(1).exists(), "there was no room to say that the log begins behind it");
    assert!(writes < 20, "{writes} writes in half a second");
    let deadline = Instant::now() + Duration::from_secs(10);
    while segment(1).exists() {
        assert!(Instant::now() < deadline, "the idle store removes the file once there is room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_ack_that_finds_no_room_at_all_fails_and_the_message_comes_again() {
    let setup = setup(|config| (config.reserve_bytes, config.ahead_bytes) = (0, 0)).await;
    setup.publish("a", 10).await.unwrap();
    let reader = setup.transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let leased = exactly(&reader, 1).await;
    setup.disk.set(|faults| faults.room = Some(3));
    let results = reader.settle(leased.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Full);
    let again = exactly(&reader, 1).await;
    assert_eq!(again[0].deliveries, Some(2));
    setup.disk.set(|faults| faults.room = None);
    let results = reader.settle(again.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await;
    assert!(results[0].is_ok());
    assert_eq!(setup.ids().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_new_file_that_cannot_be_made_is_made_later() {
    let setup = setup(|config| config.reserve_bytes = 0).await;
    setup.disk.set(|faults| faults.create_fails = true);
    for n in 0..100 {
        setup.publish(&format!("m{n}"), 1500).await.unwrap();
    }
    setup.disk.set(|faults| faults.create_fails = false);
    for n in 100..200 {
        setup.publish(&format!("m{n}"), 1500).await.unwrap();
    }
    let files = std::fs::read_dir(setup.config.path.join("segments")).unwrap().count();
    assert!(files >= 2, "{files} files");
    setup.transport.close().await.unwrap();
    assert_eq!(setup.again().ids().await.len(), 200);
}

#[tokio::test]
async fn a_sync_that_fails_leaves_the_outcome_unknown_and_the_store_refuses_to_go_on() {
    let setup = setup(|_| {}).await;
    setup.publish("before", 10).await.unwrap();
    let reader = setup.transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let waiting = {
        let reader = reader.clone();
        let leased = exactly(&reader, 1).await;
        std::mem::forget(leased);
        tokio::spawn(async move {
            reader.receive(busway_core::transport::Want::new(1, Duration::from_secs(60))).await
        })
    };
    setup.disk.set(|faults| faults.sync_fails = true);
    let error = setup.publish("unknown", 10).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Io, ErrorClass::Unknown), "{error}");
    for _ in 0..3 {
        let error = setup.publish("after", 10).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Fatal, "{error}");
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Fatal, "a receive that waits is told too");
    assert!(reader.receive(busway_core::transport::Want::new(1, Duration::ZERO)).await.is_err());
    let again = setup.again();
    let ids = again.ids().await;
    assert!(ids == ["before"] || ids == ["before", "unknown"], "{ids:?}");
    again.publish("after", 10).await.unwrap();
}

#[tokio::test]
async fn what_a_failed_sync_may_have_dropped_is_written_again_also_in_the_file_before_the_last() {
    let setup = setup(|config| config.reserve_bytes = 0).await;
    let segment = |id: u32| setup.config.path.join(format!("segments/{id:08}.log"));
    let mut last = 0;
    while !segment(2).exists() {
        setup.publish(&format!("m{last}"), 1500).await.unwrap();
        last += 1;
    }
    let length = std::fs::metadata(segment(1)).unwrap().len();
    setup.transport.close().await.unwrap();
    setup.disk.set(|faults| faults.written.clear());
    let again = setup.again();
    let mut written = Default::default();
    again.disk.set(|faults| written = std::mem::take(&mut faults.written));
    let first = again.config.path.join("segments/00000001.log");
    let bytes = written.get(&first).copied().unwrap_or(0);
    assert!((1..length / 2).contains(&bytes), "{bytes} of {length}: the end of the file, and no more");
    assert_eq!(again.ids().await.len(), last);
}

#[tokio::test]
async fn a_log_that_cannot_be_cut_after_a_failed_write_is_not_written_again() {
    let setup = setup(|config| (config.reserve_bytes, config.ahead_bytes) = (0, 0)).await;
    setup.publish("before", 10).await.unwrap();
    setup.disk.set(|faults| (faults.room, faults.cut_fails) = (Some(50), true));
    let error = setup.publish("torn", 500).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unknown, "{error}");
    assert_eq!(setup.publish("after", 10).await.unwrap_err().class(), ErrorClass::Fatal);
    setup.disk.set(|faults| (faults.room, faults.cut_fails) = (None, false));
    let again = setup.again();
    assert_eq!(again.ids().await, ["before"]);
    again.publish("after", 10).await.unwrap();
}

#[tokio::test]
async fn a_hundred_publishers_share_syncs() {
    let setup = setup(|_| {}).await;
    let mut before = 0;
    setup.disk.set(|faults| before = faults.syncs);
    let mut publishers = Vec::new();
    for n in 0..100 {
        let sender = setup.transport.sender().await.unwrap();
        publishers.push(tokio::spawn(async move {
            for k in 0..10 {
                let publication = Publication::new(Queue::Priority, message(format!("{n}-{k}")));
                sender.publish(vec![publication]).await.remove(0).unwrap();
            }
        }));
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let mut after = 0;
    setup.disk.set(|faults| after = faults.syncs);
    assert!(after - before < 500, "{} syncs for 1000 messages", after - before);
    let reader = setup.transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    assert_eq!(now(&reader, 2000).await.len(), 1000);
}
