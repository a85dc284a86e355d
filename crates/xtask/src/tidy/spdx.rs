//! SPDX licence expressions, as manifests write them: `AND`, `OR`, `WITH`, parentheses, and the old `/`.

/// Whether the terms of the expression can be met by allowed licences alone.
///
/// `allowed` is asked for a licence or for `licence WITH exception`. An expression that cannot be read is
/// an error that says where.
pub(super) fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut parser = Parser { tokens: tokens(expression), next: 0, allowed };
    let outcome = parser.either()?;
    match parser.peek() {
        None => Ok(outcome),
        Some(token) => Err(format!("`{token}` was not expected in `{expression}`")),
    }
}

fn tokens(expression: &str) -> Vec<String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Parser<'a> {
    tokens: Vec<String>,
    next: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(String::as_str)
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek() == Some(keyword);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(word) if !["(", ")", "AND", "OR", "WITH"].contains(&word) => {
                let word = word.to_owned();
                self.next += 1;
                Ok(word)
            }
            Some(other) => Err(format!("a licence was expected, not `{other}`")),
            None => Err("a licence was expected at the end".to_owned()),
        }
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut outcome = self.both()?;
        while self.take("OR") {
            outcome |= self.both()?;
        }
        Ok(outcome)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut outcome = self.term()?;
        while self.take("AND") {
            outcome &= self.term()?;
        }
        Ok(outcome)
    }

    fn term(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let outcome = self.either()?;
            return if self.take(")") { Ok(outcome) } else { Err("`)` is missing".to_owned()) };
        }
        let mut licence = self.word()?;
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.word()?);
        }
        Ok((self.allowed)(&licence))
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    fn allowed(licence: &str) -> bool {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"].contains(&licence)
    }

    #[test]
    fn expressions_are_evaluated() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("MIT OR GPL-3.0 AND GPL-2.0", true),
            ("(MIT OR GPL-3.0) AND GPL-2.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("GPL-2.0 WITH Classpath-exception-2.0 OR (ISC)", true),
        ] {
            assert_eq!(satisfied(expression, &allowed), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn a_broken_expression_is_an_error() {
        for expression in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT)", "MIT WITH"] {
            assert!(satisfied(expression, &allowed).is_err(), "{expression}");
        }
    }
}
