//! From our operators to TensorFlow Lite's.

use super::schema::{Activation, Data, Kernel, Model, Operator, Padding, Tensor, Weights, batched};
use crate::catalog::networks::{EPSILON, Network, Node, Op, TensorIndex, WeightIndex, Window};

/// A network's graph in TensorFlow Lite's operators; an error says what it has no operator for.
pub(super) fn lower(network: &Network) -> Result<Model, String> {
    let mut lowering = Lowering {
        network,
        readers: readers(network),
        model: Model { name: network.name().to_owned(), description: network.description(), ..Model::default() },
        tensors: vec![None; network.nodes().len() + 1],
    };
    lowering.activation(0);
    for (index, node) in network.nodes().iter().enumerate() {
        // An activation that the operator before it has taken over is there already.
        if lowering.tensors[index + 1].is_none() {
            lowering.node(index + 1, node)?;
        }
    }
    lowering.model.output = lowering.tensor(network.output());
    Ok(lowering.model)
}

/// The nodes that read each tensor.
fn readers(network: &Network) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); network.nodes().len() + 1];
    for (index, node) in network.nodes().iter().enumerate() {
        node.inputs.iter().for_each(|&input| readers[input].push(index));
    }
    readers
}

struct Lowering<'a> {
    network: &'a Network,
    readers: Vec<Vec<usize>>,
    model: Model,
    /// Where each of the network's tensors is in the model, once it is there.
    tensors: Vec<Option<usize>>,
}

