/// A table in Markdown.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(header.iter().map(ToString::to_string).collect());
    text.push_str(&line(header.iter().map(|_| "---".to_owned()).collect()));
    for row in rows {
        text.push_str(&line(row.into_iter().map(|text| cell(&text)).collect()));
    }
    text
}

/// A text as one cell: on one line, and with no sign that ends the cell or begins a tag.
pub(super) fn cell(text: &str) -> String {
    let mut cell = String::new();
    let mut is_code = false;
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        is_code ^= c == '`';
        match c {
            '|' => cell.push_str("\\|"),
            '<' if !is_code => cell.push_str("&lt;"),
            c => cell.push(c),
        }
    }
    cell
}
