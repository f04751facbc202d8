//! The wildcards of ssh's files: `*` and `?`, lists with `!` for exceptions.
//!
//! Main function: [`list_matches`]. Knows nothing of files.

/// Whether a text matches a list: at least one pattern matches, and none that begins with `!`.
pub(super) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut any = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(exception) if matches(exception, text) => return false,
            Some(_) => {}
            None => any = any || matches(pattern, text),
        }
    }
    any
}

/// Whether the whole text matches one pattern, letters in any case.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match star.as_mut() {
                Some((star_pattern, taken)) => {
                    *taken += 1;
                    at_text = *taken;
                    at_pattern = *star_pattern + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_ssh() {
        for (pattern, text, expected) in [
            ("board", "board", true),
            ("board", "board-1", false),
            ("*", "", true),
            ("b*d-?", "board-1", true),
            ("*.lab", "a.b.lab", true),
            ("*.lab", "lab", false),
            ("[127.0.0.1]:*", "[127.0.0.1]:2201", true),
            ("BOARD", "board", true),
            ("*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_exception_wins_wherever_it_stands() {
        assert!(list_matches(["*", "!bad"], "good"));
        assert!(!list_matches(["*", "!bad"], "bad"));
        assert!(!list_matches(["!bad", "*"], "bad"));
        assert!(!list_matches(["!bad"], "good"));
    }
}
