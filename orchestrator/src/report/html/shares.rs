use crate::domain::{RunStatus, Verdict};
use crate::report::columns::Row;

/// A part of all rows.
pub(super) struct Share {
    /// Names its colour.
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) count: usize,
    pub(super) width_percent: f64,
    pub(super) percent: String,
}

/// What part of these rows is good, doubtful for which reason, or without a result. Parts without a row are left out.
pub(super) fn shares(rows: &[Row<'_>]) -> Vec<Share> {
    let is_good = |row: &&Row<'_>| row.record.status == RunStatus::Ok && row.doubt().is_none();
    let of_status = |status| rows.iter().filter(|row| row.record.status == status).count();
    let of_doubt = |doubt| rows.iter().filter(|row| row.doubt() == Some(doubt)).count();
    let mut parts = vec![("good", "ok", rows.iter().filter(is_good).count())];
    parts.extend(Verdict::DOUBTS.map(|doubt| ("odd", doubt.as_str(), of_doubt(doubt))));
    let others = [(RunStatus::Failed, "bad"), (RunStatus::Skipped, "out"), (RunStatus::Cancelled, "out")];
    parts.extend(others.map(|(status, class)| (class, status.as_str(), of_status(status))));
    let share = |(class, word, count): (&'static str, &'static str, usize)| {
        let width_percent = count as f64 / rows.len().max(1) as f64 * 100.0;
        Share { class, word, count, width_percent, percent: format!("{width_percent:.1}") }
    };
    parts.into_iter().filter(|(.., count)| *count > 0).map(share).collect()
}
