//! The one guard between texts from outside and whoever reads them: a terminal, a log, a spreadsheet, a page. Devices,
//! models, farm files and people choose texts that are printed here; none of them may move a cursor, begin a line of
//! its own, run as a formula, or change the order in which other text is read. The page has the same in `page/dom.js`.

/// The text on one line, without anything that moves a terminal's cursor or hides text: control characters, line
/// separators and marks that change the direction of writing become one space.
pub fn single_line(text: &str) -> String {
    indented_line(text).trim().to_owned()
}

/// The same, with the spaces at its beginning and end.
pub fn indented_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_unsafe(c) {
            line.push(c);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line
}

/// Whether a text is what [`single_line`] would make of it, but for spaces around it.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(is_unsafe)
}

/// A text of several lines: its line breaks are ours and stay, and each line is guarded. Colours stay where
/// `is_coloured`: whoever put them in has guarded the texts between them.
pub fn printable(text: &str, is_coloured: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if is_coloured { colour_length(rest) } else { 0 };
        let taken = if colour > 0 { colour } else { c.len_utf8() };
        if colour > 0 || c == '\n' || !is_unsafe(c) {
            safe.push_str(&rest[..taken]);
        } else if !safe.ends_with([' ', '\n']) && !safe.is_empty() {
            safe.push(' ');
        }
        rest = &rest[taken..];
    }
    safe
}

/// The bytes of the sequence that sets a colour, where the text begins with one; else none.
fn colour_length(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else { return 0 };
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
    end.filter(|end| parameters[*end..].starts_with('m')).map_or(0, |end| "\x1b[".len() + end + "m".len())
}

/// JSON that shows no character which the guard is against: each is written as its escape, so it means the same. Line
/// breaks between its parts stay.
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            c.encode_utf16(&mut units).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || is_direction_mark(c) || is_hidden(c)
}

/// Marks, embeddings, overrides and isolates of the direction of writing.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// Characters without a look of their own, that begin a line or hide what else is there.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// A text as a cell of a CSV file: on one line, and text for whoever reads it. CSV has no types, so spreadsheets run a
/// cell that begins with `=`, `+`, `-` or `@` (and devices choose some of our texts), make 7 of a device `007`, and 1.1
/// of a version `1.10`; pandas takes `NA` for nothing. Such a text gets an apostrophe in front. Numbers are not texts
/// and stay as they are.
pub fn csv_text(text: &str) -> String {
    let line = single_line(text);
    if is_mistakable(&line) { format!("'{line}") } else { line }
}

/// A cell of a table of which it is not known whether it is a number: on one line, and no formula.
pub fn csv_cell(text: &str) -> String {
    let line = single_line(text);
    let is_number = line.parse::<f64>().is_ok();
    if begins_formula(&line) && line != "-" && !is_number { format!("'{line}") } else { line }
}

/// The wide forms are what a spreadsheet of Japan takes for the others.
fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// Whether a reader of CSV may take the text for something else: a formula, a number, a date, a truth value or nothing.
fn is_mistakable(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["true", "false", "t", "f", "yes", "no", "y", "n", "na", "n/a", "#n/a", "<na>", "null", "none"];
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_date = text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains(['-', '/', ':'])
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | ':' | '.' | ' '));
    begins_formula(text) || text.starts_with('\'') || text.parse::<f64>().is_ok() || is_word || is_date
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that the guard is against.
    const HARM: [char; 12] = [
        '\0',
        '\u{7}',
        '\u{1b}',
        '\u{7f}',
        '\u{9b}',
        '\u{61c}',
        '\u{200f}',
        '\u{202e}',
        '\u{2067}',
        '\u{2028}',
        '\u{200b}',
        '\u{e0041}',
    ];

    #[test]
    fn one_line_without_control_characters() {
        assert_eq!(single_line("a\r\n\tb\u{1b}[31mc\u{202e}d\0"), "a b [31mc d");
        assert_eq!(single_line(" naïve ☃ "), "naïve ☃");
        assert_eq!(single_line("\n"), "");
        assert_eq!(indented_line("  | a\nb "), "  | a b ");
        assert!(HARM.iter().all(|c| !is_plain(&c.to_string())), "each is seen");
        assert!(is_plain("naïve ☃ 👩\u{200d}🔬 \u{5d0}"));
    }

    #[test]
    fn lines_of_ours_stay_and_colours_where_they_are_ours() {
        for c in HARM {
            assert_eq!(printable(&format!("a\n b{c}c\n"), false), "a\n b c\n", "{c:?}");
        }
        let coloured = "\x1b[31;1mred\x1b[0m \x1b]0;title\x07 \x1b[2J";
        assert_eq!(printable(coloured, true), "\x1b[31;1mred\x1b[0m ]0;title  [2J");
        assert!(!printable(coloured, false).contains('\x1b'));
    }

    #[test]
    fn json_means_what_it_meant() {
        for c in HARM {
            let json = serde_json::to_string_pretty(&[c.to_string()]).expect("JSON");
            let safe = printable_json(&json);
            assert!(safe.lines().all(is_plain), "{safe:?}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&safe).expect("JSON"), [c.to_string()]);
        }
    }

    #[test]
    fn formulas_become_text() {
        for formula in ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "\u{200f}=1", "\u{ff1d}1"] {
            assert!(csv_text(formula).starts_with('\''), "{formula:?}");
            assert!(csv_cell(formula).starts_with('\''), "{formula:?}");
        }
        assert_eq!((csv_text("a=b"), csv_cell("a=b")), ("a=b".to_owned(), "a=b".to_owned()));
        assert_eq!(["-1", "1.5", "-", "yes", "+3"].map(csv_cell), ["-1", "1.5", "-", "yes", "+3"]);
    }

    #[test]
    fn texts_stay_texts() {
        for text in
            ["007", "1e3", ".5", "1.10", "inf", "NaN", "NA", "null", "t", "No", "2026-11-25", "10/12", "12:30", "'a"]
        {
            assert_eq!(csv_text(text), format!("'{text}"));
        }
        for text in ["0.23.9", "board-1", "v2", "4 5", "rk3588", "", "0a", "R58M123ABCD", "20261123-230000-all-7f3a"] {
            assert_eq!(csv_text(text), text);
        }
    }
}
