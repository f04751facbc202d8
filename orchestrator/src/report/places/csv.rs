use crate::report::columns::Cell;
use crate::report::{Report, ReportError, ReportInput, csv};

use super::{PlacedRow, RANKING_COLUMNS};

/// `ranking.csv`: a row a system and score.
pub(in crate::report) struct RankingCsv;

impl Report for RankingCsv {
    fn file_name(&self) -> &'static str {
        "ranking.csv"
    }

    fn description(&self) -> &'static str {
        "which device is how good, with intervals and the places that they allow"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let rows = input.rankings().iter().flat_map(|ranking| ranking.rows());
        let values = rows.map(|placed| move |value: &fn(&PlacedRow<'_>) -> Cell| value(&placed));
        csv::table(RANKING_COLUMNS, values, true).map_err(|error| ReportError::new(self.file_name(), error))
    }
}
