//! TensorFlow Lite's file format: the part of its schema (`schema.fbs`, version 3) that the networks need.

use std::io::{self, Write};

use super::super::{CHUNK_VALUES, write_floats};
use super::flatbuffer::{Field, Layout, Object};
use crate::catalog::networks::{Network, WeightIndex};

/// Identifier of a file of this format.
const IDENTIFIER: [u8; 4] = *b"TFL3";
/// Version of the schema.
const VERSION: u32 = 3;

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
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) data: Data,
}

/// What a tensor holds.
#[derive(Debug)]
pub(super) enum Data {
    /// Floats that an operator writes.
    Activation,
    /// Shapes, axes and the like.
    Integers(Vec<i32>),
    /// Numbers of the writer's own.
    Floats(Vec<f32>),
    /// The network's weights, seen as four dimensions and written with these in another order.
    Weights { weight: WeightIndex, dims: [u64; 4], order: [usize; 4] },
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
}

impl Kernel {
    /// Number of the operator, and version of it.
    fn code(&self) -> (u8, i32) {
        match self {
            Kernel::Add { .. } => (0, 1),
            Kernel::AveragePool2d { .. } => (1, 1),
            Kernel::Concatenation => (2, 1),
            Kernel::Conv2d { .. } => (3, 1),
            Kernel::DepthwiseConv2d { .. } => (4, 1),
            Kernel::FullyConnected { .. } => (9, 1),
            Kernel::MaxPool2d { .. } => (17, 1),
            Kernel::Mul { .. } => (18, 1),
            Kernel::Relu => (19, 1),
            Kernel::Relu6 => (21, 1),
            Kernel::Reshape { .. } => (22, 1),
            Kernel::Pad => (34, 1),
            Kernel::Mean => (40, 1),
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
            Kernel::Reshape { shape } => (17, vec![(0, shape_of(shape).into())]),
            Kernel::Mul { activation } => (21, vec![(0, byte(*activation))]),
            Kernel::Pad => (22, Vec::new()),
            Kernel::Mean => (27, vec![(0, Field::Byte(1))]), // dimensions are kept, of size 1
            Kernel::Relu | Kernel::Relu6 => return None,
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
        layout.write(out, |number, out| constants[number].data.write(network, out))
    }

    fn root(&self, constants: &[&Tensor]) -> Object {
        let mut codes: Vec<(u8, i32)> = self.operators.iter().map(|operator| operator.kernel.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        let code_table = |&(code, version): &(u8, i32)| {
            Object::Table(vec![(0, Field::Byte(code)), (2, version.into()), (3, i32::from(code).into())])
        };
        let operators = self.operators.iter().map(|operator| operator.table(&codes)).collect();
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
        self.shape.iter().product::<u64>() * self.data.element_bytes()
    }

    fn table(&self, buffer: u32) -> Object {
        Object::Table(vec![
            (0, shape_of(&self.shape).into()),
            (1, Field::Byte(self.data.element_type())),
            (2, buffer.into()),
            (3, Object::Text(self.name.clone()).into()),
        ])
    }
}

impl Data {
    fn is_constant(&self) -> bool {
        !matches!(self, Data::Activation)
    }

    /// Number of the element type.
    fn element_type(&self) -> u8 {
        match self {
            Data::Activation | Data::Floats(_) | Data::Weights { .. } => 0,
            Data::Integers(_) => 2,
        }
    }

    fn element_bytes(&self) -> u64 {
        4
    }

    fn write(&self, network: &Network, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Data::Activation => Ok(()),
            Data::Integers(values) => out.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
            Data::Floats(values) => write_floats(values, out),
            Data::Weights { weight, dims, order } => {
                each_part(network, *weight, *dims, *order, &mut |part| write_floats(part, out))
            }
        }
    }
}

/// Hands over a tensor of weights with its dimensions in another order, in parts where the first dimension stays first.
pub(super) fn each_part(
    network: &Network,
    weight: WeightIndex,
    dims: [u64; 4],
    order: [usize; 4],
    take: &mut dyn FnMut(&[f32]) -> io::Result<()>,
) -> io::Result<()> {
    let row: u64 = dims[1..].iter().product();
    // An even number of rows begins at an even number of values.
    let rows_at_once = if order[0] == 0 { (CHUNK_VALUES / row).max(1) * 2 } else { dims[0] };
    let (mut values, mut start) = (Vec::new(), 0);
    while start < dims[0] {
        let end = dims[0].min(start + rows_at_once);
        values.clear();
        network.values_in(weight, start * row..end * row, &mut values);
        take(&reordered(&values, [end - start, dims[1], dims[2], dims[3]], order))?;
        start = end;
    }
    Ok(())
}

/// Values of four dimensions with these in another order: the new dimension n is the old dimension `order[n]`.
fn reordered(values: &[f32], dims: [u64; 4], order: [usize; 4]) -> Vec<f32> {
    let dims = dims.map(|dim| dim as usize);
    let steps = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [a, b, c, d] = order.map(|axis| (dims[axis], steps[axis]));
    let mut out = Vec::with_capacity(values.len());
    for first in 0..a.0 {
        for second in 0..b.0 {
            for third in 0..c.0 {
                let at = first * a.1 + second * b.1 + third * c.1;
                out.extend((0..d.0).map(|fourth| values[at + fourth * d.1]));
            }
        }
    }
    out
}

impl Operator {
    fn table(&self, codes: &[(u8, i32)]) -> Object {
        let code = self.kernel.code();
        let index = codes.iter().position(|known| *known == code).unwrap_or_default();
        let mut fields = vec![
            (0, Field::from(index as u32)),
            (1, Object::integers(self.inputs.iter().map(|&input| input as i32)).into()),
            (2, Object::integers([self.output as i32]).into()),
        ];
        if let Some((number, options)) = self.kernel.options() {
            fields.extend([(3, Field::Byte(number)), (4, Object::Table(options).into())]);
        }
        Object::Table(fields)
    }
}

fn shape_of(shape: &[u64]) -> Object {
    Object::integers(shape.iter().map(|&size| size as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_put_in_another_order() {
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        // Two outputs of three inputs of a 1×2 kernel: inputs come last.
        let ohwi = reordered(&values, [2, 3, 1, 2], [0, 2, 3, 1]);
        assert_eq!(ohwi, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]);
        // Three channels of a depthwise 2×2 kernel: channels come last.
        let hwc = reordered(&values, [3, 1, 2, 2], [1, 2, 3, 0]);
        assert_eq!(hwc, [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
    }
}
