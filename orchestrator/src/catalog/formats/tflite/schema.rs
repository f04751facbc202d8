//! TensorFlow Lite's file format: the part of its schema (`schema.fbs`, version 3) that the networks need.

use std::io::{self, Write};

use super::flatbuffer::{Field, Layout, Object};
use crate::catalog::formats::{CHUNK_VALUES, write_floats};
use crate::catalog::networks::{Network, WeightIndex};

/// Identifier of a file of this format.
const IDENTIFIER: [u8; 4] = *b"TFL3";
/// Version of the schema.
const VERSION: u32 = 3;

/// Numbers of the element types.
const FLOAT32: u8 = 0;
const INT32: u8 = 2;
const INT8: u8 = 9;

/// A file's one graph.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) tensors: Vec<Tensor>,
    pub(super) operators: Vec<Operator>,
    pub(super) input: usize,
    pub(super) output: usize,
}

/// A tensor: a constant when it has data.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) data: Data,
    /// What its integers mean; `None` for floats, and for integers that mean themselves.
    pub(super) scale: Option<Scale>,
}

/// What integers mean: (integer - zero point) × scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    /// One, or one for each channel.
    pub(super) scales: Vec<f32>,
    pub(super) zero_point: i64,
    /// The dimension of the channels.
    pub(super) axis: i32,
}

/// What a tensor holds.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Floats that an operator writes, or with a scale 8-bit integers.
    Activation,
    /// Shapes, axes, biases of 32 bits.
    Integers(Vec<i32>),
    /// Small integers.
    Bytes(Vec<i8>),
    /// Numbers of the writer's own.
    Floats(Vec<f32>),
    /// The network's weights: floats, or with a scale 8-bit integers.
    Weights(Weights),
}

/// Weights of the network, seen as four dimensions and written with these in another order. The first of them are the
/// outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) weight: WeightIndex,
    pub(super) dims: [u64; 4],
    pub(super) order: [usize; 4],
}

/// An operator with the tensors it reads and the one it writes.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) kernel: Kernel,
    pub(super) inputs: Vec<usize>,
    pub(super) output: usize,
}

/// What an operator does to its sum at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    None = 0,
    Relu = 1,
    Relu6 = 3,
}

/// How an image is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    Same = 0,
    Valid = 1,
}

/// What an operator computes. Images are batch, height, width, channels.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kernel {
    Conv2d { padding: Padding, stride: u64, activation: Activation },
    DepthwiseConv2d { padding: Padding, stride: u64, activation: Activation },
    MaxPool2d { padding: Padding, stride: u64, filter: [u64; 2] },
    AveragePool2d { padding: Padding, stride: u64, filter: [u64; 2] },
    FullyConnected { activation: Activation },
    Concatenation,
    Add { activation: Activation },
    Mul { activation: Activation },
    Relu,
    Relu6,
    Mean,
    Pad,
    Reshape { shape: Vec<u64> },
    Transpose,
    Slice,
    HardSwish,
    Quantize,
    Dequantize,
}

impl Kernel {
    /// Number of the operator, and the version of it that works on floats and the one that works on 8-bit integers.
    fn code(&self) -> (u8, [i32; 2]) {
        match self {
            Kernel::Add { .. } => (0, [1, 2]),
            Kernel::AveragePool2d { .. } => (1, [1, 2]),
            Kernel::Concatenation => (2, [1, 2]),
            Kernel::Conv2d { .. } => (3, [1, 3]),
            Kernel::DepthwiseConv2d { .. } => (4, [1, 3]),
            Kernel::Dequantize => (6, [2, 2]),
            Kernel::FullyConnected { .. } => (9, [1, 4]),
            Kernel::MaxPool2d { .. } => (17, [1, 2]),
            Kernel::Mul { .. } => (18, [1, 2]),
            Kernel::Relu => (19, [1, 2]),
            Kernel::Relu6 => (21, [1, 2]),
            Kernel::Reshape { .. } => (22, [1, 1]),
            Kernel::Pad => (34, [1, 2]),
            Kernel::Transpose => (39, [1, 2]),
            Kernel::Mean => (40, [1, 2]),
            Kernel::Slice => (65, [1, 2]),
            Kernel::Quantize => (114, [1, 1]),
            Kernel::HardSwish => (117, [1, 1]),
        }
    }

