use comfy_table::CellAlignment;

use crate::score::Ranking;

use super::{Labels, preamble, reasons, table, terms_table};
use crate::report::table::{plain_table, push_wrapped};
use crate::wording::single_line;

/// A ranking for a terminal `width` columns wide, with each term and its run where `with_terms`.
pub fn ranking_text(ranking: &Ranking, width: u16, with_terms: bool) -> String {
    let labels = Labels::of(ranking);
    let columns = usize::from(width);
    let mut text = String::new();
    for line in preamble(ranking, &labels) {
        push_wrapped(&mut text, &single_line(&line), "", columns);
    }
    text.push('\n');
    push_table(&mut text, table(ranking, &labels), Some(width));
    if with_terms {
        text.push('\n');
        // A run's identifier is of use only whole.
        push_table(&mut text, terms_table(ranking, &labels), None);
    }
    let reasons = reasons(ranking, &labels);
    if !reasons.is_empty() {
        text.push_str("\nwithout a rank\n");
        reasons.iter().for_each(|reason| push_wrapped(&mut text, &single_line(reason), "  ", columns));
    }
    for note in &ranking.result.notes {
        text.push('\n');
        push_wrapped(&mut text, &single_line(note), "", columns);
    }
    text
}

fn push_table(text: &mut String, (header, rows): (Vec<(String, bool)>, Vec<Vec<String>>), width: Option<u16>) {
    // Units stand below names, so that columns are narrow.
    let names: Vec<String> = header.iter().map(|(name, _)| name.replace(", ", "\n")).collect();
    let mut table = plain_table(&names.iter().map(String::as_str).collect::<Vec<_>>(), width);
    for (index, (_, is_number)) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index).filter(|_| *is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| single_line(cell)));
    }
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
