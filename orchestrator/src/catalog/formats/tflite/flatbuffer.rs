//! FlatBuffers, written from front to back: first all that is small, then the large vectors, which are streamed.
//!
//! Our own and not the crate's: that builds from back to front with all weights in memory, and where it puts things may
//! change with its version, while a file's hash must not.

use std::collections::VecDeque;
use std::io::{self, Write};

/// Boundary that large vectors start on.
const BLOB_ALIGNMENT: usize = 16;
/// Bytes of an offset, and of a vector's length.
const OFFSET: usize = 4;

/// Something that an offset leads to.
#[derive(Debug)]
pub(super) enum Object {
    /// Fields by their number in the schema, each at most once.
    Table(Vec<(usize, Field)>),
    /// A string.
    Text(String),
    /// A vector of scalars: bytes of one, which are also their alignment, and all bytes, little-endian.
    Scalars(usize, Vec<u8>),
    /// A vector of tables.
    List(Vec<Object>),
    /// A vector of that many bytes, streamed after all else, in the order in which these are met.
    Blob(usize),
}

/// A table's field.
#[derive(Debug)]
pub(super) enum Field {
    /// One byte.
    Byte(u8),
    /// Four bytes.
    Word([u8; 4]),
    /// An offset.
    Object(Object),
}

impl Object {
    /// A vector of 32-bit integers.
    pub(super) fn integers(values: impl IntoIterator<Item = i32>) -> Self {
        Object::Scalars(4, values.into_iter().flat_map(i32::to_le_bytes).collect())
    }

    /// A vector of 64-bit integers.
    pub(super) fn longs(values: impl IntoIterator<Item = i64>) -> Self {
        Object::Scalars(8, values.into_iter().flat_map(i64::to_le_bytes).collect())
    }

    /// A vector of floats.
    pub(super) fn floats(values: impl IntoIterator<Item = f32>) -> Self {
        Object::Scalars(4, values.into_iter().flat_map(f32::to_le_bytes).collect())
    }
}

impl From<i32> for Field {
    fn from(value: i32) -> Self {
        Field::Word(value.to_le_bytes())
    }
}

impl From<u32> for Field {
    fn from(value: u32) -> Self {
        Field::Word(value.to_le_bytes())
    }
}

impl From<Object> for Field {
    fn from(object: Object) -> Self {
        Field::Object(object)
    }
}

/// A file without the content of its large vectors.
#[derive(Debug)]
pub(super) struct Layout {
    head: Vec<u8>,
    /// Where the length of each large vector stands, and the length.
    blobs: Vec<(usize, usize)>,
}

impl Layout {
    /// The file with that root and identifier.
    pub(super) fn new(root: &Object, identifier: [u8; 4]) -> Self {
        let mut layout = Self { head: vec![0; OFFSET], blobs: Vec::new() };
        layout.head.extend(identifier);
        let mut blobs = Vec::new();
        let mut pending = VecDeque::from([(0, root)]);
        while let Some((from, object)) = pending.pop_front() {
            match object {
                Object::Blob(length) => blobs.push((from, *length)),
                object => layout.place(from, object, &mut pending),
            }
        }
        let mut end = layout.head.len();
        for (from, length) in blobs {
            let position = (end + OFFSET).next_multiple_of(BLOB_ALIGNMENT) - OFFSET;
            layout.point(from, position);
            layout.blobs.push((position, length));
            end = position + OFFSET + length;
        }
        layout
    }

