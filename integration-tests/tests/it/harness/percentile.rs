//! Percentiles of what was measured.

use std::time::Duration;

/// The value below which `part` (0 to 1) of the values lie.
///
/// # Panics
/// Where there are none.
#[track_caller]
pub(crate) fn percentile(values: &[Duration], part: f64) -> Duration {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[index]
}
