//! FlatBuffers, read table by table from a file: of a large model only what is asked for is read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at once.
const PAGE_BYTES: u64 = 4096;
/// Most pages that are read of a file: names, shapes and operators of large models take some megabytes.
const MAX_PAGES: usize = 16 << 10;
/// Longest text.
const MAX_TEXT_BYTES: u64 = 64 << 10;
/// Longest vector that is walked through.
const MAX_ITEMS: u64 = 1_000_000;

/// Why a file can't be read as what it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlatError {
    /// The file can't be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Something in it lies behind its end.
    #[error("it is cut off: something in it lies behind the file's end")]
    Cut,
    /// It makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// A file, some pages of which are in memory.
pub(super) struct Buffer {
    file: File,
    size_bytes: u64,
    pages: RefCell<HashMap<u64, Box<[u8]>>>,
}

impl Buffer {
    pub(super) fn new(file: File, size_bytes: u64) -> Self {
        Self { file, size_bytes, pages: RefCell::default() }
    }

    /// The table that all else hangs on, of a file with that identifier.
    pub(super) fn root(&self, identifier: [u8; 4]) -> Result<Table<'_>, FlatError> {
        if self.bytes::<4>(4)? != identifier {
            return Err(FlatError::Damaged("its identifier is another"));
        }
        self.table(u64::from(self.u32(0)?))
    }

    /// Whether so many bytes from there on are in the file.
    pub(super) fn has(&self, at: u64, length: u64) -> bool {
        at.checked_add(length).is_some_and(|end| end <= self.size_bytes)
    }

    fn table(&self, at: u64) -> Result<Table<'_>, FlatError> {
        let back = i64::from(i32::from_le_bytes(self.bytes(at)?));
        let list = i64::try_from(at).ok().and_then(|at| at.checked_sub(back)).and_then(|it| u64::try_from(it).ok());
        let list = list.ok_or(FlatError::Damaged("a table's list of fields lies nowhere"))?;
        let list_bytes = u64::from(self.u16(list)?);
        Ok(Table { buffer: self, at, list, list_bytes })
    }

    fn u16(&self, at: u64) -> Result<u16, FlatError> {
        Ok(u16::from_le_bytes(self.bytes(at)?))
    }

    fn u32(&self, at: u64) -> Result<u32, FlatError> {
        Ok(u32::from_le_bytes(self.bytes(at)?))
    }

    /// Where an offset leads to.
    fn follow(&self, at: u64) -> Result<u64, FlatError> {
        let to = at + u64::from(self.u32(at)?);
        if self.has(to, 4) { Ok(to) } else { Err(FlatError::Cut) }
    }

    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], FlatError> {
        if !self.has(at, N as u64) {
            return Err(FlatError::Cut);
        }
        let mut bytes = [0; N];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(at + index as u64)?;
        }
        Ok(bytes)
    }

    fn byte(&self, at: u64) -> Result<u8, FlatError> {
        if at >= self.size_bytes {
            return Err(FlatError::Cut);
        }
        let (number, offset) = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize);
        let mut pages = self.pages.borrow_mut();
        if let Some(page) = pages.get(&number) {
            return page.get(offset).copied().ok_or(FlatError::Cut);
        }
        if pages.len() >= MAX_PAGES {
            return Err(FlatError::Damaged("it has more names, shapes and operators than farmctl reads"));
        }
        let start = number * PAGE_BYTES;
        let mut page = vec![0; PAGE_BYTES.min(self.size_bytes - start) as usize];
        // It may have been shortened meanwhile.
        self.file.read_exact_at(&mut page, start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FlatError::Cut,
            _ => FlatError::Read(error),
        })?;
        let byte = page.get(offset).copied().ok_or(FlatError::Cut);
        pages.insert(number, page.into());
        byte
    }
}

/// A table, whose fields are known by their number in the schema.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    buffer: &'a Buffer,
    at: u64,
    list: u64,
    list_bytes: u64,
}

