//! Values with a unit: durations, sizes, rates.

use std::fmt;
use std::time::Duration;

/// Reads a duration such as `10s`, `500ms`, `1h30m` or `2d`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as \"10s\", \"500ms\", \"1h\" or \"2d\"");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
        let millis = millis.and_then(|unit| number.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(millis)).ok_or_else(wrong)?;
        rest = tail;
    }
    // What is written is read back in one unit, of which the smallest is the millisecond.
    u64::try_from(total.as_millis()).map(Duration::from_millis).map_err(|_| wrong())
}

/// What the text of a duration matches, as a regular expression.
pub(super) fn duration_pattern() -> String {
    let units = UNITS.map(|(name, _)| name).join("|");
    format!(r"^\s*([0-9]+({units}))+\s*$")
}

/// Writes a duration in the largest unit that holds it exactly.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let exact = UNITS.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(u128::from(*unit)));
    match exact {
        Some((name, unit)) => format!("{}{name}", millis / u128::from(*unit)),
        None => "0s".to_owned(),
    }
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A number of bytes, written `64MiB`, `200KiB` or as a plain integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many KiB.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes, at most what fits in memory's addresses.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads a size such as `64MiB`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size such as \"64MiB\", \"200KiB\" or 4096");
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim().to_ascii_lowercase();
        let size = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&unit)).map(|(_, size)| *size);
        size.and_then(|size| number.checked_mul(size)).map(Self).ok_or_else(wrong)
    }

    /// What the text of a size matches, as a regular expression.
    pub(super) fn pattern() -> String {
        let any_case = |c: char| format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase());
        let units = SIZES.map(|(name, _)| name.chars().map(any_case).collect::<String>());
        format!(r"^\s*[0-9]+\s*({})\s*$", units.join("|"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 > 0 && self.0.is_multiple_of(size) {
                return write!(f, "{}{name}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

const SIZES: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// So many in a stretch of time, written `500/s`, `30/m`, `1000/h` or `5/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// How many a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.per.as_secs_f64()
    }

    /// Reads a rate such as `500/s`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a rate such as \"500/s\" or \"30/m\"");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim();
        if count.starts_with('+') {
            return Err(wrong());
        }
        let count: u64 = count.parse().map_err(|_| wrong())?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        if count == 0 {
            return Err(format!("{text:?} would let nothing through; pause the endpoint instead"));
        }
        Ok(Self { count, per: Duration::from_secs(per) })
    }

    /// What the text of a rate matches, as a regular expression.
    pub(super) const PATTERN: &'static str = r"^\s*[0-9]*[1-9][0-9]*\s*/\s*[smhd]\s*$";
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            60 => "m",
            3_600 => "h",
            86_400 => "d",
            _ => "s",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [("10s", 10_000), ("500ms", 500), ("1h", 3_600_000), ("2d", 172_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(format_duration(Duration::ZERO), "0s");
        for bad in ["", "10", "s", "10 s", "-1s", "1.5s", "1y", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("64MiB", 64 << 20), ("200KiB", 200 << 10), ("7B", 7)] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!(ByteSize::parse("1 MB"), Ok(ByteSize(1_000_000)));
        for bad in ["", "MiB", "1XB", "-1", "99999999999TiB"] {
            assert!(ByteSize::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read_and_written() {
        for text in ["500/s", "30/m", "7/h", "1/d"] {
            assert_eq!(Rate::parse(text).map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(Rate::parse("30/m").map(Rate::per_second), Ok(0.5));
        for bad in ["", "500", "/s", "5/y", "0/s", "-1/s", "+1/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
