//! Python's pickles, protocol 2, as far as a dictionary of PyTorch's tensors takes.

use std::collections::HashMap;
use std::rc::Rc;

use super::CheckpointError;

/// What a pickle puts together.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing that matters: none, a boolean, a long number.
    Other,
    /// A number.
    Integer(i64),
    /// A text.
    Text(Rc<str>),
    /// The name of something of Python's.
    Global(Rc<str>),
    /// Values in a row that stays, and how deep such rows are inside each other.
    Tuple(Rc<[Value]>, u8),
    /// Values in a row.
    List(Vec<Value>),
    /// Values by key.
    Entries(Vec<(Value, Value)>),
    /// A storage: its key, bytes of an element, and whether these are floats.
    Storage(Rc<str>, usize, bool),
    /// A tensor.
    Tensor(Rc<Tensor>),
}

/// A tensor, but for its numbers.
#[derive(Debug)]
pub(super) struct Tensor {
    /// Key of its storage.
    pub(super) storage: Rc<str>,
    /// Bytes of an element.
    pub(super) element_bytes: usize,
    /// Whether the elements are 32-bit floats.
    pub(super) is_float: bool,
    /// Its first element's place in the storage.
    pub(super) offset: u64,
    /// Shape.
    pub(super) shape: Vec<u64>,
    /// For each dimension how many elements further the next one lies.
    pub(super) strides: Vec<u64>,
}

