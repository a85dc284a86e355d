//! Examples of busway, one idea a file: `cargo run -p busway-examples --example publish_and_handle`.
//!
//! Each makes its bus in a temporary directory, asserts what it shows, and ends by itself.

use std::time::{Duration, Instant};

/// What an example's `main` returns.
pub type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Waits until `check` says so, for at most 30 seconds.
///
/// # Errors
/// `what` has not come in this time; or the error of `check`.
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> Result<bool>) -> Result {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !check().await? {
        if Instant::now() > deadline {
            return Err(format!("this has not come within 30 s: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
