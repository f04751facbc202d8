//! The rows of all sweeps that a condition is true of.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::domain::{SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::report::filter::{Filter, FilterFault};
use crate::report::{Row, RowContext};
use crate::store::SweepPage;

use super::sweep::RecordParts;

/// Sweeps that are asked for at once.
const SWEEPS_AT_ONCE: u32 = 50;
/// Large sweeps of which it is kept what their rows have to know of each other. It takes about 30 bytes a record.
const KEPT: usize = 4;
/// How long that is gone by. What a row says itself is read each time; that a result came late changes little else.
const FRESH: Duration = Duration::from_secs(300);

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

/// Large sweeps that were read last: for who reads on.
#[derive(Default)]
pub struct LargeSweeps(Mutex<Vec<Arc<LargeSweep>>>);

/// Where the records of a sweep are, and what its rows have to know of each other.
struct LargeSweep {
    parts: RecordParts,
    context: RowContext,
    made_at: Instant,
}

impl LargeSweeps {
    /// The sweep, where it was read lately.
    fn known(&self, sweep: &SweepId) -> Option<Arc<LargeSweep>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |it: &&Arc<LargeSweep>| it.parts.sweep() == sweep && it.made_at.elapsed() < FRESH;
        kept.iter().find(is_known).map(Arc::clone)
    }

    fn keep(&self, sweep: &Arc<LargeSweep>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|it| it.parts.sweep() != sweep.parts.sweep());
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(sweep));
    }
}

impl Lab {
    /// Hands over the rows that are asked for, one by one, until it is told to stop. A part of one sweep at a time is
    /// in memory.
    ///
    /// # Errors
    /// When the store can't be read, or whoever gets the rows refuses.
    pub fn read_rows(
        &self,
        query: &RowQuery,
        large: &LargeSweeps,
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
                let at = |rows: usize| RowPlace { started_at: sweep.started_at, sweep: sweep.id.clone(), rows };
                let mut wanted = |row: &Row<'_>| {
                    if query.filter.is_true_of(row) { each(row) } else { Ok(ControlFlow::Continue(())) }
                };
                if let ControlFlow::Break(rows) = self.read_rows_of(sweep, read_before, large, &mut wanted)? {
                    return Ok(RowsRead { next: Some(at(rows)), sweeps });
                }
                place = Some(at(usize::MAX));
            }
            let is_last = page.last().is_none_or(|last| since.is_some_and(|since| last.started_at < since));
            if is_last {
                return Ok(RowsRead { next: None, sweeps });
            }
        }
    }

    /// Hands over the rows of a sweep from one on. Where it is told to stop, it says how many were read.
    fn read_rows_of(
        &self,
        sweep: &SweepRow,
        from: usize,
        large: &LargeSweeps,
        each: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, LabError>,
    ) -> Result<ControlFlow<usize>, LabError> {
        let rows = match large.known(&sweep.id) {
            Some(known) => known,
            None => {
                let parts = self.record_parts(sweep)?;
                if parts.is_one() {
                    let results = self.results(sweep.clone())?;
                    return hand_over(results.input().rows().get(from..).unwrap_or_default(), from, each);
                }
                let context = self.row_context(&parts)?;
                let made = Arc::new(LargeSweep { parts, context, made_at: Instant::now() });
                // That of a sweep under way is another in a moment.
                if sweep.state.is_over() {
                    large.keep(&made);
                }
                made
            }
        };
        for first in rows.parts.beginnings(from) {
            let part = rows.parts.part(first, &rows.context)?;
            let handed = hand_over(&part.rows(sweep, &rows.context), first, each)?;
            if handed.is_break() {
                return Ok(handed);
            }
        }
        Ok(ControlFlow::Continue(()))
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

/// Hands over rows, of which the first is the `first` of its sweep. Where it is told to stop, it says how many of the
/// sweep were read.
fn hand_over(
    rows: &[Row<'_>],
    first: usize,
    each: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, LabError>,
) -> Result<ControlFlow<usize>, LabError> {
    for (index, row) in rows.iter().enumerate() {
        if each(row)?.is_break() {
            return Ok(ControlFlow::Break(first + index + 1));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn explained(fault: FilterFault) -> LabError {
    let hint = fault.hint().map(str::to_owned);
    hint.into_iter().fold(LabError::usage(format!("failed to {fault}")), LabError::with_hint)
}
