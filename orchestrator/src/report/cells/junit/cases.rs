use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};

use super::{END, JunitXml, SUITE_END, Told, Totals, case, head, suite_head};
use crate::report::cells::SweepCell;
use crate::report::label::Axes;
use crate::report::whole::ReadRows;
use crate::report::xml::attribute;
use crate::report::{Report as _, ReportError};

/// The cases of `junit.xml`, taken in as cells come and written in the order of reading. Their texts are in a file
/// meanwhile: there may be a million.
pub struct JunitCases<S> {
    spool: S,
    axes: Axes,
    devices: Names,
    models: Names,
    cases: Vec<Case>,
    written_bytes: u64,
}

/// Where the text of a case is, and what is counted of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    at_byte: u64,
    bytes: u32,
    device: u32,
    model: u32,
    told: Told,
}

/// Names, each once.
#[derive(Debug, Default)]
struct Names {
    names: Vec<String>,
    places: HashMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }

    fn name(&self, place: u32) -> &str {
        self.names.get(place as usize).map_or("", String::as_str)
    }
}

impl<S: Read + Write + Seek> JunitCases<S> {
    /// No case yet. `spool` is an empty file that is written and read again.
    pub fn new(spool: S, read: &ReadRows) -> JunitCases<S> {
        let (devices, models) = (Names::default(), Names::default());
        JunitCases { spool, axes: read.axes().without_runs(), devices, models, cases: Vec::new(), written_bytes: 0 }
    }

    /// Takes in a cell.
    ///
    /// # Errors
    /// When the spool can't be written.
    pub fn take(&mut self, cell: &SweepCell<'_>) -> Result<(), ReportError> {
        let (text, job) = (case(cell, &self.axes), &cell.records[0].job);
        self.spool.write_all(text.as_bytes()).map_err(refused)?;
        self.cases.push(Case {
            at_byte: self.written_bytes,
            bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
            device: self.devices.place(&job.device),
            model: self.models.place(&job.model.name),
            told: Told::of(cell),
        });
        self.written_bytes += text.len() as u64;
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it can't be written, or the spool can't be read.
    pub fn write(mut self, sweep: &str, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        let (devices, models) = (&self.devices, &self.models);
        self.cases.sort_by(|a, b| {
            let by_device = numeric_sort::cmp(devices.name(a.device), devices.name(b.device));
            by_device.then_with(|| models.name(a.model).cmp(models.name(b.model)))
        });
        let totals = |cases: &[Case]| Totals::of(cases.iter().map(|case| case.told));
        out.write_all(head(sweep, &totals(&self.cases)).as_bytes()).map_err(refused)?;
        let mut text = Vec::new();
        for suite in self.cases.chunk_by(|a, b| a.device == b.device) {
            let device = suite.first().map(|case| attribute(devices.name(case.device))).unwrap_or_default();
            out.write_all(suite_head(&device, &totals(suite)).as_bytes()).map_err(refused)?;
            for case in suite {
                text.resize(case.bytes as usize, 0);
                self.spool.seek(SeekFrom::Start(case.at_byte)).map_err(refused)?;
                self.spool.read_exact(&mut text).map_err(refused)?;
                out.write_all(&text).map_err(refused)?;
            }
            out.write_all(SUITE_END.as_bytes()).map_err(refused)?;
        }
        out.write_all(END.as_bytes()).map_err(refused)
    }
}

fn refused(error: std::io::Error) -> ReportError {
    ReportError::new(JunitXml.file_name(), error)
}
