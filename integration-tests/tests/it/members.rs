//! A handler in a process of its own: processes are killed while messages flow, the ones that handle and
//! the one that holds the store; each confirmed message is handled.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use busway::Bus;
use busway::core::transport::Filter;

const HANDLERS_KILLED: usize = 10;
const HOLDERS_KILLED: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that is started anew when it was killed.
struct Member {
    role: &'static str,
    directory: PathBuf,
    child: Child,
}

impl Member {
    fn start(role: &'static str, directory: &Path) -> Self {
        Self { role, directory: directory.to_owned(), child: spawn(role, directory) }
    }

    fn kill_and_start(&mut self) {
        self.kill();
        self.child = spawn(self.role, &self.directory);
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

fn spawn(role: &str, directory: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bus_member"))
        .arg(directory.join("bus"))
        .arg(role)
        .arg(directory.join(role))
        .spawn()
        .unwrap()
}

/// The ids in a log; the last line may be torn.
fn ids(directory: &Path, role: &str) -> HashSet<String> {
    let text = std::fs::read_to_string(directory.join(role)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn holder(directory: &Path) -> Option<u32> {
    busway_embedded::is_held(&directory.join("bus/queues")).map(|holder| holder.pid)
}

/// Messages flow: more have been handled than before.
fn flows(directory: &Path) {
    let before = ids(directory, "handle").len();
    until("messages are handled", || ids(directory, "handle").len() > before + 20);
}

#[test]
fn what_is_confirmed_is_handled_though_handlers_and_holders_are_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    let mut members = vec![Member::start("handle", directory)];
    until("there is a holder", || holder(directory).is_some());
    until("the subscription is kept", || directory.join("bus/queues/busway.sock").exists());
    members.push(Member::start("handle", directory));
    members.push(Member::start("publish", directory));
    let (mut handlers, mut holders) = (0, 0);
    while handlers < HANDLERS_KILLED || holders < HOLDERS_KILLED {
        flows(directory);
        let held_by = holder(directory);
        let at = members.iter().position(|member| Some(member.child.id()) == held_by);
        let chosen = if holders < HOLDERS_KILLED && (handlers + holders) % 3 == 2 {
            at
        } else {
            members.iter().position(|member| member.role == "handle" && Some(member.child.id()) != held_by)
        };
        let Some(chosen) = chosen else { continue };
        if at == Some(chosen) {
            holders += 1;
        } else {
            handlers += 1;
        }
        members[chosen].kill_and_start();
        // Whoever was killed is not the next one.
        members.rotate_left(1);
    }
    flows(directory);
    members.iter_mut().filter(|member| member.role == "publish").for_each(Member::kill);
    let published = ids(directory, "publish");
    until("all that was confirmed is handled", || published.is_subset(&ids(directory, "handle")));
    println!("{} confirmed, {} handled", published.len(), ids(directory, "handle").len());
    drop(members);
    assert!(published.len() > 100, "{}", published.len());
    nothing_is_dead(directory);
}

fn nothing_is_dead(directory: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::builder("shop").embedded(directory.join("bus")).build().unwrap();
        bus.start().await.unwrap();
        let dead = bus.admin().await.unwrap().dead_list(Filter::default(), 10).await.unwrap();
        assert!(dead.is_empty(), "{dead:?}");
        bus.shutdown().await.unwrap();
    });
}
