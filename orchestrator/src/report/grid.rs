//! A table of texts, written once for each form that it is shown in.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::markdown::escaped;
use crate::wording::single_line;

/// A table of texts: as many cells a row as there are columns.
#[derive(Debug, Clone)]
pub struct Grid {
    pub(super) columns: Vec<GridColumn>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub(super) struct GridColumn {
    /// Its heading. A unit stands behind a comma.
    pub(super) name: String,
    /// Numbers stand at the right.
    pub(super) is_number: bool,
}

impl GridColumn {
    pub(super) fn text(name: impl Into<String>) -> GridColumn {
        GridColumn { name: name.into(), is_number: false }
    }

    pub(super) fn number(name: impl Into<String>) -> GridColumn {
        GridColumn { name: name.into(), is_number: true }
    }
}

impl Grid {
    /// A table whose columns are all texts.
    pub fn of_texts(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Grid {
        let columns = columns.iter().map(|name| GridColumn::text(*name)).collect();
        Grid { columns, rows: rows.into_iter().collect() }
    }

    /// As Markdown. No character of a cell is markup.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &String>| {
            format!("| {} |\n", cells.map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "))
        };
        let mut text = line(&mut self.columns.iter().map(|column| &column.name));
        let rules = self.columns.iter().map(|column| if column.is_number { "--:" } else { "---" });
        text.push_str(&format!("|{}|\n", rules.collect::<Vec<_>>().join("|")));
        self.rows.iter().for_each(|row| text.push_str(&line(&mut row.iter())));
        text
    }

    /// As CSV, its cells as they are.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &column.name))?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    /// For a terminal, without lines, two spaces between columns; no wider than `width`, where there is one.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut table = Table::new();
        // Units stand below names, so that columns are narrow.
        let names = self.columns.iter().map(|column| column.name.replace(", ", "\n"));
        table.load_style(presets::NOTHING).set_header(names);
        match width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for (index, column) in self.columns.iter().enumerate() {
            if let Some(shown) = table.column_mut(index) {
                // Nothing stands behind the last one.
                shown.set_padding((0, if index + 1 < self.columns.len() { 2 } else { 0 }));
                shown.set_cell_alignment(if column.is_number { CellAlignment::Right } else { CellAlignment::Left });
            }
        }
        table.add_rows(self.rows.iter().map(|row| row.iter().map(|cell| single_line(cell))));
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
