//! The example of the documentation in functions of each kind of result, and what a handler may fail
//! with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use busway::core::transport::Filter;
use busway::{Bus, Delivery, HandlerError, Message, PublishError};
use serde::{Deserialize, Serialize};

use crate::handlers::until;

#[derive(Serialize, Deserialize)]
struct Item {
    sku: u64,
}

async fn example(directory: &Path, item: Item) -> busway::Result<()> {
    let bus = Bus::builder("shop").embedded(directory).build()?;
    bus.subscribe("inventory", "item.*", |d: Delivery| async move {
        let item: Item = d.json()?; // cannot be decoded: dead, error:decode
        assert_eq!(item.sku, 7);
        Ok(()) // Err: retried by the endpoint's schedule
    })?;
    bus.start().await?; // queues declared, actors up
    bus.publish(Message::json("item.updated", &item)?.account("acme")).await?;
    bus.shutdown().await // drains within the grace
}

async fn with_anyhow(directory: &Path, item: Item) -> anyhow::Result<()> {
    let bus = Bus::builder("shop").embedded(directory).build()?;
    bus.subscribe("inventory", "item.*", |d: Delivery| async move {
        let _item: Item = d.json()?;
        Ok(())
    })?;
    bus.start().await?;
    bus.publish(Message::json("item.updated", &item)?.account("acme")).await?;
    Ok(bus.shutdown().await?)
}

async fn with_a_box(directory: &Path, item: Item) -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::builder("shop").embedded(directory).build()?;
    bus.subscribe("inventory", "item.*", |d: Delivery| async move {
        let _item: Item = d.json()?;
        Ok(())
    })?;
    bus.start().await?;
    bus.publish(Message::json("item.updated", &item)?.account("acme")).await?;
    Ok(bus.shutdown().await?)
}

#[tokio::test]
async fn the_example_runs_in_functions_of_each_kind_of_result() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path(), Item { sku: 7 }).await.unwrap();
    with_anyhow(dir.path(), Item { sku: 7 }).await.unwrap();
    with_a_box(dir.path(), Item { sku: 7 }).await.unwrap();
}

fn fails(kind: &str) -> anyhow::Result<()> {
    anyhow::ensure!(kind != "anyhow", "a failure of anyhow");
    Ok(())
}

fn fails_boxed(kind: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if kind == "boxed" { Err("a boxed failure".into()) } else { Ok(()) }
}

#[tokio::test]
async fn any_error_by_question_mark_means_another_try_and_a_decode_error_death() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&done);
    bus.subscribe("fails", "#", move |d: Delivery| {
        let done = Arc::clone(&counted);
        async move {
            if d.attempt == 1 {
                fails(&d.message.r#type)?;
                fails_boxed(&d.message.r#type)?;
                match &*d.message.r#type {
                    "io" => Err(std::io::Error::other("the disk"))?,
                    "text" => Err("words alone".to_owned())?,
                    "own" => return Err(HandlerError::retry("not yet")),
                    "decode" => d.json::<Item>()?.sku,
                    other => unreachable!("{other}"),
                };
            }
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .unwrap();
    bus.start().await.unwrap();
    for kind in ["anyhow", "boxed", "io", "text", "own", "decode"] {
        bus.publish(Message::new(kind, "no JSON")).await.unwrap();
    }
    let admin = bus.admin().await.unwrap();
    until("five are done at the second try, one is dead", || async {
        done.load(Ordering::SeqCst) == 5 && admin.dead_list(Filter::default(), 9).await.unwrap().len() == 1
    })
    .await;
    let dead = admin.dead_list(Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!((&*dead.r#type, &*dead.reason, dead.attempts), ("decode", "error:decode", 1));
    assert_eq!(admin.endpoints().await.unwrap()[0].failed, 6);
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_in_hand_at_a_shutdown_is_an_error_that_says_so_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let bus = |hangs: bool| {
        let built = Bus::builder("shop").embedded(dir.path());
        let bus = built.configure(|c| c.flow.shutdown_grace = std::time::Duration::from_millis(200)).build();
        let (bus, done) = (bus.unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&done);
        bus.subscribe("stuck", "#", move |_: Delivery| {
            let done = Arc::clone(&counted);
            async move {
                done.fetch_add(1, Ordering::SeqCst);
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        })
        .unwrap();
        (bus, done)
    };
    let (first, begun) = bus(true);
    first.start().await.unwrap();
    first.publish(Message::new("x", "")).await.unwrap();
    until("it is in hand", || async { begun.load(Ordering::SeqCst) == 1 }).await;
    let error = first.shutdown().await.unwrap_err();
    assert!(error.to_string().contains("redelivered"), "{error}");
    drop(first);

    let (second, done) = bus(false);
    second.start().await.unwrap();
    until("it came again", || async { done.load(Ordering::SeqCst) == 1 }).await;
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_bus_that_does_not_run_answers_failed_with_its_class() {
    let bus = Bus::builder("shop").embedded(tempfile::tempdir().unwrap().path()).build().unwrap();
    let error = bus.publish(Message::new("x", "").id("one")).await.unwrap_err();
    assert!(matches!(&error, PublishError::Failed { id, .. } if id == "one"), "{error}");
    assert!(error.to_string().contains("call start first"), "{error}");
    assert_eq!(busway::Error::from(error).class(), busway::core::ErrorClass::Fatal);
    bus.shutdown().await.unwrap();
}
