use std::io::{self, Write};

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::weights::{SplitMix64, Weights};
use crate::catalog::onnx::{GraphProto, ModelProto, OperatorSetIdProto};

/// ONNX's operator set that the networks use: old enough for every engine, new enough for all they need.
const OPSET: i64 = 13;
/// File format that belongs to it.
const IR_VERSION: i64 = 8;

/// Field numbers of ONNX's messages that are written around the weights.
const MODEL_GRAPH: u32 = 7;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_RAW_DATA: u32 = 9;

/// Values drawn at a time: weights are never whole in memory.
const CHUNK_VALUES: u64 = 1 << 16;
const VALUE_BYTES: u64 = 4;

/// A network, and how its weights are drawn.
#[derive(Debug)]
pub struct Network {
    graph: GraphProto,
    weights: Vec<Weights>,
    seed: u64,
    published_params: u64,
}

impl Network {
    pub(super) fn new(graph: GraphProto, weights: Vec<Weights>, seed: u64, published_params: u64) -> Self {
        Self { graph, weights, seed, published_params }
    }

    /// Parameters of the network as its paper has it: with the scale and shift of every batch normalisation, and
    /// without the biases into which they were folded.
    pub fn published_params(&self) -> u64 {
        self.published_params
    }

    /// The model with the shapes of its weights, but not their values: enough to count its operations.
    pub fn outline(&self) -> ModelProto {
        let mut graph = self.graph.clone();
        graph.initializer = self.weights.iter().map(Weights::header).collect();
        ModelProto { graph: Some(graph), ..self.envelope() }
    }

    /// Writes the model as an ONNX file.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = self.envelope().encode_to_vec();
        encode_key(MODEL_GRAPH, WireType::LengthDelimited, &mut head);
        let tensors_bytes: u64 =
            self.weights.iter().map(|weights| field_bytes(GRAPH_INITIALIZER, tensor_bytes(weights))).sum();
        encode_varint(self.graph.encoded_len() as u64 + tensors_bytes, &mut head);
        self.graph.encode_raw(&mut head);
        out.write_all(&head)?;

        let mut numbers = SplitMix64::new(self.seed);
        let mut chunk = Vec::new();
        for weights in &self.weights {
            encode_key(GRAPH_INITIALIZER, WireType::LengthDelimited, &mut chunk);
            encode_varint(tensor_bytes(weights), &mut chunk);
            weights.header().encode_raw(&mut chunk);
            encode_key(TENSOR_RAW_DATA, WireType::LengthDelimited, &mut chunk);
            encode_varint(weights.values() * VALUE_BYTES, &mut chunk);
            let mut left = weights.values();
            while left > 0 {
                // Even but for the last: a number of the sequence makes two values.
                let count = left.min(CHUNK_VALUES);
                weights.draw(count, &mut numbers, &mut chunk);
                out.write_all(&chunk)?;
                chunk.clear();
                left -= count;
            }
        }
        Ok(())
    }

    fn envelope(&self) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            // No version: it would change the file's hash with every release.
            producer_name: "farmctl".to_owned(),
            doc_string: format!(
                "{} with synthetic weights (seed {}): the true cost, no accuracy",
                self.graph.name, self.seed
            ),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            ..ModelProto::default()
        }
    }
}

/// Length of a tensor message.
fn tensor_bytes(weights: &Weights) -> u64 {
    weights.header().encoded_len() as u64 + field_bytes(TENSOR_RAW_DATA, weights.values() * VALUE_BYTES)
}

/// Length of a field whose content has that length.
fn field_bytes(field: u32, content_bytes: u64) -> u64 {
    (key_len(field) + encoded_len_varint(content_bytes)) as u64 + content_bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::catalog::{networks, onnx};

    #[test]
    fn a_written_file_is_the_outline_with_values() {
        let network = networks::build("squeezenet1_0").unwrap();
        let mut bytes = Vec::new();
        network.write(&mut bytes).unwrap();
        let mut model = onnx::decode(bytes).unwrap();
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            let values: i64 = tensor.dims.iter().product();
            assert_eq!(tensor.raw_data.len(), usize::try_from(values).unwrap() * 4, "{}", tensor.name);
            tensor.raw_data.clear();
        }
        assert_eq!(model, network.outline());
    }
}
