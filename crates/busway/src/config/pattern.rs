//! Patterns of types and accounts in routes.

/// Checks a pattern: words separated by `.`, where `*` stands for one word and `#` for any number.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    for word in pattern.split('.') {
        if word.is_empty() {
            return Err(format!("{pattern:?} has an empty word"));
        }
        if word.len() > 1 && word.contains(['*', '#']) {
            return Err(format!(
                "{pattern:?} is no pattern: `*` and `#` stand for whole words, as in \"item.*\""
            ));
        }
        if word.contains(char::is_whitespace) || word.contains(char::is_control) {
            return Err(format!("{pattern:?} has a space in it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_pattern;

    #[test]
    fn patterns_are_checked_word_by_word() {
        for good in ["*", "#", "item.*", "customer.#", "#.done", "a.*.b.#", "octo-org", "a_b"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "item*", "a.#b", "**", "a b"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
