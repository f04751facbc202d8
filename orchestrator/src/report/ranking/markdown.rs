use crate::score::Ranking;

use super::{Labels, preamble, reasons, table, terms_table};
use crate::report::markdown::escaped;

/// A ranking for an issue or a page, with each term and its run where `with_terms`.
pub fn ranking_markdown(ranking: &Ranking, with_terms: bool) -> String {
    let labels = Labels::of(ranking);
    let mut text = format!("# {}\n\n", ranking.score);
    for line in preamble(ranking, &labels) {
        text.push_str(&format!("{}\n", escaped(&line)));
    }
    text.push('\n');
    text.push_str(&table(ranking, &labels).markdown());
    let reasons = reasons(ranking, &labels);
    if !reasons.is_empty() {
        text.push_str("\n**Without a rank**\n\n");
        reasons.iter().for_each(|reason| text.push_str(&format!("- {}\n", escaped(reason))));
    }
    for note in &ranking.result.notes {
        text.push_str(&format!("\n{}\n", escaped(note)));
    }
    if with_terms {
        text.push_str("\n## Terms\n\n");
        text.push_str(&terms_table(ranking, &labels).markdown());
    }
    text
}