    /// Writes the file; `content` writes that of the large vector of a number, counted as they were met.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        mut content: impl FnMut(usize, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        out.write_all(&self.head)?;
        let mut end = self.head.len();
        for (number, &(position, length)) in self.blobs.iter().enumerate() {
            out.write_all(&vec![0; position - end])?;
            out.write_all(&(length as u32).to_le_bytes())?;
            content(number, out)?;
            end = position + OFFSET + length;
        }
        Ok(())
    }

    /// Puts an object at the end, which the offset at `from` leads to.
    fn place<'a>(&mut self, from: usize, object: &'a Object, pending: &mut VecDeque<(usize, &'a Object)>) {
        match object {
            Object::Table(fields) => self.place_table(from, fields, pending),
            Object::Text(text) => {
                self.start_vector(from, text.len(), 1);
                self.head.extend(text.as_bytes());
                self.head.push(0);
            }
            Object::Scalars(size, bytes) => {
                self.start_vector(from, bytes.len() / size, *size);
                self.head.extend(bytes);
            }
            Object::List(objects) => {
                self.start_vector(from, objects.len(), OFFSET);
                for object in objects {
                    pending.push_back((self.head.len(), object));
                    self.head.extend([0; OFFSET]);
                }
            }
            Object::Blob(_) => unreachable!("large vectors are placed last"),
        }
    }

    fn start_vector(&mut self, from: usize, count: usize, alignment: usize) {
        let position = (self.head.len() + OFFSET).next_multiple_of(alignment.max(OFFSET)) - OFFSET;
        self.head.resize(position, 0);
        self.point(from, position);
        self.head.extend((count as u32).to_le_bytes());
    }

    /// A table, with the list of where its fields are right before it.
    fn place_table<'a>(
        &mut self,
        from: usize,
        fields: &'a [(usize, Field)],
        pending: &mut VecDeque<(usize, &'a Object)>,
    ) {
        let slots = fields.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
        let mut places = vec![0u16; slots];
        let list_bytes = 2 * (2 + slots);
        let list = (self.head.len() + list_bytes).next_multiple_of(OFFSET) - list_bytes;
        let table = list + list_bytes;
        let mut body = vec![0; OFFSET];
        body[..OFFSET].copy_from_slice(&(list_bytes as i32).to_le_bytes());
        // Bytes last, so that the others stay aligned.
        let (bytes, words): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, field)| matches!(field, Field::Byte(_)));
        for (slot, field) in words.into_iter().chain(bytes) {
            places[*slot] = body.len() as u16;
            match field {
                Field::Byte(byte) => body.push(*byte),
                Field::Word(word) => body.extend(word),
                Field::Object(object) => {
                    pending.push_back((table + body.len(), object));
                    body.extend([0; OFFSET]);
                }
            }
        }
        self.point(from, table);
        self.head.resize(list, 0);
        for number in [list_bytes as u16, body.len() as u16].into_iter().chain(places) {
            self.head.extend(number.to_le_bytes());
        }
        self.head.extend(body);
    }

    /// Lets the offset at `from` lead to `position`.
    fn point(&mut self, from: usize, position: usize) {
        self.head[from..from + OFFSET].copy_from_slice(&((position - from) as u32).to_le_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_has_the_bytes_that_the_format_asks_for() {
        let root = Object::Table(vec![(1, 7.into()), (0, Field::Byte(9)), (2, Object::Text("ab".to_owned()).into())]);
        let mut bytes = Vec::new();
        Layout::new(&root, *b"TEST").write(&mut bytes, |_, _| Ok(())).unwrap();
        #[rustfmt::skip]
        let expected = [
            20, 0, 0, 0, b'T', b'E', b'S', b'T', 0, 0,
            10, 0, 13, 0, 12, 0, 4, 0, 8, 0, // bytes of this list, of the table, places of the fields
            10, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, // back to the list, 7, on to the text, 9
            0, 0, 0, 2, 0, 0, 0, b'a', b'b', 0,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn large_vectors_come_last_and_are_aligned() {
        let list = Object::List(vec![Object::Blob(3), Object::Blob(20), Object::Scalars(8, vec![1; 8])]);
        let root = Object::Table(vec![(0, list.into())]);
        let layout = Layout::new(&root, *b"TEST");
        let mut bytes = Vec::new();
        let mut fill = |number: usize, out: &mut dyn Write| out.write_all(&vec![number as u8 + 5; [3, 20][number]]);
        layout.write(&mut bytes, &mut fill).unwrap();
        for (number, (position, length)) in layout.blobs.iter().enumerate() {
            let data = position + OFFSET;
            assert_eq!(data % BLOB_ALIGNMENT, 0);
            assert_eq!(bytes[data..data + length], vec![number as u8 + 5; *length]);
        }
        assert_eq!(bytes.len(), layout.blobs[1].0 + OFFSET + 20);
        let longs = bytes.windows(8).position(|window| window == [1; 8]).unwrap();
        assert_eq!(longs % 8, 0);
    }
}
