//! What came of a run.

use std::fmt;
use std::time::Duration;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It was not tried, and why.
    Skipped(String),
    /// It did not end in time.
    TimedOut(Duration),
}

impl Verdict {
    /// The verdict in one word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::TimedOut(_) => "timed out",
        }
    }

    /// Whether it speaks against the transport.
    #[must_use]
    pub fn is_red(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }
}

/// One case and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// `section/name`.
    pub name: String,
    /// What must hold.
    pub about: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// What its namespace could not be cleaned of.
    pub left_over: Option<String>,
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9} {} ({:.1} s)", self.verdict.as_str(), self.name, self.took.as_secs_f64())?;
        match &self.verdict {
            Verdict::Failed(why) => write!(f, ": {}; the rule: {}", why, self.about)?,
            Verdict::Skipped(why) => write!(f, ": {why}")?,
            Verdict::TimedOut(after) => {
                write!(f, ": no end after {:.0} s; the rule: {}", after.as_secs_f64(), self.about)?;
            }
            Verdict::Passed => {}
        }
        match &self.left_over {
            Some(text) => write!(f, " [left over: {text}]"),
            None => Ok(()),
        }
    }
}

/// What came of a run: a line for each case, in the order of the table.
///
/// Its `Display` form is one line a case and a line of totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The cases that the filter let through.
    pub cases: Vec<CaseReport>,
    /// How long the run took.
    pub took: Duration,
}

impl Report {
    /// What came of the case with this full name; `None` where it was not part of the run.
    #[must_use]
    pub fn verdict(&self, name: &str) -> Option<&Verdict> {
        self.cases.iter().find(|case| case.name == name).map(|case| &case.verdict)
    }

    /// The full names of all cases that failed or timed out.
    #[must_use]
    pub fn red(&self) -> Vec<&str> {
        let red = self.cases.iter().filter(|case| case.verdict.is_red());
        red.map(|case| case.name.as_str()).collect()
    }

    /// The full names of all cases that were skipped.
    #[must_use]
    pub fn skipped(&self) -> Vec<&str> {
        let skipped = self.cases.iter().filter(|case| matches!(case.verdict, Verdict::Skipped(_)));
        skipped.map(|case| case.name.as_str()).collect()
    }

    /// Whether at least one case was tried and none failed or timed out.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.red().is_empty() && self.cases.iter().any(|case| case.verdict == Verdict::Passed)
    }

    /// For tests.
    ///
    /// # Panics
    /// With the whole report, where it is not green.
    pub fn assert_green(&self) {
        assert!(self.is_green(), "the transport does not conform:\n{self}");
    }

    fn count(&self, word: &str) -> usize {
        self.cases.iter().filter(|case| case.verdict.as_str() == word).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        let [passed, failed, skipped, late] =
            ["passed", "failed", "skipped", "timed out"].map(|word| self.count(word));
        let seconds = self.took.as_secs_f64();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped, {late} timed out in {seconds:.1} s")
    }
}