impl Lowering<'_> {
    fn node(&mut self, output: TensorIndex, node: &Node) -> Result<(), String> {
        let first = node.inputs[0];
        let read: Vec<usize> = node.inputs.iter().map(|&input| self.tensor(input)).collect();
        match node.op {
            Op::Conv { window, groups, weight, bias } => self.conv(node, output, window, groups, (weight, bias))?,
            Op::BatchNorm { scale, shift, mean, variance } => {
                self.batch_norm(node, output, [scale, shift, mean, variance]);
            }
            Op::Relu => self.operator(Kernel::Relu, read, output),
            Op::Relu6 { .. } => self.operator(Kernel::Relu6, read, output),
            Op::HardSigmoid => self.hard_sigmoid(node, read[0], output),
            Op::HardSwish => self.operator(Kernel::HardSwish, read, output),
            Op::Multiply => self.operator(Kernel::Mul { activation: Activation::None }, read, output),
            Op::Channels { first } => self.channels(node, read[0], output, first),
            Op::ChannelShuffle { groups } => self.channel_shuffle(node, read[0], output, groups),
            Op::MaxPool(window) => {
                let (input, padding) = self.padded(node, first, window);
                if input != read[0] && !self.is_rectified(first) {
                    return Err(format!("{}: its padding would count where the input is negative", node.name));
                }
                let kernel = Kernel::MaxPool2d { padding, stride: window.stride, filter: window.kernel };
                self.operator(kernel, vec![input], output);
            }
            Op::AveragePool(window) => {
                // TensorFlow Lite's own padding doesn't count as zeros.
                let input = self.with_zeros(node, first, window);
                let padding = Padding::Valid;
                let kernel = Kernel::AveragePool2d { padding, stride: window.stride, filter: window.kernel };
                self.operator(kernel, vec![input], output);
            }
            Op::GlobalAveragePool => {
                let axes = self.integers(format!("{}.axes", node.name), vec![1, 2], vec![2]);
                self.operator(Kernel::Mean, vec![read[0], axes], output);
            }
            Op::Concat => self.operator(Kernel::Concatenation, read, output),
            Op::Add => {
                let (activation, output) = self.activation_after(output);
                self.operator(Kernel::Add { activation }, read, output);
            }
            Op::Flatten => {
                let shape = vec![1, node.shape[0]];
                let sizes = self.sizes(&node.name, "shape", &shape);
                self.operator(Kernel::Reshape { shape }, vec![read[0], sizes], output);
            }
            Op::Gemm { weight, bias } => {
                let weight = self.gemm_weight(weight, first);
                let bias = self.vector(bias);
                let (activation, output) = self.activation_after(output);
                self.operator(Kernel::FullyConnected { activation }, vec![read[0], weight, bias], output);
            }
        }
        Ok(())
    }

    fn conv(
        &mut self,
        node: &Node,
        output: TensorIndex,
        window: Window,
        groups: u64,
        (weight, bias): (WeightIndex, WeightIndex),
    ) -> Result<(), String> {
        let (input, padding) = self.padded(node, node.inputs[0], window);
        let stride = window.stride;
        let [outputs, inputs_of_group, height, width] = self.dims(weight);
        let depthwise = inputs_of_group == 1 && groups == outputs && groups > 1;
        if groups > 1 && !depthwise {
            return Err(format!("{}: TensorFlow Lite's engines lack convolutions in {groups} groups", node.name));
        }
        let (activation, output) = self.activation_after(output);
        let (kernel, weight) = if depthwise {
            let shape = vec![1, height, width, outputs];
            (Kernel::DepthwiseConv2d { padding, stride, activation }, self.weight(weight, shape, [1, 2, 3, 0]))
        } else {
            let shape = vec![outputs, height, width, inputs_of_group];
            (Kernel::Conv2d { padding, stride, activation }, self.weight(weight, shape, [0, 2, 3, 1]))
        };
        let bias = self.vector(bias);
        self.operator(kernel, vec![input, weight, bias], output);
        Ok(())
    }

    /// A factor and a summand for each channel.
    fn batch_norm(&mut self, node: &Node, output: TensorIndex, weights: [WeightIndex; 4]) {
        let [scale, shift, mean, variance] = weights.map(|weight| self.network.values(weight));
        let factor: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + EPSILON).sqrt()).collect();
        let summand = shift.iter().zip(&mean).zip(&factor).map(|((s, m), f)| s - m * f).collect();
        let channels = vec![node.shape[0]];
        let factor = self.constant(format!("{}.factor", node.name), channels.clone(), Data::Floats(factor));
        let summand = self.constant(format!("{}.summand", node.name), channels, Data::Floats(summand));
        let scaled = self.constant(format!("{}.scaled", node.name), image(&node.shape), Data::Activation);
        let input = self.tensor(node.inputs[0]);
        self.push(Kernel::Mul { activation: Activation::None }, vec![input, factor], scaled);
        let (activation, output) = self.activation_after(output);
        self.operator(Kernel::Add { activation }, vec![scaled, summand], output);
    }

    /// min(max(x + 3, 0), 6) / 6.
    fn hard_sigmoid(&mut self, node: &Node, input: usize, output: TensorIndex) {
        let three = self.constant(format!("{}.three", node.name), vec![1], Data::Floats(vec![3.0]));
        let sixth = self.constant(format!("{}.sixth", node.name), vec![1], Data::Floats(vec![1.0 / 6.0]));
        let clipped = self.constant(format!("{}.clipped", node.name), image(&node.shape), Data::Activation);
        self.push(Kernel::Add { activation: Activation::Relu6 }, vec![input, three], clipped);
        self.operator(Kernel::Mul { activation: Activation::None }, vec![clipped, sixth], output);
    }

    fn channels(&mut self, node: &Node, input: usize, output: TensorIndex, first: u64) {
        let size = batched(&image(&node.shape));
        let begin = self.integers(format!("{}.begin", node.name), vec![0, 0, 0, first as i32], vec![4]);
        let size = self.integers(format!("{}.size", node.name), size, vec![4]);
        self.operator(Kernel::Slice, vec![input, begin, size], output);
    }

    fn channel_shuffle(&mut self, node: &Node, input: usize, output: TensorIndex, groups: u64) {
        let [channels, height, width] = [0, 1, 2].map(|axis: usize| node.shape[axis]);
        let columns = channels / groups;
        let table = self.reshape(&node.name, "table", input, vec![1, height * width, groups, columns]);
        let order = self.integers(format!("{}.order", node.name), vec![0, 1, 3, 2], vec![4]);
        let shape = vec![1, height * width, columns, groups];
        let turned = self.constant(format!("{}.turned", node.name), shape, Data::Activation);
        self.push(Kernel::Transpose, vec![table, order], turned);
        let shape = image(&node.shape);
        let sizes = self.sizes(&node.name, "shape", &shape);
        self.operator(Kernel::Reshape { shape }, vec![turned, sizes], output);
    }

    /// A tensor of another shape with the same values.
    fn reshape(&mut self, node: &str, what: &str, input: usize, shape: Vec<u64>) -> usize {
        let sizes = self.sizes(node, &format!("{what}_shape"), &shape);
        let output = self.constant(format!("{node}.{what}"), shape.clone(), Data::Activation);
        self.push(Kernel::Reshape { shape }, vec![input, sizes], output);
        output
    }

    /// A shape as a tensor.
    fn sizes(&mut self, node: &str, what: &str, shape: &[u64]) -> usize {
        self.integers(format!("{node}.{what}"), batched(shape), vec![shape.len() as u64])
    }

    /// The input of a window with the padding that the operator can't do by itself, and what it then does by itself.
    fn padded(&mut self, node: &Node, input: TensorIndex, window: Window) -> (usize, Padding) {
        let size = size(self.network.tensor_shape(input));
        match window.touched_pads(size) {
            [0, 0, 0, 0] => (self.tensor(input), Padding::Valid),
            pads if pads == same_pads(window, size) => (self.tensor(input), Padding::Same),
            _ => (self.with_zeros(node, input, window), Padding::Valid),
        }
    }

    /// The input of a window with its padding around it, where it has any.
    fn with_zeros(&mut self, node: &Node, input: TensorIndex, window: Window) -> usize {
        let shape = self.network.tensor_shape(input).to_vec();
        let [top, left, bottom, right] = window.touched_pads(size(&shape));
        let tensor = self.tensor(input);
        if [top, left, bottom, right] == [0; 4] {
            return tensor;
        }
        let pads = [0, 0, top, bottom, left, right, 0, 0].map(|pad| pad as i32).to_vec();
        let pads = self.integers(format!("{}.pads", node.name), pads, vec![4, 2]);
        let shape = vec![1, shape[1] + top + bottom, shape[2] + left + right, shape[0]];
        let padded = self.constant(format!("{}.padded", node.name), shape, Data::Activation);
        self.push(Kernel::Pad, vec![tensor, pads], padded);
        padded
    }

    /// The activation that alone reads a tensor, and the tensor that it writes: one operator does both.
    fn activation_after(&self, tensor: TensorIndex) -> (Activation, TensorIndex) {
        let [reader] = self.readers[tensor][..] else { return (Activation::None, tensor) };
        match self.network.nodes()[reader].op {
            Op::Relu => (Activation::Relu, reader + 1),
            Op::Relu6 { .. } => (Activation::Relu6, reader + 1),
            _ => (Activation::None, tensor),
        }
    }

    /// Whether a tensor holds nothing below zero.
    fn is_rectified(&self, tensor: TensorIndex) -> bool {
        if tensor == 0 {
            return false;
        }
        let node = &self.network.nodes()[tensor - 1];
        match node.op {
            Op::Relu | Op::Relu6 { .. } => true,
            Op::MaxPool(_) | Op::Concat | Op::Channels { .. } | Op::ChannelShuffle { .. } => {
                node.inputs.iter().all(|&input| self.is_rectified(input))
            }
            _ => false,
        }
    }

    /// Appends an operator that writes one of the network's tensors.
    fn operator(&mut self, kernel: Kernel, inputs: Vec<usize>, output: TensorIndex) {
        let output = self.activation(output);
        self.push(kernel, inputs, output);
    }

    fn push(&mut self, kernel: Kernel, inputs: Vec<usize>, output: usize) {
        self.model.operators.push(Operator { kernel, inputs, output });
    }

    /// Adds one of the network's tensors.
    fn activation(&mut self, tensor: TensorIndex) -> usize {
        let name = self.network.tensor_name(tensor).to_owned();
        let index = self.constant(name, image(self.network.tensor_shape(tensor)), Data::Activation);
        self.tensors[tensor] = Some(index);
        index
    }

    /// One of the network's tensors that is there.
    fn tensor(&self, tensor: TensorIndex) -> usize {
        self.tensors[tensor].expect("nodes stand after those they read from")
    }

    fn integers(&mut self, name: String, values: Vec<i32>, shape: Vec<u64>) -> usize {
        self.constant(name, shape, Data::Integers(values))
    }

    /// A tensor of weights with one value a channel.
    fn vector(&mut self, weight: WeightIndex) -> usize {
        let count = self.network.weights()[weight].count();
        let name = self.network.weights()[weight].name().to_owned();
        self.constant(name, vec![count], Data::Weights(Weights { weight, dims: [count, 1, 1, 1], order: [0, 1, 2, 3] }))
    }

    /// A kernel of a convolution, its dimensions in another order.
    fn weight(&mut self, weight: WeightIndex, shape: Vec<u64>, order: [usize; 4]) -> usize {
        let name = self.network.weights()[weight].name().to_owned();
        self.constant(name, shape, Data::Weights(Weights { weight, dims: self.dims(weight), order }))
    }

    /// Weights of a fully connected layer. What reads an image in a row finds its channels last here.
    fn gemm_weight(&mut self, weight: WeightIndex, input: TensorIndex) -> usize {
        let dims = self.network.weights()[weight].dims();
        let (outputs, inputs) = (dims[0], dims[1]);
        let flat_of = self.network.nodes().get(input.wrapping_sub(1)).filter(|node| node.op == Op::Flatten);
        let image = flat_of.map(|node| self.network.tensor_shape(node.inputs[0]));
        let dims = match image {
            Some(&[channels, height, width]) => [outputs, channels, height, width],
            _ => [outputs, inputs, 1, 1],
        };
        let name = self.network.weights()[weight].name().to_owned();
        self.constant(name, vec![outputs, inputs], Data::Weights(Weights { weight, dims, order: [0, 2, 3, 1] }))
    }

    fn dims(&self, weight: WeightIndex) -> [u64; 4] {
        let dims = self.network.weights()[weight].dims();
        [0, 1, 2, 3].map(|axis| dims.get(axis).copied().unwrap_or(1))
    }

    fn constant(&mut self, name: String, shape: Vec<u64>, data: Data) -> usize {
        self.model.tensors.push(Tensor { name, shape, data, scale: None });
        self.model.tensors.len() - 1
    }
}

/// A shape with the batch, channels last. Shapes are of one image; where they stand in the file, the batch is open.
fn image(shape: &[u64]) -> Vec<u64> {
    match *shape {
        [channels, height, width] => vec![1, height, width, channels],
        ref features => [&[1], features].concat(),
    }
}

/// Height and width.
fn size(shape: &[u64]) -> [u64; 2] {
    [shape[1], shape[2]]
}

/// What TensorFlow's padding SAME puts around an image: top, left, bottom, right.
fn same_pads(window: Window, size: [u64; 2]) -> [u64; 4] {
    let pads = [0, 1].map(|axis: usize| {
        let outputs = size[axis].div_ceil(window.stride);
        let total = ((outputs - 1) * window.stride + window.kernel[axis]).saturating_sub(size[axis]);
        (outputs == window.output(size)[axis]).then_some((total / 2, total.div_ceil(2)))
    });
    match pads {
        [Some((top, bottom)), Some((left, right))] => [top, left, bottom, right],
        _ => [u64::MAX; 4],
    }
}
