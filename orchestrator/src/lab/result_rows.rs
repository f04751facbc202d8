//! The rows of all sweeps that a condition is true of.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::report::Row;
use crate::report::filter::{Filter, FilterFault};
use crate::store::SweepPage;

/// Sweeps that are asked for at once.
const SWEEPS_AT_ONCE: u32 = 50;

/// Which rows are asked for.
#[derive(Debug, Clone)]
pub struct RowQuery {
    /// What is true of them.
    pub filter: Filter,
    /// Of sweeps that began no longer ago than this.
    pub since: Option<SignedDuration>,
    /// Behind this one.
    pub after: Option<RowPlace>,
    /// Most sweeps that are read.
    pub most_sweeps: Option<u32>,
}

impl RowQuery {
    /// The rows that the condition of a text is true of; all without one.
    ///
    /// # Errors
    /// When it is no condition.
    pub fn parse(condition: Option<&str>, since: Option<SignedDuration>) -> Result<RowQuery, LabError> {
        let filter = condition.map_or_else(|| Ok(Filter::everything()), Filter::parse).map_err(explained)?;
        Ok(RowQuery { filter, since, after: None, most_sweeps: None })
    }
}

/// How far the rows of all sweeps were read: the newest sweep first, each in the order of its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlace {
    /// When the sweep began.
    pub started_at: Timestamp,
    /// The sweep. It need not be there any more.
    pub sweep: SweepId,
    /// Rows of it that were read.
    pub rows: usize,
}

/// What reading came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsRead {
    /// Where to go on; none when there is no more.
    pub next: Option<RowPlace>,
    /// Sweeps that were read.
    pub sweeps: u32,
}

impl Lab {
    /// Hands over the rows that are asked for, one by one, until it is told to stop. One sweep at a time is in memory.
    ///
    /// # Errors
    /// When the store can't be read, or whoever gets the rows refuses.
    pub fn read_rows(
        &self,
        query: &RowQuery,
        mut each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, LabError>,
    ) -> Result<RowsRead, LabError> {
        let since = query.since.map(|since| self.now() - since);
        let mut sweeps = 0;
        let mut place = query.after.clone();
        loop {
            let page = self.sweeps_behind(place.as_ref())?;
            for sweep in page.iter().filter(|sweep| since.is_none_or(|since| sweep.started_at >= since)) {
                if query.most_sweeps.is_some_and(|most| sweeps >= most) {
                    return Ok(RowsRead { next: place, sweeps });
                }
                sweeps += 1;
                let read_before = place.as_ref().filter(|place| place.sweep == sweep.id).map_or(0, |place| place.rows);
                let results = self.results(sweep.clone())?;
                let input = results.input();
                let at = |rows: usize| RowPlace { started_at: sweep.started_at, sweep: sweep.id.clone(), rows };
                for (index, row) in input.rows().iter().enumerate().skip(read_before) {
                    if query.filter.is_true_of(row) && each(row)?.is_break() {
                        return Ok(RowsRead { next: Some(at(index + 1)), sweeps });
                    }
                }
                place = Some(at(usize::MAX));
            }
            let is_last = page.last().is_none_or(|last| since.is_some_and(|since| last.started_at < since));
            if is_last {
                return Ok(RowsRead { next: None, sweeps });
            }
        }
    }

    /// The sweeps that are to be read behind a place: that one first, where it has rows left.
    fn sweeps_behind(&self, place: Option<&RowPlace>) -> Result<Vec<SweepRow>, LabError> {
        let store = self.store()?;
        let before = place.map(|place| (place.started_at, place.sweep.as_str()));
        let mut page = match place {
            Some(place) if place.rows < usize::MAX => store.sweep(&place.sweep)?.into_iter().collect(),
            _ => Vec::new(),
        };
        page.extend(store.sweeps_page(SweepPage { before, limit: SWEEPS_AT_ONCE, ..SweepPage::default() })?);
        Ok(page)
    }
}

fn explained(fault: FilterFault) -> LabError {
    let hint = fault.hint().map(str::to_owned);
    hint.into_iter().fold(LabError::usage(format!("failed to {fault}")), LabError::with_hint)
}
