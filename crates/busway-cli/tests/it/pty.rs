//! A pseudo terminal that the program is run on.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The terminal's width in columns.
pub(crate) const COLUMNS: u16 = 60;

/// A terminal, and what was written to it so far.
pub(crate) struct Pty {
    /// Kept open so that what is read ends with the last program on it.
    program_side: OwnedFd,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pty {
    pub(crate) fn new() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let program_side =
            open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 40, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program_side, size).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut ours, shared) = (File::from(ours), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is how the end of a terminal that nobody holds any more is told.
            while let Ok(count @ 1..) = ours.read(&mut buffer) {
                shared.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { program_side, seen, reader }
    }

    /// The terminal, for a stream of the program.
    pub(crate) fn stream(&self) -> Stdio {
        self.program_side.try_clone().unwrap().into()
    }

    /// What was written so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// All that was written, once nothing holds the terminal any more.
    pub(crate) fn closed(self) -> String {
        let Self { program_side, seen, reader } = self;
        drop(program_side);
        reader.join().unwrap();
        String::from_utf8_lossy(&seen.lock().unwrap()).into_owned()
    }
}

/// Starts a command; the streams of the terminal that it was given are its alone afterwards.
pub(crate) fn start(mut command: Command) -> Child {
    command.spawn().unwrap()
}