    /// Number of its options in the union of all options, and their table.
    fn options(&self) -> Option<(u8, Vec<(usize, Field)>)> {
        let byte = |value: Activation| Field::Byte(value as u8);
        let number = |value: u64| Field::from(value as i32);
        Some(match self {
            Kernel::Conv2d { padding, stride, activation } => (
                1,
                vec![
                    (0, Field::Byte(*padding as u8)),
                    (1, number(*stride)),
                    (2, number(*stride)),
                    (3, byte(*activation)),
                ],
            ),
            Kernel::DepthwiseConv2d { padding, stride, activation } => (
                2,
                vec![
                    (0, Field::Byte(*padding as u8)),
                    (1, number(*stride)),
                    (2, number(*stride)),
                    (3, number(1)), // outputs of a channel
                    (4, byte(*activation)),
                ],
            ),
            Kernel::MaxPool2d { padding, stride, filter } | Kernel::AveragePool2d { padding, stride, filter } => (
                5,
                vec![
                    (0, Field::Byte(*padding as u8)),
                    (1, number(*stride)),
                    (2, number(*stride)),
                    (3, number(filter[1])),
                    (4, number(filter[0])),
                ],
            ),
            Kernel::FullyConnected { activation } => (8, vec![(0, byte(*activation))]),
            Kernel::Concatenation => (10, vec![(0, 3.into())]), // the axis: channels
            Kernel::Add { activation } => (11, vec![(0, byte(*activation))]),
            Kernel::Reshape { shape } => (17, vec![(0, Object::integers(batched(shape)).into())]),
            Kernel::Mul { activation } => (21, vec![(0, byte(*activation))]),
            Kernel::Pad => (22, Vec::new()),
            Kernel::Transpose => (26, Vec::new()),
            Kernel::Slice => (48, Vec::new()),
            Kernel::HardSwish => (91, Vec::new()),
            Kernel::Mean => (27, vec![(0, Field::Byte(1))]), // dimensions are kept, of size 1
            Kernel::Relu | Kernel::Relu6 | Kernel::Quantize | Kernel::Dequantize => return None,
        })
    }
}

impl Model {
    /// Writes the file, with weights of the network that the model was made of.
    pub(super) fn write(&self, network: &Network, out: &mut dyn Write) -> io::Result<()> {
        let constants: Vec<&Tensor> = self.tensors.iter().filter(|tensor| tensor.data.is_constant()).collect();
        let total: u64 = constants.iter().map(|tensor| tensor.bytes()).sum();
        if total > i32::MAX as u64 {
            return Err(io::Error::other(format!("{total} bytes of weights are more than a file can have")));
        }
        let layout = Layout::new(&self.root(&constants), IDENTIFIER);
        layout.write(out, |number, out| constants[number].write(network, out))
    }

    fn root(&self, constants: &[&Tensor]) -> Object {
        let mut codes: Vec<(u8, i32)> = self.operators.iter().map(|operator| self.code(operator)).collect();
        codes.sort_unstable();
        codes.dedup();
        let code_table = |&(code, version): &(u8, i32)| {
            Object::Table(vec![(0, Field::Byte(code)), (2, version.into()), (3, i32::from(code).into())])
        };
        let operators = self.operators.iter().map(|operator| self.operator_table(operator, &codes)).collect();
        // Buffer 0 is that of tensors without data.
        let mut buffer = 0;
        let tensors = self.tensors.iter().map(|tensor| {
            buffer += u32::from(tensor.data.is_constant());
            tensor.table(if tensor.data.is_constant() { buffer } else { 0 })
        });
        let subgraph = Object::Table(vec![
            (0, Object::List(tensors.collect()).into()),
            (1, Object::integers([self.input as i32]).into()),
            (2, Object::integers([self.output as i32]).into()),
            (3, Object::List(operators).into()),
            (4, Object::Text(self.name.clone()).into()),
        ]);
        let mut buffers = vec![Object::Table(Vec::new())];
        let blob = |tensor: &&Tensor| Object::Table(vec![(0, Object::Blob(tensor.bytes() as usize).into())]);
        buffers.extend(constants.iter().map(blob));
        Object::Table(vec![
            (0, VERSION.into()),
            (1, Object::List(codes.iter().map(code_table).collect()).into()),
            (2, Object::List(vec![subgraph]).into()),
            (3, Object::Text(self.description.clone()).into()),
            (4, Object::List(buffers).into()),
        ])
    }
}

impl Tensor {
    fn bytes(&self) -> u64 {
        let element = match self.element_type() {
            INT8 => 1,
            _ => 4,
        };
        self.shape.iter().product::<u64>() * element
    }

    /// Number of the element type.
    fn element_type(&self) -> u8 {
        match (&self.data, &self.scale) {
            (Data::Integers(_), _) => INT32,
            (Data::Bytes(_), _) | (_, Some(_)) => INT8,
            _ => FLOAT32,
        }
    }

    fn table(&self, buffer: u32) -> Object {
        let mut fields = vec![
            (0, shape_of(&self.shape).into()),
            (1, Field::Byte(self.element_type())),
            (2, buffer.into()),
            (3, Object::Text(self.name.clone()).into()),
        ];
        if let Some(scale) = &self.scale {
            fields.push((4, scale.table().into()));
        }
        if !self.data.is_constant() {
            // What is open is told here; the shape has some size for it.
            fields.push((7, Object::integers(batched(&self.shape)).into()));
        }
        Object::Table(fields)
    }

