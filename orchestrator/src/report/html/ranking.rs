use std::fmt::{self, Write};

use crate::domain::Record;
use crate::score::{self, Options, Ranking, ResultMatrix, ScoredRun};

use super::super::label::number;
use super::super::ranking::Labels;
use super::escaped;

/// Scores that the page can show, the one that says more first: without measured accuracy there is no VIPS.
const SHOWN: [&str; 2] = ["aiotbench", "throughput"];

/// Who is how good: a bar a system.
pub(super) fn write_chart(records: &[Record], page: &mut String) -> fmt::Result {
    let runs: Vec<ScoredRun> = records.iter().map(ScoredRun::of).collect();
    // Records that contradict one another have no ranking, and that is no reason to have no page.
    let Ok(matrix) = ResultMatrix::new(&runs) else { return Ok(()) };
    let ranking = |name| score::rank(score::score(name)?, &matrix, &Options::default()).ok();
    match SHOWN.into_iter().find_map(ranking) {
        Some(ranking) if ranking.result.rows.iter().any(|row| row.values[0] > Some(0.0)) => write_bars(&ranking, page),
        _ => Ok(()),
    }
}

fn write_bars(ranking: &Ranking, page: &mut String) -> fmt::Result {
    let labels = Labels::of(ranking);
    let figure = ranking.result.figures[0];
    let largest = ranking.result.rows.iter().filter_map(|row| row.values[0]).fold(0.0, f64::max);
    writeln!(page, "<h2>Ranking</h2>")?;
    writeln!(
        page,
        "<p class=\"key\">{}</p>",
        escaped(&ranking.result.definition.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" "))
    )?;
    writeln!(
        page,
        "<p class=\"key\">{} workloads: {}.</p>",
        ranking.workloads.len(),
        escaped(&ranking.workloads.iter().map(|workload| labels.workload(workload)).collect::<Vec<_>>().join(", "))
    )?;
    writeln!(
        page,
        "<section class=\"chart ranking\"><div class=\"row head\"><span></span><span></span><span class=\"n\">{}</span></div>",
        escaped(figure.unit)
    )?;
    for row in &ranking.result.rows {
        let settings = labels.settings(row);
        let separator = if settings.is_empty() { "" } else { " · " };
        let place = row.rank.map_or_else(|| "–".to_owned(), |rank| format!("{rank}."));
        let name = format!("{}{separator}{settings}", row.device);
        let (value, class) = (row.values[0].unwrap_or(0.0), if row.rank.is_some() { "whole" } else { "part" });
        writeln!(page, "<div class=\"row {class}\"><span class=\"who\">{place} {}</span>", escaped(&name))?;
        let width = value / largest * 100.0;
        let mark = row.unranked.as_deref().map(escaped).unwrap_or_default();
        writeln!(page, "<div class=\"bar\"><i style=\"width:{width:.2}%\"></i><em>{mark}</em></div>")?;
        writeln!(page, "<span class=\"n\">{}</span></div>", number(row.values[0]))?;
    }
    writeln!(page, "</section>")
}
