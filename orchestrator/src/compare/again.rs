use super::family::geomeans;
use super::{Axis, CellKey, ComparedCell, Comparison, Verdict};

/// What was measured again side by side, in a sweep of its own.
#[derive(Debug, Clone)]
pub struct MeasuredAgain {
    /// What it says.
    pub comparison: Comparison,
    /// The sweep's name.
    pub sweep: String,
    /// The axis whose values were compared, and the two values.
    pub across: Option<(Axis, (String, String))>,
}

impl ComparedCell {
    /// Whether it can't be told, though both sides have a time: measured side by side, it might be. So might a cell of
    /// which B lost runs.
    pub fn may_be_told(&self) -> bool {
        let has_both = self.a.median_s().is_some() && self.b.median_s().is_some();
        let is_open = matches!(self.verdict, Verdict::Unclear | Verdict::NotComparable);
        has_both && (is_open || self.lost().is_some())
    }
}

impl Comparison {
    /// Puts what was measured again in the place of what could not be told, and says so.
    pub fn take_over(&mut self, again: MeasuredAgain) {
        let MeasuredAgain { comparison, sweep, across } = again;
        let mut taken = 0;
        for new in comparison.cells {
            let mut key: CellKey = new.key.clone();
            if let Some((axis, _)) = across {
                axis.take(&mut key);
            }
            let values = across.as_ref().map(|(_, values)| values);
            let is_it = |cell: &&mut ComparedCell| cell.key == key && cell.across.as_ref() == values;
            let Some(cell) = self.cells.iter_mut().filter(|cell| cell.may_be_told()).find(is_it) else { continue };
            // What has no time is no better.
            if new.verdict == Verdict::NotComparable {
                cell.why = Some(format!("measured again: {}", new.why.unwrap_or_default()));
                continue;
            }
            let (key, across) = (cell.key.clone(), cell.across.clone());
            *cell = ComparedCell { key, across, ..new };
            taken += 1;
        }
        self.geomeans = geomeans(&self.cells);
        let what = if taken == 1 { "1 cell that was".to_owned() } else { format!("{taken} cells that were") };
        self.notes.push(format!("{what} unclear: measured again side by side, in sweep {sweep}."));
    }
}
