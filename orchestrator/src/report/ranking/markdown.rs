use crate::score::Ranking;

use super::{Labels, preamble, reasons, table, terms_table};
use crate::report::markdown::{escaped, table as markdown_table};

/// A ranking for an issue or a page, with each term and its run where `with_terms`.
pub fn ranking_markdown(ranking: &Ranking, with_terms: bool) -> String {
    let labels = Labels::of(ranking);
    let mut text = format!("# {}\n\n", ranking.score);
    for line in preamble(ranking, &labels) {
        text.push_str(&format!("{}\n", escaped(&line)));
    }
    text.push('\n');
    push_table(&mut text, table(ranking, &labels));
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
        push_table(&mut text, terms_table(ranking, &labels));
    }
    text
}

fn push_table(text: &mut String, (header, rows): (Vec<(String, bool)>, Vec<Vec<String>>)) {
    let header: Vec<(&str, bool)> = header.iter().map(|(name, is_number)| (name.as_str(), *is_number)).collect();
    text.push_str(&markdown_table(&header, rows));
}
