//! What a file endpoint wrote.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A delivery.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The whole event.
    pub(crate) event: Value,
    /// Where the line begins in the file.
    pub(crate) at: u64,
}

impl Line {
    /// The message's id.
    pub(crate) fn id(&self) -> &str {
        self.event["id"].as_str().unwrap()
    }

    /// Which copy it is: a message that was published again with its id is another copy, one that is
    /// delivered again is not.
    pub(crate) fn copy(&self) -> String {
        format!("{}/{}", self.event["bwproducer"].as_str().unwrap(), self.event["bwsequence"])
    }

    /// Which of the stored forms of a copy it is: parking stores it anew.
    pub(crate) fn stored(&self) -> String {
        format!("{}/{}", self.copy(), self.event["bwparked"])
    }
}

/// All lines; none where there is no file.
///
/// # Panics
/// Where one is no JSON, the last one included.
pub(crate) fn read_lines(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut at = 0;
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let event = serde_json::from_str(line);
        let event = event.unwrap_or_else(|error| panic!("{}, byte {at}: {error}: {line}", path.display()));
        assert!(line.ends_with('\n'), "the last line has no end: {line}");
        lines.push(Line { event, at });
        at += line.len() as u64;
    }
    lines
}

/// The ids in the order of their delivery.
pub(crate) fn ids(path: &Path) -> Vec<String> {
    read_lines(path).iter().map(|line| line.id().to_owned()).collect()
}
