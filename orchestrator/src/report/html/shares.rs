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
    let share = |class, word, is_of_it: &dyn Fn(&Row<'_>) -> bool| {
        let count = rows.iter().filter(|row| is_of_it(row)).count();
        let width_percent = count as f64 / rows.len().max(1) as f64 * 100.0;
        Share { class, word, count, width_percent, percent: format!("{width_percent:.1}") }
    };
    let mut shares = vec![share("good", "ok", &|row| row.record.status == RunStatus::Ok && row.doubt().is_none())];
    shares.extend(Verdict::DOUBTS.map(|doubt| share("odd", doubt.as_str(), &|row| row.doubt() == Some(doubt))));
    let others = [(RunStatus::Failed, "bad"), (RunStatus::Skipped, "out"), (RunStatus::Cancelled, "out")];
    shares.extend(others.map(|(status, class)| share(class, status.as_str(), &|row| row.record.status == status)));
    shares.retain(|share| share.count > 0);
    shares
}
