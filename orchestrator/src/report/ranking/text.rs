use crate::score::Ranking;

use super::{Labels, preamble, reasons, table, terms_table};
use crate::report::table::push_wrapped;
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
    text.push_str(&table(ranking, &labels).text(Some(width)));
    if with_terms {
        text.push('\n');
        // A run's identifier is of use only whole.
        text.push_str(&terms_table(ranking, &labels).text(None));
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
