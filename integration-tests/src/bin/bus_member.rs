//! A process with a bus, for tests that kill it: `bus_member DIRECTORY publish|handle LOG`. It appends to
//! LOG the id of each message that it has published (once confirmed) or handled (before it says so).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use busway::{Bus, Delivery, Message};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("{what} is missing"));
    let (directory, role, log) = (next("DIRECTORY")?, next("the role")?, next("LOG")?);
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let bus = Bus::builder("shop").embedded(directory).build()?;
    match &*role {
        "publish" => publish(&bus, log).await,
        "handle" => handle(&bus, log).await,
        other => Err(format!("{other:?} is no role").into()),
    }
}

async fn publish(bus: &Bus, mut log: File) -> Result<(), Failure> {
    bus.start().await?;
    for number in 0_u64.. {
        let id = format!("{}-{number}", std::process::id());
        // One that failed, or whose outcome is unknown, is not told to anybody.
        if bus.publish(Message::new("job.new", "{}").id(&*id)).await.is_ok() {
            writeln!(log, "{id}")?;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn handle(bus: &Bus, log: File) -> Result<(), Failure> {
    let log = Mutex::new(log);
    bus.subscribe("work", "job.*", move |delivery: Delivery| {
        let written = log
            .lock()
            .map_err(|_| "the log is poisoned".to_owned())
            .and_then(|mut log| writeln!(log, "{}", delivery.message.id).map_err(|error| error.to_string()));
        async move { Ok(written?) }
    })?;
    bus.start().await?;
    std::future::pending().await
}
