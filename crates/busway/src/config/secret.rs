//! What is hidden of a value that is shown.

/// The text with the user part of a URL hidden.
pub(super) fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_part_of_a_url_is_hidden() {
        assert_eq!(without_userinfo("postgres://u:p@db:5432/x?y=a@b"), "postgres://***@db:5432/x?y=a@b");
        assert_eq!(without_userinfo("http://host/a@b"), "http://host/a@b");
        assert_eq!(without_userinfo("var/x"), "var/x");
    }
}
