//! A handler in a process of its own: this program starts itself a second time. The first process holds
//! the store and publishes; the second one, its guest, handles. What is published while no handler runs
//! waits on its queue.

use std::path::Path;
use std::process::Stdio;

use busway::{Bus, Delivery, Message};
use busway_examples::{Result, until};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[tokio::main]
async fn main() -> Result {
    match std::env::args_os().nth(1) {
        Some(directory) => handle(Path::new(&directory)).await,
        None => publish().await,
    }
}

/// The first process.
async fn publish() -> Result {
    let directory = tempfile::tempdir()?;
    let bus = Bus::builder("shop").embedded(directory.path()).build()?;
    bus.start().await?;

    let mut child = start(directory.path())?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    assert_eq!(lines.next_line().await?.as_deref(), Some("ready"));
    for order in 1..=5 {
        bus.publish(Message::json("order.placed", &order)?).await?;
    }
    let mut handled = Vec::new();
    while handled.len() < 5 {
        handled.push(lines.next_line().await?.ok_or("the handler has ended")?);
    }
    println!("handled elsewhere: {handled:?}");

    // Nothing is lost when it dies: what it had in hand comes again, and the rest waits.
    child.kill().await?;
    for order in 6..=10 {
        bus.publish(Message::json("order.placed", &order)?).await?;
    }
    let admin = bus.admin().await?;
    let waiting = async || {
        let queues = admin.queues().await?.queues;
        Ok(queues.iter().any(|row| row.queue == "to.shipping" && row.ready >= Some(5)))
    };
    until("they wait for the next handler", waiting).await?;

    let mut child = start(directory.path())?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    assert_eq!(lines.next_line().await?.as_deref(), Some("ready"));
    let mut handled = std::collections::BTreeSet::new();
    while !(6..=10).all(|order: u32| handled.contains(&order.to_string())) {
        handled.insert(lines.next_line().await?.ok_or("the handler has ended")?);
    }
    println!("handled by the next one: {handled:?}");
    child.kill().await?;
    Ok(bus.shutdown().await?)
}

fn start(directory: &Path) -> Result<Child> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).arg(directory).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

/// The second process: the same bus, with a handler.
async fn handle(directory: &Path) -> Result {
    let bus = Bus::builder("shop").embedded(directory).build()?;
    bus.subscribe("shipping", "order.*", |delivery: Delivery| async move {
        println!("{}", delivery.json::<u32>()?);
        Ok(())
    })?;
    bus.start().await?;
    println!("ready");
    std::future::pending().await
}
