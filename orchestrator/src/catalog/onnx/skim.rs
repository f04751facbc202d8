//! An ONNX file without the values of its weights: large models are read at the cost of their graph.

use std::io::{self, BufRead, BufReader, Read, Seek};

use prost::encoding::{WireType, encode_key, encode_varint};

/// Values of a tensor that has no more bytes of them are kept: shapes, axes and sizes are short.
const KEPT_VALUE_BYTES: u64 = 4096;
/// Largest graph, without the weights. Those of large language models take some ten megabytes.
const MAX_GRAPH_BYTES: u64 = 64 << 20;
/// Most nodes, attributes and tensors: each takes far more memory than bytes in the file.
const MAX_MESSAGES: u64 = 2_000_000;
/// Deepest nesting of messages; protobuf's readers allow about as much.
const MAX_DEPTH: u32 = 100;

/// Why a file can't be skimmed.
#[derive(Debug, thiserror::Error)]
pub enum SkimError {
    /// The file can't be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It ends before its content does.
    #[error("it is cut off: something in it ends behind the file's end, by {missing_bytes} or more bytes")]
    Cut {
        /// Bytes that are missing at least.
        missing_bytes: u64,
    },
    /// The bytes are no protobuf message.
    #[error("it is no ONNX model, or a damaged one (at byte {at})")]
    Damaged {
        /// Where.
        at: u64,
    },
    /// More graph than is read.
    #[error(
        "its graph is larger than farmctl reads ({MAX_GRAPH_BYTES} bytes and {MAX_MESSAGES} parts without weights)"
    )]
    TooLarge,
}

/// The messages that hold weights, and those around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is a message that is skimmed, too.
    Skim(Kind),
    /// It holds a tensor's values, and is kept if they are few.
    Values,
    /// Nobody here reads it.
    Drop,
    /// It is kept.
    Keep,
}

impl Kind {
    fn fate(self, field: u32) -> Fate {
        match (self, field) {
            (Kind::Model, 7) => Fate::Skim(Kind::Graph),
            (Kind::Model, 25) => Fate::Skim(Kind::Function),
            // Text for people; how to train it.
            (Kind::Model, 6 | 20)
            | (Kind::Function, 8)
            | (Kind::Graph, 10)
            | (Kind::Node, 6)
            | (Kind::Attribute, 13) => Fate::Drop,
            (Kind::Graph, 1) | (Kind::Function, 7) => Fate::Skim(Kind::Node),
            (Kind::Function, 11) => Fate::Skim(Kind::Attribute),
            (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1 | 2) => Fate::Skim(Kind::Tensor),
            (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Fate::Skim(Kind::SparseTensor),
            (Kind::Node, 5) => Fate::Skim(Kind::Attribute),
            (Kind::Attribute, 6 | 11) => Fate::Skim(Kind::Graph),
            (Kind::Tensor, 4..=7 | 9..=11) => Fate::Values,
            _ => Fate::Keep,
        }
    }
}

/// The bytes of an ONNX file of that size, without values of weights.
///
/// # Errors
/// When it can't be read, or is no message that could be one.
pub(super) fn skim<R: Read + Seek>(file: R, size_bytes: u64) -> Result<Vec<u8>, SkimError> {
    let mut skimmer = Skimmer { file: BufReader::new(file), at: 0, size_bytes, messages: 0, kept_bytes: 0 };
    skimmer.message(Kind::Model, size_bytes, 0)
}

struct Skimmer<R> {
    file: BufReader<R>,
    at: u64,
    size_bytes: u64,
    messages: u64,
    kept_bytes: u64,
}

impl<R: Read + Seek> Skimmer<R> {
    /// What is kept of a message that ends there.
    fn message(&mut self, kind: Kind, end: u64, depth: u32) -> Result<Vec<u8>, SkimError> {
        self.messages += 1;
        if depth > MAX_DEPTH {
            return Err(SkimError::Damaged { at: self.at });
        }
        if self.messages > MAX_MESSAGES {
            return Err(SkimError::TooLarge);
        }
        let (mut kept, mut value_bytes) = (Vec::new(), 0);
        while self.at < end {
            let key_at = self.at;
            let damaged = SkimError::Damaged { at: key_at };
            let key = self.varint(end)?;
            let Ok(field) = u32::try_from(key >> 3) else { return Err(damaged) };
            let wire = WireType::try_from(key & 7).map_err(|_| SkimError::Damaged { at: key_at })?;
            if field == 0 {
                return Err(damaged);
            }
            let fate = kind.fate(field);
            let length = match wire {
                WireType::Varint => {
                    let value = self.varint(end)?;
                    if self.is_kept(fate, 10, &mut value_bytes)? {
                        encode_key(field, wire, &mut kept);
                        encode_varint(value, &mut kept);
                    }
                    continue;
                }
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                WireType::LengthDelimited => self.varint(end)?,
                WireType::StartGroup | WireType::EndGroup => return Err(damaged),
            };
            self.check_end(length, end)?;
            if let (Fate::Skim(inner), WireType::LengthDelimited) = (fate, wire) {
                let message = self.message(inner, self.at + length, depth + 1)?;
                encode_key(field, wire, &mut kept);
                encode_varint(message.len() as u64, &mut kept);
                kept.extend(message);
            } else if self.is_kept(fate, length, &mut value_bytes)? {
                encode_key(field, wire, &mut kept);
                if wire == WireType::LengthDelimited {
                    encode_varint(length, &mut kept);
                }
                self.copy(length, &mut kept)?;
            } else {
                self.skip(length)?;
            }
        }
        Ok(kept)
    }

