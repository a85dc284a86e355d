//! A measurement as it is printed.

use serde::{Serialize, Serializer};

use crate::pairs::Spread;
use crate::run::Percentiles;

/// One measurement: a line of JSON, or of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The case.
    pub bench: &'static str,
    /// What of it.
    pub measure: String,
    /// What of busway is measured.
    pub subject: String,
    /// What it is compared with; none where there is nothing to compare with.
    pub twin: Option<String>,
    /// Messages of one run.
    pub messages: u64,
    /// Bytes of one message's data.
    pub body_bytes: u64,
    /// Subject over twin, more is better, of each pair.
    #[serde(serialize_with = "spread")]
    pub ratio: Option<Spread>,
    /// Rates, or latencies in their place.
    #[serde(flatten)]
    pub figures: Figures,
    /// Microseconds of user and system time of this process, a message; the median of the runs.
    #[serde(serialize_with = "rounded")]
    pub cpu_us: f64,
    /// The twin's.
    #[serde(serialize_with = "rounded_if_any")]
    pub twin_cpu_us: Option<f64>,
    /// Messages that did not come, over all runs of both.
    pub lost: u64,
    /// Messages that came too often.
    pub duplicated: u64,
    /// Appends with a sync that the disk does in a second, where the measure waits for it.
    #[serde(serialize_with = "rounded_if_any")]
    pub fsync_per_s: Option<f64>,
    /// The broker and its version.
    pub broker: Option<String>,
    /// What must be known to read the figures.
    pub notes: String,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Messages a second, medians.
    Rates {
        /// The subject's.
        #[serde(serialize_with = "rounded")]
        subject_rate: f64,
        /// The twin's.
        #[serde(serialize_with = "rounded_if_any")]
        twin_rate: Option<f64>,
    },
    /// Milliseconds from the intended send time, over all runs.
    Latencies {
        /// The subject's.
        #[serde(serialize_with = "percentiles")]
        subject_ms: Percentiles,
        /// The twin's.
        #[serde(serialize_with = "percentiles_if_any")]
        twin_ms: Option<Percentiles>,
    },
}

/// The heads of the table's columns.
pub const HEAD: &str = "\
case      measure                    ratio (least, most)       subject          twin   CPU us     twin   lost  dup  fsync/s";

impl Row {
    /// As a line of the table under [`HEAD`], its notes on a line below.
    #[must_use]
    pub fn text(&self) -> String {
        let ratio = self.ratio.map_or_else(
            || "-".to_owned(),
            |ratio| format!("{:.3} ({:.3}, {:.3})", ratio.median, ratio.min, ratio.max),
        );
        let if_any = |figure: Option<f64>, digits: usize| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        let milliseconds = |p: &Percentiles| format!("{:.2}/{:.2}/{:.2} ms", p.p50, p.p99, p.p999);
        let (subject, twin) = match &self.figures {
            Figures::Rates { subject_rate, twin_rate } => {
                (format!("{subject_rate:.0}/s"), twin_rate.map(|rate| format!("{rate:.0}/s")))
            }
            Figures::Latencies { subject_ms, twin_ms } => {
                (milliseconds(subject_ms), twin_ms.as_ref().map(milliseconds))
            }
        };
        format!(
            "{:<9} {:<26} {ratio:<22} {subject:>13} {:>13} {:>8.3} {:>8} {:>6} {:>4} {:>8}\n          {} beside {}: {}",
            self.bench,
            self.measure,
            twin.unwrap_or_else(|| "-".to_owned()),
            self.cpu_us,
            if_any(self.twin_cpu_us, 3),
            self.lost,
            self.duplicated,
            if_any(self.fsync_per_s, 0),
            self.subject,
            self.twin.as_deref().unwrap_or("nothing"),
            self.notes,
        )
    }
}

/// To four digits: what lies beyond is noise.
fn round(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return 0.0;
    }
    let unit = 10_f64.powf(figure.abs().log10().floor() - 3.0);
    if unit >= 1.0 {
        return (figure / unit).round() * unit;
    }
    (figure / unit).round() / (1.0 / unit).round()
}

fn rounded<S: Serializer>(figure: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(round(*figure))
}

fn rounded_if_any<S: Serializer>(figure: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    figure.map(round).serialize(to)
}

fn spread<S: Serializer>(figure: &Option<Spread>, to: S) -> Result<S::Ok, S::Error> {
    let rounded = |s: Spread| Spread { min: round(s.min), median: round(s.median), max: round(s.max) };
    figure.map(rounded).serialize(to)
}

fn percentiles<S: Serializer>(figure: &Percentiles, to: S) -> Result<S::Ok, S::Error> {
    round_percentiles(*figure).serialize(to)
}

fn percentiles_if_any<S: Serializer>(figure: &Option<Percentiles>, to: S) -> Result<S::Ok, S::Error> {
    figure.map(round_percentiles).serialize(to)
}

fn round_percentiles(p: Percentiles) -> Percentiles {
    Percentiles { p50: round(p.p50), p99: round(p.p99), p999: round(p.p999) }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn four_digits_are_kept() {
        for (figure, kept) in
            [(123_456.0, 123_500.0), (0.123_456, 0.1235), (1.0, 1.0), (0.0, 0.0), (99.996, 100.0)]
        {
            assert!((round(figure) - kept).abs() < 1e-9, "{figure}: {}", round(figure));
        }
    }
}