    /// Writes the values of a constant.
    fn write(&self, network: &Network, out: &mut dyn Write) -> io::Result<()> {
        match (&self.data, &self.scale) {
            (Data::Activation, _) => Ok(()),
            (Data::Integers(values), _) => {
                out.write_all(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
            }
            (Data::Bytes(values), _) => out.write_all(&values.iter().map(|value| *value as u8).collect::<Vec<u8>>()),
            (Data::Floats(values), _) => write_floats(values, out),
            (Data::Weights(weights), None) => {
                weights.each_part(network, &|_, value| value, &mut |part| write_floats(part, out))
            }
            (Data::Weights(weights), Some(scale)) => {
                let quantised = |row: usize, value: f32| scale.quantised(row, value) as u8;
                weights.each_part(network, &quantised, &mut |part| out.write_all(part))
            }
        }
    }
}

impl Scale {
    /// The integer for a value of a channel: of a symmetric scale, so that its magnitude is at most 127.
    fn quantised(&self, channel: usize, value: f32) -> i8 {
        let scale = self.scales[channel % self.scales.len()];
        (value / scale).round().clamp(-127.0, 127.0) as i8
    }

    fn table(&self) -> Object {
        Object::Table(vec![
            (2, Object::floats(self.scales.iter().copied()).into()),
            (3, Object::longs(self.scales.iter().map(|_| self.zero_point)).into()),
            (6, self.axis.into()),
        ])
    }
}

impl Data {
    fn is_constant(&self) -> bool {
        !matches!(self, Data::Activation)
    }
}

impl Weights {
    /// Hands over the weights, each made into something from its output and value, in parts where the outputs stay
    /// first.
    pub(super) fn each_part<T: Copy>(
        &self,
        network: &Network,
        make: &dyn Fn(usize, f32) -> T,
        take: &mut dyn FnMut(&[T]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Weights { weight, dims, order } = *self;
        let row: u64 = dims[1..].iter().product();
        // An even number of rows begins at an even number of values.
        let rows_at_once = if order[0] == 0 { (CHUNK_VALUES / row).max(1) * 2 } else { dims[0] };
        let (mut values, mut start) = (Vec::new(), 0);
        while start < dims[0] {
            let end = dims[0].min(start + rows_at_once);
            values.clear();
            network.values_in(weight, start * row..end * row, &mut values);
            let made: Vec<T> =
                values.iter().enumerate().map(|(at, value)| make(start as usize + at / row as usize, *value)).collect();
            take(&reordered(&made, [end - start, dims[1], dims[2], dims[3]], order))?;
            start = end;
        }
        Ok(())
    }
}

/// Values of four dimensions with these in another order: the new dimension n is the old dimension `order[n]`.
fn reordered<T: Copy>(values: &[T], dims: [u64; 4], order: [usize; 4]) -> Vec<T> {
    let dims = dims.map(|dim| dim as usize);
    let steps = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [a, b, c, d] = order.map(|axis| (dims[axis], steps[axis]));
    let mut out = Vec::with_capacity(values.len());
    for first in 0..a.0 {
        for second in 0..b.0 {
            for third in 0..c.0 {
                let mut at = first * a.1 + second * b.1 + third * c.1;
                for _ in 0..d.0 {
                    out.push(values[at]);
                    at += d.1;
                }
            }
        }
    }
    out
}

impl Model {
    /// Number of an operator, and version of it for what it works on.
    fn code(&self, operator: &Operator) -> (u8, i32) {
        let (number, versions) = operator.kernel.code();
        let on_integers = self.tensors[operator.inputs[0]].element_type() == INT8;
        (number, versions[usize::from(on_integers)])
    }

    fn operator_table(&self, operator: &Operator, codes: &[(u8, i32)]) -> Object {
        let code = self.code(operator);
        let index = codes.iter().position(|known| *known == code).unwrap_or_default();
        let mut fields = vec![
            (0, Field::from(index as u32)),
            (1, Object::integers(operator.inputs.iter().map(|&input| input as i32)).into()),
            (2, Object::integers([operator.output as i32]).into()),
        ];
        if let Some((number, options)) = operator.kernel.options() {
            fields.extend([(3, Field::Byte(number)), (4, Object::Table(options).into())]);
        }
        Object::Table(fields)
    }
}

/// A shape of one image with its batch open, which -1 stands for; as a size it means all that there is.
pub(super) fn batched(shape: &[u64]) -> Vec<i32> {
    shape.iter().enumerate().map(|(axis, &size)| if axis == 0 { -1 } else { size as i32 }).collect()
}

fn shape_of(shape: &[u64]) -> Object {
    Object::integers(shape.iter().map(|&size| size as i32))
}

#[cfg(test)]
mod tests;
