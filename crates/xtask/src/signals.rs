//! SIGINT, SIGTERM and SIGHUP as a flag that is polled, and signals to whole process groups.
//!
//! The standard library can do neither, and a crate for two C functions would be one more to trust.
#![expect(unsafe_code, reason = "signal(2) and kill(2) have no safe form in the standard library")]

use std::sync::atomic::{AtomicI32, Ordering};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// The handler of a signal that is ignored, as C's `SIG_IGN`.
const IGNORED: usize = 1;

static CAUGHT: AtomicI32 = AtomicI32::new(0);

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn kill(process: i32, number: i32) -> i32;
}

/// From here on the three signals do not end this program: [`caught`] tells of the first. One that is ignored,
/// as by nohup, stays so.
pub(crate) fn catch() {
    for number in [SIGHUP, SIGINT, SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which is safe in a signal handler; what it replaces, and
        // what is put back, is a value that the system gave or defines.
        unsafe {
            if signal(number, remember as *const () as usize) == IGNORED {
                signal(number, IGNORED);
            }
        }
    }
}

/// The name of the first signal that came, if one did.
pub(crate) fn caught() -> Option<&'static str> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        SIGHUP => Some("SIGHUP"),
        SIGINT => Some("SIGINT"),
        _ => Some("SIGTERM"),
    }
}

/// Asks every process of the group to end.
pub(crate) fn terminate_group(group: u32) {
    send(group, SIGTERM);
}

/// Kills every process of the group. True where there was one.
pub(crate) fn kill_group(group: u32) -> bool {
    send(group, SIGKILL)
}

/// Whether any process of the group is left.
#[cfg(test)]
pub(crate) fn group_lives(group: u32) -> bool {
    send(group, 0)
}

fn send(group: u32, number: i32) -> bool {
    match i32::try_from(group) {
        // Group 0 would be this program's own, group 1 everything.
        Ok(group) if group > 1 => {
            // SAFETY: kill(2) takes two numbers and touches no memory of ours.
            unsafe { kill(-group, number) == 0 }
        }
        _ => false,
    }
}

extern "C" fn remember(number: i32) {
    // The first signal is the reason that is told; a second one changes nothing.
    let _ = CAUGHT.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
}
