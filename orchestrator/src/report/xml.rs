use crate::wording::single_line;

/// A text as the value of an attribute: on one line, and no markup.
pub(super) fn attribute(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in single_line(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
