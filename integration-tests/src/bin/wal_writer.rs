//! Writes to the small log of the power-loss library's own test and says on standard output what became
//! durable: `C id` is confirmed or was found at the start, `A id` is about to be removed, `D id` is removed
//! for good.
//!
//! `wal_writer FOLDER FIRST-ID BATCHES CARELESS`

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use busway_integration_tests::wal::{Careless, Wal};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match write(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wal_writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [folder, first, batches, careless] = arguments else {
        return Err("wal_writer FOLDER FIRST-ID BATCHES CARELESS".into());
    };
    let (mut next, batches) = (first.parse::<u64>()?, batches.parse::<u64>()?);
    let mut wal = Wal::open(Path::new(folder), Careless::by_name(careless)?)?;
    say('C', &wal.found())?;
    for batch in 0..batches {
        let ids: Vec<u64> = (next..=next + batch % 5).collect();
        next += ids.len() as u64;
        wal.append(&ids)?;
        say('C', &ids)?;
        let oldest = wal.oldest().to_vec();
        say('A', &oldest)?;
        wal.trim()?;
        say('D', &oldest)?;
    }
    Ok(())
}

/// One write for all, past every buffer: what is said was true before it is said.
fn say(what: char, ids: &[u64]) -> io::Result<()> {
    let lines: String = ids.iter().map(|id| format!("{what} {id}\n")).collect();
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    out.flush()
}
