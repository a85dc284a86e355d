//! Holds what was delivered against what was told.

use std::collections::{HashMap, HashSet};

use super::publisher::Board;
use crate::harness::Line;

/// What the deliveries are held against.
pub(super) struct Judge<'a> {
    pub(super) board: &'a Board,
    /// The file's length at each kill.
    pub(super) ends: &'a [u64],
    /// The most messages that the process has in hand.
    pub(super) window: u64,
}

impl Judge<'_> {
    /// The balance, in words.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn judge(&self, lines: &[Line]) -> Result<String, String> {
        let ledger = &self.board.ledger;
        lines.iter().for_each(|line| ledger.delivered(line.id()));
        let verdict = ledger.verdict();
        if !verdict.is_valid() {
            return Err(verdict.to_string());
        }
        let wrong = lines.iter().find(|line| line.event["data"]["of"] != line.event["id"]);
        if let Some(line) = wrong {
            return Err(format!("altered: {}", line.event));
        }
        let most = self.repeats_after_kills(lines)?;
        self.check_copies(lines)?;
        Ok(format!("{verdict}; at most {most} repeats after one kill"))
    }

    /// What was delivered comes again only once a process was killed: what it had in hand, or had parked
    /// without having settled the source. So no kill brings more repeats than messages were in hand. Gives
    /// the most that came after one kill.
    fn repeats_after_kills(&self, lines: &[Line]) -> Result<u64, String> {
        // By the message as it was accepted: the life of the process in which it was delivered last.
        let mut accepted: HashMap<String, usize> = HashMap::new();
        // The same by what was stored: a parked message is stored again.
        let mut stored: HashMap<String, usize> = HashMap::new();
        let mut repeats = vec![0; self.ends.len()];
        for line in lines {
            let life = self.ends.partition_point(|end| *end <= line.at);
            if stored.insert(line.stored(), life) == Some(life) {
                return Err(format!("delivered twice by one process: {}", line.event));
            }
            let Some(before) = accepted.insert(line.copy(), life) else { continue };
            // The kill that ended the life before or, where both came in one, the kill that began it.
            let Some(begun_by) = life.checked_sub(1) else {
                return Err(format!("delivered twice without a kill: {}", line.event));
            };
            repeats[before.min(begun_by)] += 1;
        }
        let most = repeats.iter().copied().max().unwrap_or(0);
        if most > self.window {
            return Err(format!("{most} repeats after one kill, over {}: {repeats:?}", self.window));
        }
        Ok(most)
    }

    /// A message has no more copies than times it was sent.
    fn check_copies(&self, lines: &[Line]) -> Result<(), String> {
        let mut copies: HashMap<&str, HashSet<String>> = HashMap::new();
        for line in lines {
            copies.entry(line.id()).or_default().insert(line.copy());
        }
        let over = copies.iter().find(|(id, copies)| copies.len() as u64 > self.board.sent(id));
        over.map_or(Ok(()), |(id, copies)| Err(format!("{id} was sent less often than stored: {copies:?}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(id: &str, sequence: u64, at: u64) -> Line {
        let event = json!({"id": id, "bwproducer": "p", "bwsequence": sequence, "data": {"of": id}});
        Line { event, at }
    }

    fn parked(id: &str, sequence: u64, at: u64) -> Line {
        let mut line = line(id, sequence, at);
        line.event["bwparked"] = json!("1");
        line
    }

    fn judged(lines: &[Line]) -> Result<String, String> {
        let board = Board::default();
        for id in ["a", "b"] {
            board.ledger.attempted(id);
            board.ledger.acknowledged(id);
        }
        Judge { board: &board, ends: &[100, 200], window: 1 }.judge(lines)
    }

    #[test]
    fn a_loss_and_a_repeat_too_many_are_found() {
        let (a, b) = (line("a", 1, 0), line("b", 2, 50));
        judged(&[a.clone(), b.clone(), line("a", 1, 100)]).unwrap();
        judged(&[a.clone(), line("b", 2, 110), parked("b", 2, 120)]).unwrap();
        for (lines, word) in [
            (vec![a.clone()], "lost 1 (b)"),
            (vec![a.clone(), b.clone(), line("c", 3, 60)], "unexpected 1 (c)"),
            (vec![a.clone(), b.clone(), line("a", 1, 60)], "delivered twice by one process"),
            (vec![a.clone(), b.clone(), parked("a", 1, 60)], "delivered twice without a kill"),
            (vec![a.clone(), b.clone(), line("a", 1, 100), line("b", 2, 110)], "2 repeats"),
            (vec![a.clone(), b.clone(), line("a", 3, 100)], "less often"),
        ] {
            let wrong = judged(&lines).unwrap_err();
            assert!(wrong.contains(word), "{word}: {wrong}");
        }
    }
}
