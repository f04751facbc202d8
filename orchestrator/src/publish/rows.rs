use std::path::Path;

use crate::domain::SweepRow;
use crate::report::{REPORTS, Report, ReportError, Row, RowFile};

use super::{Noting, PublishError, WholeFile};

/// Writes the reports of a sweep that have rows for each record, all at once: `read` hands over each row, in the order
/// of the plan, so that each is read once and none is kept.
///
/// # Errors
/// When a file can't be written, or `read` fails: what was there is there still.
pub fn publish_rows<E: From<PublishError>>(
    folder: &Path,
    sweep: &SweepRow,
    read: impl FnOnce(&mut dyn FnMut(&Row<'_>) -> Result<(), PublishError>) -> Result<(), E>,
) -> Result<(), E> {
    let reports = reports(sweep);
    let path = |report: &dyn Report| folder.join(report.file_name());
    let begun = reports.iter().map(|report| WholeFile::begin(&path(*report))).collect::<Result<Vec<_>, _>>();
    let mut files = begun?;
    let mut noting: Vec<Noting<'_>> =
        files.iter_mut().map(|file| Noting { file: &mut file.writer, refused: None }).collect();
    let written = written(sweep, &reports, &mut noting, read);
    // An encoder tells of a full disk in words of its own: the file knows better.
    let refused = reports.iter().zip(noting).find_map(|(report, noting)| Some((*report, noting.refused?)));
    if let Some((report, cause)) = refused {
        return Err(PublishError::Write { path: path(report), cause }.into());
    }
    written?;
    files.into_iter().try_for_each(WholeFile::end)?;
    Ok(())
}

/// Those that have rows for each record.
fn reports(sweep: &SweepRow) -> Vec<&'static dyn Report> {
    let has_rows = |report: &&&dyn Report| report.begin(sweep, &mut std::io::sink()).is_some();
    REPORTS.iter().filter(has_rows).copied().collect()
}

fn written<E: From<PublishError>>(
    sweep: &SweepRow,
    reports: &[&dyn Report],
    noting: &mut [Noting<'_>],
    read: impl FnOnce(&mut dyn FnMut(&Row<'_>) -> Result<(), PublishError>) -> Result<(), E>,
) -> Result<(), E> {
    let mut files: Vec<NamedRows<'_>> = Vec::new();
    for (report, noting) in reports.iter().zip(noting) {
        let name = report.file_name();
        let Some(begun) = report.begin(sweep, noting) else { continue };
        files.push(NamedRows { name, rows: begun.map_err(|error| failed(name, error))? });
    }
    read(&mut |row| files.iter_mut().try_for_each(|file| file.push(row)))?;
    files.into_iter().try_for_each(|NamedRows { name, rows }| rows.end().map_err(|error| failed(name, error)))?;
    Ok(())
}

/// A report that is being written.
struct NamedRows<'w> {
    name: &'static str,
    rows: Box<dyn RowFile + 'w>,
}

impl NamedRows<'_> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), PublishError> {
        self.rows.push(row).map_err(|error| failed(self.name, error))
    }
}

fn failed(name: &'static str, error: ReportError) -> PublishError {
    PublishError::Render { name, cause: error.cause }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use super::*;
    use crate::domain::sample;
    use crate::report::ReportInput;

    #[test]
    fn rows_that_come_one_by_one_make_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let (sweep, outputs) = (sample::sweep(), HashMap::new());
        let mut records = vec![sample::record("board-1", "ä"), sample::failed("board-2", "tiny", "no\n«way»")];
        records.push(sample::skipped("board-3", "tiny", "not here"));
        for count in 0..=records.len() {
            let input = ReportInput::new(&sweep, &records[..count], &outputs);
            publish_rows(folder.path(), &sweep, |push| input.rows().iter().try_for_each(push)).unwrap();
            let reports = reports(&sweep);
            assert_eq!(reports.len(), 6);
            for report in reports {
                let written = std::fs::read(folder.path().join(report.file_name())).unwrap();
                assert!(written == report.render(&input).unwrap(), "{} of {count}", report.file_name());
            }
            let json = std::fs::read(folder.path().join("results.json")).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["results"].as_array().map(Vec::len), Some(count));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 6, "nothing else is left");
    }

    #[test]
    fn what_is_not_read_to_its_end_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("results.csv"), b"old").unwrap();
        let refused = |_: &mut dyn FnMut(&Row<'_>) -> Result<(), PublishError>| {
            Err(PublishError::Render { name: "results.csv", cause: "the store is gone".into() })
        };
        publish_rows(folder.path(), &sample::sweep(), refused).unwrap_err();
        assert_eq!(std::fs::read(folder.path().join("results.csv")).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