impl<'a> Table<'a> {
    /// Where a field is; `None` where it has its default.
    fn field(&self, slot: u64) -> Result<Option<u64>, FlatError> {
        let place = 4 + 2 * slot;
        if place + 2 > self.list_bytes {
            return Ok(None);
        }
        let offset = self.buffer.u16(self.list + place)?;
        Ok((offset != 0).then(|| self.at + u64::from(offset)))
    }

    /// A number of one byte.
    pub(super) fn byte(&self, slot: u64, default: u8) -> Result<u8, FlatError> {
        self.field(slot)?.map_or(Ok(default), |at| self.buffer.bytes::<1>(at).map(|[byte]| byte))
    }

    /// A number of four bytes.
    pub(super) fn word(&self, slot: u64) -> Result<u32, FlatError> {
        self.field(slot)?.map_or(Ok(0), |at| self.buffer.u32(at))
    }

    /// A number of eight bytes.
    pub(super) fn long(&self, slot: u64) -> Result<u64, FlatError> {
        self.field(slot)?.map_or(Ok(0), |at| Ok(u64::from_le_bytes(self.buffer.bytes(at)?)))
    }

    /// A table; `None` where there is none.
    pub(super) fn child(&self, slot: u64) -> Result<Option<Table<'a>>, FlatError> {
        self.field(slot)?.map(|at| self.buffer.table(self.buffer.follow(at)?)).transpose()
    }

    /// Whether a vector has anything in it.
    pub(super) fn has_items(&self, slot: u64) -> Result<bool, FlatError> {
        Ok(self.vector(slot)?.is_some_and(|vector| vector.length > 0))
    }

    /// A text; empty where there is none.
    pub(super) fn text(&self, slot: u64) -> Result<String, FlatError> {
        let Some(vector) = self.vector(slot)? else { return Ok(String::new()) };
        if vector.length > MAX_TEXT_BYTES {
            return Err(FlatError::Damaged("a name in it is longer than any"));
        }
        vector.check_items(1)?;
        let bytes: Vec<u8> =
            (0..vector.length).map(|index| self.buffer.byte(vector.at + index)).collect::<Result<_, _>>()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A vector of 32-bit integers; `None` where there is none.
    pub(super) fn integers(&self, slot: u64) -> Result<Option<Vec<i32>>, FlatError> {
        let Some(vector) = self.vector(slot)? else { return Ok(None) };
        vector.check_items(4)?;
        let integer = |index| Ok(i32::from_le_bytes(self.buffer.bytes(vector.at + 4 * index)?));
        (0..vector.length).map(integer).collect::<Result<_, FlatError>>().map(Some)
    }

    /// A vector of tables; empty where there is none.
    pub(super) fn tables(&self, slot: u64) -> Result<Vec<Table<'a>>, FlatError> {
        let Some(vector) = self.vector(slot)? else { return Ok(Vec::new()) };
        vector.check_items(4)?;
        (0..vector.length).map(|index| self.buffer.table(self.buffer.follow(vector.at + 4 * index)?)).collect()
    }

    /// Whether a vector of bytes is whole in the file, or is not there at all.
    pub(super) fn has_bytes(&self, slot: u64) -> Result<bool, FlatError> {
        Ok(self.vector(slot)?.is_none_or(|vector| self.buffer.has(vector.at, vector.length)))
    }

    fn vector(&self, slot: u64) -> Result<Option<Vector<'a>>, FlatError> {
        let Some(at) = self.field(slot)? else { return Ok(None) };
        let at = self.buffer.follow(at)?;
        Ok(Some(Vector { buffer: self.buffer, at: at + 4, length: u64::from(self.buffer.u32(at)?) }))
    }
}

/// Items that lie one behind the other.
struct Vector<'a> {
    buffer: &'a Buffer,
    at: u64,
    length: u64,
}

impl Vector<'_> {
    /// Refuses more items than can be there, or than are walked through.
    fn check_items(&self, item_bytes: u64) -> Result<(), FlatError> {
        if self.length > MAX_ITEMS {
            return Err(FlatError::Damaged("a list in it is longer than any"));
        }
        if self.buffer.has(self.at, self.length * item_bytes) { Ok(()) } else { Err(FlatError::Cut) }
    }
}
