use std::ops::Range;

use super::weights::{Numbers, Weights};
use crate::domain::WeightsKind;

/// Number of a tensor in a [`Network`]: 0 is the input, n + 1 what node n writes.
pub type TensorIndex = usize;
/// Number of a tensor of weights in a [`Network`].
pub type WeightIndex = usize;

/// Name of every network's input.
pub const INPUT: &str = "input";
/// Name of every network's output.
pub const LOGITS: &str = "logits";

/// A network: what it computes, in no format's words, and its weights. Every file is written from this.
#[derive(Debug)]
pub struct Network {
    pub(super) name: String,
    pub(super) input_shape: Vec<u64>,
    pub(super) nodes: Vec<Node>,
    pub(super) weights: Vec<Weights>,
    pub(super) values: Values,
    pub(super) published_params: u64,
}

/// Where the values of a network's weights come from.
#[derive(Debug)]
pub(super) enum Values {
    /// Drawn from this seed.
    Seeded(u64),
    /// Trained: the values of each tensor, and where they are from.
    Trained { tensors: Vec<Vec<f32>>, origin: String },
}

/// One operator. It writes one tensor.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<TensorIndex>,
    /// Shape of what it writes, without the batch: channels, height, width; or features alone.
    pub shape: Vec<u64>,
}

/// What a node computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// A convolution with a bias; the weights have the shape outputs, inputs of a group, height, width.
    Conv {
        /// How it moves.
        window: Window,
        /// Channels are in that many groups.
        groups: u64,
        /// The weights.
        weight: WeightIndex,
        /// The bias.
        bias: WeightIndex,
    },
    /// (x - mean) / √(variance + [`EPSILON`]) × scale + shift for each channel.
    BatchNorm {
        /// The factor.
        scale: WeightIndex,
        /// What is added.
        shift: WeightIndex,
        /// Mean of the channel.
        mean: WeightIndex,
        /// Variance of the channel.
        variance: WeightIndex,
    },
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6). ONNX reads the bounds from tensors, which stand among the weights.
    Relu6 {
        /// The lower bound.
        low: WeightIndex,
        /// The upper bound.
        high: WeightIndex,
    },
    /// min(max(x / 6 + 1/2, 0), 1).
    HardSigmoid,
    /// x times its hard sigmoid.
    HardSwish,
    /// Largest value of each window; padding is not looked at.
    MaxPool(Window),
    /// Mean of each window, in which padding counts as zeros.
    AveragePool(Window),
    /// Mean of each channel.
    GlobalAveragePool,
    /// The channels of all inputs, one input after the other.
    Concat,
    /// The sum of two tensors.
    Add,
    /// The product of two tensors, of which the second has one value a channel.
    Multiply,
    /// As many of the channels as the node's shape has, from this one on.
    Channels {
        /// The first of them.
        first: u64,
    },
    /// The channels, written as a table of that many rows, read column by column.
    ChannelShuffle {
        /// Rows.
        groups: u64,
    },
    /// All values in one row: by channel, then line by line.
    Flatten,
    /// A fully connected layer with a bias; the weights have the shape outputs, inputs.
    Gemm {
        /// The weights.
        weight: WeightIndex,
        /// The bias.
        bias: WeightIndex,
    },
}

/// What batch normalisation adds to a variance.
pub const EPSILON: f32 = 1e-5;

/// How a convolution or a pooling moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [u64; 2],
    /// Step, down and across.
    pub stride: u64,
    /// Padding as the paper's network has it: top, left, bottom, right.
    pub pads: [u64; 4],
    /// The last window may stand out over the edge.
    pub ceil: bool,
}

impl Window {
    /// Height and width of what comes out of an image of that size.
    pub fn output(&self, size: [u64; 2]) -> [u64; 2] {
        let along = |axis: usize| {
            let room = size[axis] + self.pads[axis] + self.pads[axis + 2] - self.kernel[axis];
            1 + if self.ceil { room.div_ceil(self.stride) } else { room / self.stride }
        };
        [along(0), along(1)]
    }

