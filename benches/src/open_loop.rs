//! Latency under a load that does not wait for answers, from the moment at which each message was meant
//! to be sent: a stall counts for every message it delayed.
//!
//! One thread, the caller's, has all connections, and asks the kernel for the answers of those alone that
//! wait for one: on a machine of few cores the load must take as little of them as can be.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::run::{Latency, Run, Stopwatch};

/// What an answer may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// The shortest sleep before the next message: all that are due by then are sent together.
const SHORTEST_SLEEP: Duration = Duration::from_micros(100);
/// Both sides of a pair are sent messages at the same times.
const SEED: u64 = 0x0b05;

/// How fast messages are sent, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A second, at random times as of clients that know nothing of each other; without end, each
    /// connection has its next message as soon as the last was answered.
    pub rate: f64,
    /// In all.
    pub messages: u64,
}

/// A connection that carries one message at a time.
pub trait Line: AsFd {
    /// Sends a message without waiting for room.
    ///
    /// # Errors
    /// Where the line can carry no more.
    fn send(&mut self) -> Result<()>;

    /// Reads what has come; whether the answer is whole.
    ///
    /// # Errors
    /// Where the message was not taken, or the line has ended.
    fn answered(&mut self) -> Result<bool>;
}

/// Sends by whichever line is free; a message that finds none waits for one, and its time runs. One whose
/// line fails, or that has no answer within a minute, counts as lost.
///
/// # Errors
/// Where the system does not tell what has come.
pub fn open_loop<L: Line>(lines: &mut [L], pace: Pace) -> Result<Run> {
    let due = due(pace);
    let mut idle: Vec<usize> = (0..lines.len()).collect();
    let mut busy: Vec<(usize, Instant)> = Vec::with_capacity(lines.len());
    let (mut latency, mut succeeded, mut sent) = (Latency::default(), 0, 0);
    let watch = Stopwatch::start();
    let begun = Instant::now();
    loop {
        let elapsed = begun.elapsed();
        while let Some(intended) = due.get(sent).filter(|due| **due <= elapsed)
            && let Some(line) = idle.pop()
        {
            sent += 1;
            match lines[line].send() {
                Ok(()) => busy.push((line, begun + *intended)),
                Err(error) => eprintln!("open loop: {error:#}"),
            }
        }
        let next = due.get(sent).filter(|_| !idle.is_empty());
        if busy.is_empty() && next.is_none() {
            break;
        }
        let sleep = next.map_or(DEADLINE, |next| next.saturating_sub(begun.elapsed()).max(SHORTEST_SLEEP));
        let came = came(lines, &busy, sleep)?;
        if came.is_empty() && next.is_none() {
            eprintln!("open loop: {} answers did not come within {DEADLINE:?}", busy.len());
            break;
        }
        for place in came.into_iter().rev() {
            let (line, intended) = busy[place];
            match lines[line].answered() {
                Ok(false) => continue,
                Ok(true) => {
                    latency.record(intended.elapsed());
                    succeeded += 1;
                    idle.push(line);
                }
                Err(error) => eprintln!("open loop: {error:#}"),
            }
            busy.swap_remove(place);
        }
    }
    Ok(watch.stop(pace.messages).counted(pace.messages - succeeded, 0).latency(latency))
}

/// When each message is meant to be sent, from the start.
fn due(pace: Pace) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut at = 0.0;
    (0..pace.messages)
        .map(|_| {
            at -= (1.0 - random.f64()).ln() / pace.rate;
            Duration::from_secs_f64(at)
        })
        .collect()
}

/// The places among the busy where something has come, in order; none when the time is over.
fn came<L: Line>(lines: &[L], busy: &[(usize, Instant)], sleep: Duration) -> Result<Vec<usize>> {
    let fd = |(line, _): &(usize, Instant)| PollFd::new(&lines[*line], PollFlags::IN);
    let mut fds: Vec<PollFd<'_>> = busy.iter().map(fd).collect();
    poll(&mut fds, Some(&Timespec::try_from(sleep)?))?;
    let has_come = |(place, fd): (usize, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(place);
    Ok(fds.iter().enumerate().filter_map(has_come).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    struct Byte(UnixStream);

    impl AsFd for Byte {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Line for Byte {
        fn send(&mut self) -> Result<()> {
            Ok(self.0.write_all(&[0])?)
        }

        fn answered(&mut self) -> Result<bool> {
            let mut answer = [0];
            self.0.read_exact(&mut answer)?;
            anyhow::ensure!(answer == [1], "not taken");
            Ok(true)
        }
    }

    /// A peer that takes all but the eighth, and lets everything wait for the first.
    fn peer(mut stream: UnixStream, stall: Duration) {
        let mut message = [0];
        for number in 0.. {
            if stream.read_exact(&mut message).is_err() {
                return;
            }
            if number == 0 {
                std::thread::sleep(stall);
            }
            stream.write_all(&[u8::from(number != 7)]).unwrap_or_default();
        }
    }

    fn run(pace: Pace) -> Run {
        let (near, far) = UnixStream::pair().unwrap_or_else(|error| panic!("{error}"));
        std::thread::spawn(move || peer(far, Duration::from_millis(100)));
        open_loop(&mut [Byte(near)], pace).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_stall_counts_for_all_that_it_delayed() {
        let run = run(Pace { rate: 1000.0, messages: 200 });
        // A line whose message was refused carries no more.
        assert_eq!(run.lost, 193);
        let found = run.latency.unwrap_or_default().percentiles();
        assert!(found.p50 > 50.0, "the stall of the first: {found:?}");
    }

    #[test]
    fn without_end_a_line_is_never_idle() {
        let messages = due(Pace { rate: f64::INFINITY, messages: 3 });
        assert_eq!(messages, [Duration::ZERO; 3]);
        let paced = due(Pace { rate: 1000.0, messages: 10_000 });
        let last = paced.last().copied().unwrap_or_default().as_secs_f64();
        assert!((last - 10.0).abs() < 0.5, "the mean is the rate: {last}");
    }
}
