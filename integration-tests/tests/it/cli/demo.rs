//! `demo`.

use std::time::{Duration, Instant};

use crate::harness::Bed;

#[test]
fn the_demo_loses_nothing_and_diverts_the_loud_in_little_time() {
    let bed = Bed::new("");
    let begun = Instant::now();
    let answer = bed.verb(&["demo", "--json"]);
    let took = begun.elapsed();
    assert_eq!(answer.code, 0, "{answer:?}");
    let told = answer.json();
    let count = |key: &str| told[key].as_u64().unwrap_or_else(|| panic!("{key} is not in {told}"));
    assert!(count("published") >= 329 && count("delivered") >= 329, "{told}");
    assert_eq!((count("lost"), count("duplicated"), count("dead")), (0, 0, 0), "{told}");
    assert!(told["diverted"]["share"].as_u64().unwrap() > 0, "{told}");
    assert!(told["diverted"]["saturated"].is_u64() && told["retried"].is_u64(), "{told}");
    for key in ["quiet_p99_ms", "loud_p99_ms", "seconds"] {
        assert!(told[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {told}");
    }
    assert!(took < Duration::from_secs(20), "{took:?}: {told}");
    // It lives in a folder of its own.
    assert!(!bed.path("var").exists());
}
