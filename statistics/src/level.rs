use crate::{Change, Drift};

/// Whether the level of a series changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Straight line through the series.
    pub drift: Option<Drift>,
    /// Change that stands out most.
    pub change: Option<Change>,
}

impl Level {
    /// Both, of a series in the order measured.
    pub fn of(series: &[u64], p50_ns: u64) -> Level {
        Level { drift: Drift::of(series, p50_ns), change: Change::of(series) }
    }

    /// The change, if it is no chance, and it or the drift over the whole series is at least so many per cent.
    pub fn changed_by(&self, percent: f64) -> Option<Change> {
        let change = self.change.filter(Change::is_significant)?;
        let drift = self.drift.map_or(0.0, |drift| drift.percent_in_all.abs());
        (drift.max(change.percent.abs()) >= percent).then_some(change)
    }
}
