use crate::domain::{RunStatus, Verdict};
use crate::report::tally::Tally;

/// A part of all rows.
pub(super) struct Share {
    /// Names its colour.
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) count: usize,
    pub(super) width_percent: f64,
    pub(super) percent: String,
}

/// What part of the rows that count is good, doubtful for which reason, or without a result. Parts without a row are
/// left out.
pub(super) fn shares(tally: &Tally) -> Vec<Share> {
    let share = |class, word, count: usize| {
        let width_percent = count as f64 / tally.counting().max(1) as f64 * 100.0;
        Share { class, word, count, width_percent, percent: format!("{width_percent:.1}") }
    };
    let doubted: usize = Verdict::DOUBTS.iter().map(|doubt| tally.doubted(*doubt)).sum();
    let mut shares = vec![share("good", "ok", tally.count(RunStatus::Ok).saturating_sub(doubted))];
    shares.extend(Verdict::DOUBTS.map(|doubt| share("odd", doubt.as_str(), tally.doubted(doubt))));
    let others = [(RunStatus::Failed, "bad"), (RunStatus::Skipped, "out"), (RunStatus::Cancelled, "out")];
    shares.extend(others.map(|(status, class)| share(class, status.as_str(), tally.count(status))));
    shares.retain(|share| share.count > 0);
    shares
}
