//! Runs that a word means: of a table of results that lies somewhere, or of a sweep of the store.

use std::path::{Path, PathBuf};

use crate::compare::{DeviceName, Runs};
use crate::config;
use crate::domain::{PairSide, SideBySide, SweepRow};
use crate::score::ScoredRun;

use super::{BASELINE, Lab, LabError};

impl Lab {
    /// The runs that a word means, as a score takes them: what is there as a file or folder, else a sweep of the store.
    /// `columns` are those that a table must have besides its own.
    ///
    /// # Errors
    /// When there is none, or the table is faulty, with the place.
    pub fn scored_runs(&self, wanted: &str, columns: &[&str]) -> Result<Vec<ScoredRun>, LabError> {
        if let Some(file) = results_file(wanted)? {
            return Ok(config::load_results(&file, columns)?);
        }
        let sweep = self.compared_sweep(wanted)?;
        let definition = self.store()?.definition(&sweep.id)?;
        let sides = definition.as_ref().and_then(|definition| definition.sweep.side_by_side.as_ref());
        let has_one_cell = sides.is_some_and(SideBySide::is_of_one_cell);
        let mut runs = Vec::new();
        self.each_counting(&sweep, &mut |record| {
            if !has_one_cell || record.job.side != Some(PairSide::B) {
                runs.push(ScoredRun::of(record));
            }
        })?;
        Ok(runs)
    }

    /// The sweep that a word means, where it is to be measured again.
    ///
    /// # Errors
    /// When it means a table, or there is none.
    pub fn sweep_to_measure(&self, wanted: &str) -> Result<SweepRow, LabError> {
        if results_file(wanted)?.is_none() {
            return self.compared_sweep(wanted);
        }
        Err(LabError::usage(format!("{wanted} is a table of results, and can't be measured again"))
            .with_hint("name a sweep of this lab: an identifier, `latest` or `baseline:NAME`")
            .with_hint("or say what becomes of what is unclear: `--unclear pass` or `--unclear fail`"))
    }

    /// The runs that a word means, as a comparison takes them: what is there as a file or folder, else as
    /// [`Lab::compared_runs`] reads it.
    ///
    /// # Errors
    /// When there is none, or the table is faulty, with the place.
    pub fn compared_table_or_runs(&self, wanted: &str, device: DeviceName) -> Result<Runs, LabError> {
        let Some(file) = results_file(wanted)? else { return self.compared_runs(wanted, device) };
        let mut runs = Runs::new(file.display().to_string(), device);
        config::load_compared(&file, &mut runs)?;
        Ok(runs)
    }
}

/// The table of results that a word means: a file, or that of a folder of reports. `None` where it means a sweep of the
/// store.
///
/// # Errors
/// When it is a folder without one.
fn results_file(wanted: &str) -> Result<Option<PathBuf>, LabError> {
    if wanted.starts_with(BASELINE) {
        return Ok(None);
    }
    let path = Path::new(wanted);
    if path.is_dir() {
        let file = path.join("results.csv");
        if !file.is_file() {
            let error = LabError::usage(format!("the folder {} has no results.csv", path.display()));
            return Err(error.with_hint("`farmctl report SWEEP` writes the reports of a sweep anew"));
        }
        return Ok(Some(file));
    }
    Ok((path.exists() || wanted.contains(['/', '.'])).then(|| path.to_owned()))
}