    /// Whether a field is kept, which then counts; `value_bytes` are those that its message has kept of values.
    fn is_kept(&mut self, fate: Fate, length: u64, value_bytes: &mut u64) -> Result<bool, SkimError> {
        let keep = match fate {
            Fate::Drop => false,
            Fate::Keep | Fate::Skim(_) => true,
            Fate::Values => {
                *value_bytes = value_bytes.saturating_add(length);
                *value_bytes <= KEPT_VALUE_BYTES
            }
        };
        if keep {
            self.kept_bytes = self.kept_bytes.saturating_add(length);
        }
        if self.kept_bytes > MAX_GRAPH_BYTES { Err(SkimError::TooLarge) } else { Ok(keep) }
    }

    /// Refuses what ends behind its message.
    fn check_end(&self, length: u64, end: u64) -> Result<(), SkimError> {
        let stop = self.at.saturating_add(length);
        if stop <= end {
            Ok(())
        } else if stop > self.size_bytes && end == self.size_bytes {
            Err(SkimError::Cut { missing_bytes: stop - self.size_bytes })
        } else {
            Err(SkimError::Damaged { at: self.at })
        }
    }

    fn varint(&mut self, end: u64) -> Result<u64, SkimError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            self.check_end(1, end)?;
            let byte = self.file.fill_buf()?.first().copied();
            let Some(byte) = byte else { return Err(SkimError::Cut { missing_bytes: 1 }) };
            self.file.consume(1);
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(SkimError::Damaged { at: start })
    }

    fn copy(&mut self, length: u64, kept: &mut Vec<u8>) -> Result<(), SkimError> {
        let copied = (&mut self.file).take(length).read_to_end(kept)? as u64;
        self.at += copied;
        // It was shortened meanwhile.
        if copied < length { Err(SkimError::Cut { missing_bytes: length - copied }) } else { Ok(()) }
    }

    fn skip(&mut self, length: u64) -> Result<(), SkimError> {
        let offset = i64::try_from(length).map_err(|_| SkimError::Damaged { at: self.at })?;
        self.file.seek_relative(offset)?;
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use prost::Message;

    use super::*;
    use crate::catalog::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

    fn skimmed(bytes: Vec<u8>) -> Result<Vec<u8>, SkimError> {
        let size_bytes = bytes.len() as u64;
        skim(Cursor::new(bytes), size_bytes)
    }

    fn model(initializer: Vec<TensorProto>, node: Vec<NodeProto>) -> ModelProto {
        ModelProto { graph: Some(GraphProto { initializer, node, ..GraphProto::default() }), ..ModelProto::default() }
    }

    fn tensor(name: &str, raw_bytes: usize) -> TensorProto {
        let raw_data = vec![7; raw_bytes].into();
        TensorProto { name: name.to_owned(), dims: vec![raw_bytes as i64], raw_data, ..TensorProto::default() }
    }

    /// A node whose branch is a graph with a tensor.
    fn branch(tensor: TensorProto) -> NodeProto {
        let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
        let attribute = AttributeProto { name: "then_branch".to_owned(), g: Some(graph), ..AttributeProto::default() };
        NodeProto { op_type: "If".to_owned(), attribute: vec![attribute], ..NodeProto::default() }
    }

    #[test]
    fn weights_are_left_out_and_all_else_is_kept() {
        let floats = TensorProto { float_data: vec![1.5; 5000], name: "f".to_owned(), ..TensorProto::default() };
        let full = model(vec![tensor("w", 100_000), tensor("axes", 16), floats], vec![branch(tensor("inner", 9000))]);
        let found = ModelProto::decode(&skimmed(full.encode_to_vec()).unwrap()[..]).unwrap();
        let mut expected = full;
        let graph = expected.graph.as_mut().unwrap();
        graph.initializer[0].raw_data.clear();
        graph.initializer[2].float_data.clear();
        graph.node[0].attribute[0].g.as_mut().unwrap().initializer[0].raw_data.clear();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_said_to_be() {
        let whole = model(vec![tensor("w", 5000), tensor("v", 300)], vec![branch(tensor("inner", 40))]).encode_to_vec();
        for length in [1, 2, 3, 100, 4000, whole.len() - 300, whole.len() - 1] {
            let error = skimmed(whole[..length].to_vec()).unwrap_err();
            assert!(matches!(error, SkimError::Cut { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        // A tensor that is longer than the graph around it, which is whole.
        let longer = [0x3a, 0x02, 0x2a, 0x7f, 0x08, 0x01];
        assert!(matches!(skimmed(longer.to_vec()), Err(SkimError::Damaged { at: 4 })));
        assert!(matches!(skimmed(vec![0xff; 30]), Err(SkimError::Damaged { at: 0 })));
        assert!(matches!(skimmed(vec![0x3b, 0x01]), Err(SkimError::Damaged { at: 0 })));
        let endless = [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(skimmed(endless.to_vec()), Err(SkimError::Cut { .. })));
        let many = model(Vec::new(), vec![NodeProto::default(); MAX_MESSAGES as usize + 1]).encode_to_vec();
        assert!(matches!(skimmed(many), Err(SkimError::TooLarge)));
    }
}