    /// Padding that the windows touch on an image of that size: top, left, bottom, right. A last row that no window
    /// reaches is left out, what a window that stands out needs is there.
    pub fn touched_pads(&self, size: [u64; 2]) -> [u64; 4] {
        let output = self.output(size);
        let after = |axis: usize| {
            let reach = (output[axis] - 1) * self.stride + self.kernel[axis];
            reach.saturating_sub(size[axis] + self.pads[axis])
        };
        [self.pads[0], self.pads[1], after(0), after(1)]
    }
}

impl Network {
    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape of the input without the batch: channels, height, width.
    pub fn input_shape(&self) -> &[u64] {
        &self.input_shape
    }

    /// Parameters of the network as its paper has it: with the scale and shift of every batch normalisation, and
    /// without the biases into which they were folded.
    pub fn published_params(&self) -> u64 {
        self.published_params
    }

    /// What a file of this network says about itself.
    pub fn description(&self) -> String {
        match &self.values {
            Values::Seeded(seed) => {
                format!("{} with synthetic weights (seed {seed}): the true cost, no accuracy", self.name)
            }
            Values::Trained { origin, .. } => format!("{} with trained weights ({origin})", self.name),
        }
    }

    /// Kind of weights.
    pub fn weights_kind(&self) -> WeightsKind {
        match self.values {
            Values::Seeded(_) => WeightsKind::Synthetic,
            Values::Trained { .. } => WeightsKind::Trained,
        }
    }

    /// The same network with trained weights: the values of each tensor of [`Network::weights`], and where they are
    /// from.
    pub(super) fn with_values(self, tensors: Vec<Vec<f32>>, origin: &str) -> Self {
        assert!(self.weights.iter().map(Weights::count).eq(tensors.iter().map(|values| values.len() as u64)));
        Self { values: Values::Trained { tensors, origin: origin.to_owned() }, ..self }
    }

    /// Operators, each after those it reads from.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The weights' names and shapes.
    pub fn weights(&self) -> &[Weights] {
        &self.weights
    }

    /// Number of the tensor that comes out at the end.
    pub fn output(&self) -> TensorIndex {
        self.nodes.len()
    }

    /// Name of a tensor.
    pub fn tensor_name(&self, tensor: TensorIndex) -> &str {
        match tensor {
            0 => INPUT,
            last if last == self.output() => LOGITS,
            other => &self.nodes[other - 1].name,
        }
    }

    /// Shape of a tensor, without the batch.
    pub fn tensor_shape(&self, tensor: TensorIndex) -> &[u64] {
        if tensor == 0 { &self.input_shape } else { &self.nodes[tensor - 1].shape }
    }

    /// All values of a tensor of weights.
    pub fn values(&self, weight: WeightIndex) -> Vec<f32> {
        let mut values = Vec::new();
        self.values_in(weight, 0..self.weights[weight].count(), &mut values);
        values
    }

    /// Appends some of the values of a tensor of weights; the range begins at an even number.
    pub fn values_in(&self, weight: WeightIndex, range: Range<u64>, values: &mut Vec<f32>) {
        match &self.values {
            Values::Seeded(seed) => self.weights[weight].draw(&mut Numbers::new(*seed), range, values),
            Values::Trained { tensors, .. } => {
                values.extend_from_slice(&tensors[weight][range.start as usize..range.end as usize]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: u64, stride: u64, pad: u64, ceil: bool) -> Window {
        Window { kernel: [kernel; 2], stride, pads: [pad; 4], ceil }
    }

    #[test]
    fn windows_touch_only_the_padding_they_reach() {
        // ResNet's stem: of one row on each side the last is never reached.
        let stem = window(3, 2, 1, false);
        assert_eq!((stem.output([112, 112]), stem.touched_pads([112, 112])), ([56, 56], [1, 1, 0, 0]));
        let same = window(3, 1, 1, false);
        assert_eq!((same.output([7, 9]), same.touched_pads([7, 9])), ([7, 9], [1, 1, 1, 1]));
        // SqueezeNet's second pooling: 25.5 steps, the last of which stands out by one row.
        let ceil = window(3, 2, 0, true);
        assert_eq!((ceil.output([54, 54]), ceil.touched_pads([54, 54])), ([27, 27], [0, 0, 1, 1]));
        assert_eq!((ceil.output([109, 109]), ceil.touched_pads([109, 109])), ([54, 54], [0, 0, 0, 0]));
    }
}
