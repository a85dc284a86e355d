//! Any of the targets under libFuzzer: `BUSWAY_FUZZ_TARGET` says which,
//! `BUSWAY_FUZZ_LIST` asks which there are. What `cargo xtask fuzz` builds and runs.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use busway_fuzz::{TARGETS, Target, regressions, target};

/// The target; before its first run its seeds and what was found before are put into the folder that
/// `BUSWAY_FUZZ_SEEDS` names, which libFuzzer then reads.
static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("BUSWAY_FUZZ_TARGET").expect("BUSWAY_FUZZ_TARGET names a target");
    let target = target(&name).expect("BUSWAY_FUZZ_TARGET names a target that there is");
    if let Some(folder) = std::env::var_os("BUSWAY_FUZZ_SEEDS").map(PathBuf::from) {
        fs::create_dir_all(&folder).expect("a folder for seeds");
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed is written");
        }
        for (name, found) in regressions(target) {
            fs::write(folder.join(name), found).expect("a seed is written");
        }
    }
    target
});

libfuzzer_sys::fuzz_target!(
    init: {
        if std::env::var_os("BUSWAY_FUZZ_LIST").is_some() {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(0);
        }
        LazyLock::force(&TARGET);
    },
    |input: &[u8]| {
        (TARGET.run)(input);
    }
);
