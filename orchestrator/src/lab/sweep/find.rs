//! What the store has of earlier sweeps.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::{Submission, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::{Lab, LabError};
use crate::lease::live_holder;
use crate::store::{LeaseHolder, SweepPage};

/// Sweeps among which `latest` is looked for.
const LOOKED_AT: u32 = 100;

impl Lab {
    /// The sweep that a person means by its identifier, the beginning of one, or `latest`.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find_sweep(&self, wanted: &str) -> Result<SweepRow, LabError> {
        if let Some(sweep) = self.sweep_of_id(wanted)? {
            return Ok(sweep);
        }
        let error = LabError::usage(format!("there is no sweep {wanted:?}"));
        if let Some(named) = self.newest_sweep_named(wanted)? {
            return Err(error.with_hint(format!("the newest sweep of this name is {}", named.id)));
        }
        let sweeps = self.store()?.newest_sweeps("", 5)?;
        let newest: Vec<&str> = sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
        Err(error.with_hint(format!("the newest are: {}", newest.join(", "))))
    }

    /// The same; the name of a sweep means the newest of that name, too: for what only reads.
    ///
    /// # Errors
    /// When there is none, or there are several whose identifiers begin so.
    pub fn sweep_meant(&self, wanted: &str) -> Result<SweepRow, LabError> {
        match self.sweep_of_id_or_name(wanted)? {
            Some(sweep) => Ok(sweep),
            None => self.find_sweep(wanted),
        }
    }

    /// The sweep that is meant, if there is one.
    ///
    /// # Errors
    /// When there are several whose identifiers begin so.
    pub(in crate::lab) fn sweep_of_id_or_name(&self, wanted: &str) -> Result<Option<SweepRow>, LabError> {
        match self.sweep_of_id(wanted)? {
            Some(sweep) => Ok(Some(sweep)),
            None => self.newest_sweep_named(wanted),
        }
    }

    fn sweep_of_id(&self, wanted: &str) -> Result<Option<SweepRow>, LabError> {
        let store = self.store()?;
        if wanted == "latest" {
            let newest = self.newest_dated(store.newest_sweeps("", LOOKED_AT)?);
            return newest.ok_or_else(|| LabError::nothing("this lab has no sweep yet")).map(Some);
        }
        if let Some(exact) = store.sweep(&SweepId(wanted.to_owned()))? {
            return Ok(Some(exact));
        }
        let mut matching = store.newest_sweeps(wanted, 2)?.into_iter();
        match (matching.next(), matching.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => Err(LabError::usage(format!("{wanted:?} is the beginning of several sweeps"))),
        }
    }

    fn newest_sweep_named(&self, name: &str) -> Result<Option<SweepRow>, LabError> {
        let (store, words) = (self.store()?, [name.to_lowercase()]);
        let mut before: Option<SweepRow> = None;
        loop {
            // The word may stand elsewhere, too: in the name of a file, for example.
            let start = before.as_ref().map(|sweep| (sweep.started_at, sweep.id.as_str()));
            let page = store.sweeps_page(SweepPage { before: start, words: &words, limit: LOOKED_AT })?;
            let last = page.last().cloned();
            let named = page.into_iter().filter(|sweep| sweep.name == name).collect();
            if let Some(newest) = self.newest_dated(named) {
                return Ok(Some(newest));
            }
            if last.is_none() {
                return Ok(None);
            }
            before = last;
        }
    }

    /// The first of these whose date is not in the future. One that is dated later was begun by a clock that was ahead:
    /// where there is no other, it will do.
    fn newest_dated(&self, newest: Vec<SweepRow>) -> Option<SweepRow> {
        let now = self.dated_now().unwrap_or_else(|| self.now());
        let dated = newest.iter().find(|sweep| sweep.started_at <= now);
        dated.or(newest.first()).cloned()
    }

    /// The sweep that is to go on, if it can: the one that is `wanted`, or the newest (of this file) without a word.
    ///
    /// # Errors
    /// When there is none, or it is over, cancelled, or of a farmctl that could not do this.
    pub(super) fn find_unfinished(
        &self,
        config: Option<&Path>,
        wanted: &str,
    ) -> Result<(SweepRow, SweepDefinition), LabError> {
        let store = self.store()?;
        let config = config.map(|path| path.display().to_string());
        let sweep = if wanted.is_empty() {
            let mut open = store.open_sweeps()?.into_iter().filter(|sweep| sweep.state == SweepState::Open);
            let of_file = |sweep: &SweepRow| match (&config, store.definition(&sweep.id)) {
                (None, _) => true,
                (Some(config), Ok(Some(definition))) => definition.config == *config,
                (Some(_), _) => false,
            };
            open.find(of_file).ok_or_else(|| LabError::nothing("no sweep was stopped before its end"))?
        } else {
            self.find_sweep(wanted)?
        };
        if sweep.state.is_over() {
            return Err(LabError::nothing(format!(
                "sweep {} is {}: each of its jobs has its record",
                sweep.id, sweep.state
            ))
            .with_hint(format!("`farmctl sweep --retry-failed {}` runs again what failed", sweep.id)));
        }
        if sweep.state == SweepState::Cancelling {
            return Err(LabError::usage(format!("sweep {} was cancelled", sweep.id))
                .with_hint(format!("`farmctl cancel {}` ends what is left of it", sweep.id)));
        }
        let definition = store.definition(&sweep.id)?.ok_or_else(|| {
            LabError::usage(format!("sweep {} was begun by a farmctl that could not resume", sweep.id))
                .with_hint("start it anew; what it has measured stays in its reports")
        })?;
        Ok((sweep, definition))
    }

    /// Who carries a sweep out now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn holder(&self, sweep: &SweepId) -> Result<Option<LeaseHolder>, LabError> {
        Ok(live_holder(self.store()?.as_ref(), sweep, self.now())?)
    }

    /// The sweeps that are the daemon's and not over.
    pub(in crate::lab) fn submissions(&self) -> Result<BTreeMap<SweepId, Submission>, LabError> {
        let submitted = self.store()?.submitted_to_daemon()?.into_iter();
        Ok(submitted.map(|handed| (handed.sweep_id, handed.submission)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::lab::{Environment, Overrides, SweepLogs};
    use crate::store::NewSweep;
    use crate::store::conformance::{at, definition, sweep};

    /// More sweeps than a page has, each with the word in its identifier; few of them of that name.
    #[test]
    fn a_name_means_its_newest_sweep_where_that_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let (overrides, logs) = (Overrides::default(), SweepLogs::default());
        let lab = Lab::open(folder.path(), overrides, Environment::sample(), logs, Arc::new(|_| {})).unwrap();
        let store = lab.store().unwrap();
        let (row, plan) = sweep(store.as_ref(), "night", &["bb"], 1);
        let add = |id: &str, name: &str, seconds| {
            let id = SweepId(id.to_owned());
            let row = SweepRow { id, name: name.to_owned(), started_at: at(seconds), ..row.clone() };
            store.create_sweep(&NewSweep::new(&row, &definition(), &plan)).unwrap();
            row.id
        };
        let newest = add("20270116-080000-night-0000", "night", 10);
        (0..=LOOKED_AT)
            .for_each(|number| drop(add(&format!("2027-night-{number}"), "nightly", 20 + i64::from(number))));
        assert_eq!(lab.sweep_meant("night").unwrap().id, newest);
        let refusal = lab.find_sweep("night").unwrap_err();
        assert!(refusal.text().contains("there is no sweep \"night\""), "{}", refusal.text());
        assert!(refusal.hints().iter().any(|hint| hint.contains(newest.as_str())), "{refusal:?}");
        assert!(lab.sweep_meant("nigh").unwrap_err().hints().iter().any(|hint| hint.contains("the newest are")));
        assert!(lab.sweep_meant("2027-night").unwrap_err().text().contains("the beginning of several"));
    }
}
