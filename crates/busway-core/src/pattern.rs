//! Patterns of types and accounts, matched one at a time; routing compiles many into a table.

/// Whether a text, words separated by `.`, is of this pattern: `*` stands for one word, `#` for any
/// number of words, none included.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    // After each word: which beginnings of the pattern what came so far is of.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_any(&pattern, &mut reached);
    for word in text.split('.') {
        let mut next = vec![false; pattern.len() + 1];
        for (at, part) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match *part {
                "#" => next[at] = true,
                part => next[at + 1] |= part == "*" || part == word,
            }
        }
        skip_any(&pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// A `#` may stand for no word at all.
fn skip_any(pattern: &[&str], reached: &mut [bool]) {
    for (at, part) in pattern.iter().enumerate() {
        reached[at + 1] |= reached[at] && *part == "#";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stars_and_hashes() {
        for (pattern, text, fits) in [
            ("item.updated", "item.updated", true),
            ("item.updated", "item", false),
            ("item.*", "item.updated", true),
            ("item.*", "item", false),
            ("item.*", "item.price.updated", false),
            ("item.#", "item", true),
            ("item.#", "item.price.updated", true),
            ("#.updated", "item.price.updated", true),
            ("#.price.#", "item.price.updated", true),
            ("#", "anything.at.all", true),
            ("*.#.*", "a", false),
            ("*.#.*", "a.b", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