/// Follows the pickle that begins at `at`, which is then behind it.
pub(super) fn read(bytes: &[u8], at: &mut usize) -> Result<Value, CheckpointError> {
    let mut machine = Machine { bytes, at: *at, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    while machine.step()? {}
    *at = machine.at;
    machine.pop()
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack that are remembered.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    /// Follows one instruction; whether another comes.
    fn step(&mut self) -> Result<bool, CheckpointError> {
        let start = self.at;
        match self.byte()? {
            0x80 => drop(self.byte()?), // protocol
            b'.' => return Ok(false),   // end
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Other), // none, true, false
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => self.integer(4)?,
            0x8a => {
                let length = self.byte()?; // a long number
                self.take(usize::from(length))?;
                self.stack.push(Value::Other);
            }
            b'X' => {
                let length = self.word()?;
                let text = self.text(length as usize)?;
                self.stack.push(Value::Text(text));
            }
            b'c' => {
                let name = format!("{} {}", self.line()?, self.line()?);
                self.stack.push(Value::Global(name.into()));
            }
            b')' => self.stack.push(tuple(Vec::new())),
            b'\x85' => self.tuple(1)?,
            b'\x86' => self.tuple(2)?,
            b'\x87' => self.tuple(3)?,
            b't' => {
                let values = self.marked()?;
                self.stack.push(tuple(values));
            }
            b']' => self.stack.push(Value::List(Vec::new())),
            b'}' => self.stack.push(Value::Entries(Vec::new())),
            b'a' | b'e' => self.append(self.bytes[start] == b'e')?,
            b's' | b'u' => self.set(self.bytes[start] == b'u')?,
            b'q' => {
                let key = u32::from(self.byte()?);
                self.remember(key)?;
            }
            b'r' => {
                let key = self.word()?;
                self.remember(key)?;
            }
            b'h' => {
                let key = u32::from(self.byte()?);
                self.recall(key, start)?;
            }
            b'j' => {
                let key = self.word()?;
                self.recall(key, start)?;
            }
            b'Q' => self.storage(start)?,
            b'R' => self.call(start)?,
            b'b' => drop(self.pop()?), // what an object is set up with: of a dictionary nothing that matters
            other => return Err(CheckpointError::Unread { what: format!("the instruction {other:#04x}"), at: start }),
        }
        Ok(true)
    }

    /// Makes a storage of what names it: `("storage", kind, key, …)`.
    fn storage(&mut self, start: usize) -> Result<(), CheckpointError> {
        let unread = |what: &str| CheckpointError::Unread { what: what.to_owned(), at: start };
        let Value::Tuple(name, _) = self.pop()? else { return Err(unread("something that lies outside of it")) };
        let [Value::Text(_), Value::Global(kind), Value::Text(key), ..] = &name[..] else {
            return Err(unread("something that lies outside of it"));
        };
        let element_bytes = match kind.strip_prefix("torch ").unwrap_or_default() {
            "DoubleStorage" | "LongStorage" => 8,
            "FloatStorage" | "IntStorage" => 4,
            "HalfStorage" | "ShortStorage" | "BFloat16Storage" => 2,
            "CharStorage" | "ByteStorage" | "BoolStorage" => 1,
            _ => return Err(unread(&format!("a storage of the kind {kind}"))),
        };
        self.stack.push(Value::Storage(key.clone(), element_bytes, &**kind == "torch FloatStorage"));
        Ok(())
    }

    /// Makes what a call would: a dictionary or a tensor, and nothing else.
    fn call(&mut self, start: usize) -> Result<(), CheckpointError> {
        let unread = |what: String| CheckpointError::Unread { what, at: start };
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Global(name) = callee else { return Err(unread("a call of something without a name".to_owned())) };
        let made = match (&*name, arguments) {
            ("collections OrderedDict", _) => Value::Entries(Vec::new()),
            ("torch._utils _rebuild_tensor_v2", Value::Tuple(arguments, _)) => match &arguments[..] {
                [
                    Value::Storage(storage, element_bytes, is_float),
                    Value::Integer(offset),
                    Value::Tuple(shape, _),
                    Value::Tuple(strides, _),
                    ..,
                ] if shape.len() == strides.len() => {
                    let sizes = |values: &[Value]| values.iter().map(size).collect::<Option<Vec<u64>>>();
                    let tensor = sizes(shape).zip(sizes(strides)).zip(u64::try_from(*offset).ok());
                    let ((shape, strides), offset) = tensor.ok_or_else(|| unread("a negative size".to_owned()))?;
                    let storage = storage.clone();
                    let (element_bytes, is_float) = (*element_bytes, *is_float);
                    Value::Tensor(Rc::new(Tensor { storage, element_bytes, is_float, offset, shape, strides }))
                }
                _ => return Err(unread("a tensor of another form".to_owned())),
            },
            _ => return Err(unread(format!("a call of {name}"))),
        };
        self.stack.push(made);
        Ok(())
    }

    fn tuple(&mut self, count: usize) -> Result<(), CheckpointError> {
        let start = self.stack.len().checked_sub(count).ok_or(CheckpointError::Short)?;
        let values: Vec<Value> = self.stack.drain(start..).collect();
        self.stack.push(tuple(values));
        Ok(())
    }

    /// Appends one value, or all since the mark, to the list below.
    fn append(&mut self, marked: bool) -> Result<(), CheckpointError> {
        let values = if marked { self.marked()? } else { vec![self.pop()?] };
        match self.stack.last_mut() {
            Some(Value::List(list)) => list.extend(values.into_iter().map(shallow)),
            _ => return Err(CheckpointError::Other),
        }
        Ok(())
    }

    /// Puts a key with its value, or all since the mark, into the dictionary below.
    fn set(&mut self, marked: bool) -> Result<(), CheckpointError> {
        let values = if marked {
            self.marked()?
        } else {
            let value = self.pop()?;
            vec![self.pop()?, value]
        };
        match self.stack.last_mut() {
            Some(Value::Entries(entries)) => {
                let mut values = values.into_iter();
                while let (Some(key), Some(value)) = (values.next(), values.next()) {
                    entries.push((shallow(key), shallow(value)));
                }
            }
            // An attribute of something else.
            Some(_) => {}
            None => return Err(CheckpointError::Short),
        }
        Ok(())
    }

    /// Remembers the topmost value. Lists and dictionaries, which may be large, are asked for again by nothing that
    /// matters here.
    fn remember(&mut self, key: u32) -> Result<(), CheckpointError> {
        let value = match self.stack.last().ok_or(CheckpointError::Short)? {
            Value::List(_) | Value::Entries(_) => Value::Other,
            value => value.clone(),
        };
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32, start: usize) -> Result<(), CheckpointError> {
        let unread = || CheckpointError::Unread { what: "a value that was not remembered".to_owned(), at: start };
        self.stack.push(self.memo.get(&key).cloned().ok_or_else(unread)?);
        Ok(())
    }

    /// What is above the last mark.
    fn marked(&mut self) -> Result<Vec<Value>, CheckpointError> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or(CheckpointError::Short)?;
        Ok(self.stack.drain(mark..).collect())
    }

    fn pop(&mut self) -> Result<Value, CheckpointError> {
        self.stack.pop().ok_or(CheckpointError::Short)
    }

    /// A little-endian number; of four bytes one with a sign.
    fn integer(&mut self, bytes: usize) -> Result<(), CheckpointError> {
        let mut padded = [0; 4];
        padded[..bytes].copy_from_slice(self.take(bytes)?);
        self.stack.push(Value::Integer(i64::from(i32::from_le_bytes(padded))));
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, CheckpointError> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u32, CheckpointError> {
        let bytes = self.take(4)?.try_into().map_err(|_| CheckpointError::Short)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn text(&mut self, length: usize) -> Result<Rc<str>, CheckpointError> {
        let at = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Rc::from).map_err(|_| CheckpointError::Unread { what: "a text that is none".to_owned(), at })
    }

    /// The text up to the next end of a line.
    fn line(&mut self) -> Result<Rc<str>, CheckpointError> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or(CheckpointError::Short)?;
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], CheckpointError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or(CheckpointError::Short)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }
}

/// Rows inside each other that are told apart: a tensor's are two.
const DEEPEST: u8 = 8;

fn tuple(values: Vec<Value>) -> Value {
    let values: Rc<[Value]> = values.into_iter().map(shallow).collect();
    let depth = values.iter().map(|value| if let Value::Tuple(_, depth) = value { depth + 1 } else { 0 }).max();
    Value::Tuple(values, depth.unwrap_or(0))
}

/// A value as part of another. What would nest without end, or be large, is of no use there.
fn shallow(value: Value) -> Value {
    match value {
        Value::List(_) | Value::Entries(_) => Value::Other,
        Value::Tuple(_, depth) if depth >= DEEPEST => Value::Other,
        other => other,
    }
}

/// A size or stride.
fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
