//! Where the cells of a table stand in its text: csv tells only where a row begins.

use super::{Row, Table};

/// Where a cell stands in the text.
struct CellPlace {
    /// Its first byte.
    start: usize,
    /// The byte behind its last.
    end: usize,
    /// Whether it is a quotation that never ends.
    is_open: bool,
}

impl Table<'_> {
    /// Where a cell stands in the text: its first byte and the one behind its last. csv tells only where a row begins.
    pub(super) fn place(&self, row: &Row, index: usize) -> (usize, usize) {
        let cells = self.cells(row);
        cells.get(index).or(cells.last()).map_or((row.start, row.start), |cell| (cell.start, cell.end))
    }

    /// The cell whose quotation mark is still open where the text ends.
    pub(super) fn unclosed(&self, row: &Row) -> Option<usize> {
        self.cells(row).iter().position(|cell| cell.is_open)
    }

    /// Where each cell of a row stands.
    fn cells(&self, row: &Row) -> Vec<CellPlace> {
        let bytes = self.source.text.as_bytes();
        let mut at = row.start;
        // A row's position may be that of empty lines before it.
        while at < bytes.len() && matches!(bytes[at], b'\r' | b'\n') {
            at += 1;
        }
        let mut cells = Vec::new();
        loop {
            let start = at;
            let mut is_open = bytes.get(at) == Some(&b'"');
            at += usize::from(is_open);
            while at < bytes.len() && (is_open || !matches!(bytes[at], b',' | b'\r' | b'\n')) {
                // A doubled quotation mark closes and opens again.
                is_open ^= bytes[at] == b'"' && bytes[start] == b'"';
                at += 1;
            }
            cells.push(CellPlace { start, end: at, is_open });
            if bytes.get(at) != Some(&b',') {
                return cells;
            }
            at += 1;
        }
    }
}
