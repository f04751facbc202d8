use super::graph::{Network, Node, Op, TensorIndex, Values, WeightIndex, Window};
use super::weights::Weights;

/// Classes of ImageNet.
const CLASSES: u64 = 1000;

/// Biases are drawn from ± this: small beside the activations, and not zero, which an engine might leave out.
const BIAS_BOUND: f32 = 0.05;

/// Variance of the weights for one input of a sum, where the input has been through a ReLU, which leaves half of its
/// power (He et al., 2015, arXiv:1502.01852). Otherwise it is 1.
const AFTER_RELU: f32 = 2.0;

/// The same after a hard swish: of x with variance 1 it leaves about (x² + 3x)² / 36, which is one third.
const AFTER_HARD_SWISH: f32 = 3.0;

/// What the last convolution of a residual block does to the variance. What is added must be small, or the sum grows
/// from block to block; in a trained network batch normalisation sees to it.
pub(super) const RESIDUAL_GAIN: f32 = 1.0 / 16.0;

/// A tensor in the graph.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    index: TensorIndex,
    /// Channels, height, width; or features alone.
    shape: Vec<u64>,
    /// What makes up, in the next weights' variance, for the power that an activation took.
    make_up: f32,
}

impl Tensor {
    /// Number of channels.
    pub(super) fn channels(&self) -> u64 {
        self.shape[0]
    }

    fn size(&self) -> [u64; 2] {
        [self.shape[1], self.shape[2]]
    }
}

/// A convolution: kernel, stride, padding and groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    channels: u64,
    kernel: [u64; 2],
    stride: u64,
    padding: Padding,
    groups: u64,
    gain: f32,
}

/// How an image is padded before a convolution.
#[derive(Debug, Clone, Copy)]
enum Padding {
    /// So much above and below, and left and right.
    Fixed([u64; 2]),
    /// As TensorFlow's SAME: as much as it takes for one output a stride, and of an odd number more below and right.
    Same,
}

impl Conv {
    /// To that many channels, with a square kernel, stride 1, and padding that keeps the size.
    pub(super) fn same(channels: u64, kernel: u64) -> Self {
        Self::rectangle(channels, [kernel, kernel])
    }

    /// As [`Conv::same`], with a kernel of that height and width.
    pub(super) fn rectangle(channels: u64, kernel: [u64; 2]) -> Self {
        let padding = Padding::Fixed(kernel.map(|size| size / 2));
        Self { channels, kernel, stride: 1, padding, groups: 1, gain: 1.0 }
    }

    /// Channels it makes.
    pub(super) fn channels(&self) -> u64 {
        self.channels
    }

    /// With that stride.
    pub(super) fn stride(self, stride: u64) -> Self {
        Self { stride, ..self }
    }

    /// Without padding.
    pub(super) fn valid(self) -> Self {
        self.pad(0)
    }

    /// With that padding on every side.
    pub(super) fn pad(self, pad: u64) -> Self {
        Self { padding: Padding::Fixed([pad; 2]), ..self }
    }

    /// With TensorFlow's padding SAME, which stands below and right of the image before it stands above and left.
    pub(super) fn tensorflow_same(self) -> Self {
        Self { padding: Padding::Same, ..self }
    }

    /// With channels in that many groups.
    pub(super) fn groups(self, groups: u64) -> Self {
        Self { groups, ..self }
    }

    /// With weights that scale the output's variance by `gain`.
    pub(super) fn gain(self, gain: f32) -> Self {
        Self { gain, ..self }
    }

    fn window(&self, size: [u64; 2]) -> Window {
        let pads = match self.padding {
            Padding::Fixed([vertical, horizontal]) => [vertical, horizontal, vertical, horizontal],
            Padding::Same => {
                let [height, width] = [0, 1].map(|axis: usize| {
                    let outputs = size[axis].div_ceil(self.stride);
                    ((outputs - 1) * self.stride + self.kernel[axis]).saturating_sub(size[axis])
                });
                [height / 2, width / 2, height.div_ceil(2), width.div_ceil(2)]
            }
        };
        Window { kernel: self.kernel, stride: self.stride, pads, ceil: false }
    }
}

/// A pooling window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    /// Height and width of the window.
    pub(super) kernel: u64,
    /// Step.
    pub(super) stride: u64,
    /// Padding on every side.
    pub(super) pad: u64,
}

impl Pool {
    fn window(&self, ceil: bool) -> Window {
        Window { kernel: [self.kernel; 2], stride: self.stride, pads: [self.pad; 4], ceil }
    }
}

/// Puts a network together, node by node.
#[derive(Debug)]
pub(super) struct Builder {
    name: String,
    input_shape: Vec<u64>,
    nodes: Vec<Node>,
    weights: Vec<Weights>,
    seed: u64,
    published_params: u64,
}

impl Builder {
    /// An empty network of that name for square images of that size, and its input. The seed of the weights can be any
    /// number that stays: the networks take the number of their paper on arXiv.
    pub(super) fn new(name: &str, seed: u64, image_size: u64) -> (Self, Tensor) {
        Self::with_input(name, seed, &[3, image_size, image_size])
    }

    /// As [`Builder::new`], with an input of that many channels, height and width.
    pub(super) fn with_input(name: &str, seed: u64, shape: &[u64]) -> (Self, Tensor) {
        let net = Self {
            name: name.to_owned(),
            input_shape: shape.to_vec(),
            nodes: Vec::new(),
            weights: Vec::new(),
            seed,
            published_params: 0,
        };
        (net, Tensor { index: 0, shape: shape.to_vec(), make_up: 1.0 })
    }

    /// A convolution followed by batch normalisation, folded into one with a bias.
    pub(super) fn conv_bn(&mut self, input: &Tensor, conv: Conv) -> Tensor {
        self.published_params += 2 * conv.channels; // scale and shift, of which the bias is what is left
        self.conv(input, conv)
    }

    /// A convolution that the paper's network has with a bias.
    pub(super) fn conv_bias(&mut self, input: &Tensor, conv: Conv) -> Tensor {
        self.published_params += conv.channels;
        self.conv(input, conv)
    }

    /// A convolution that the paper's network has without a bias. It gets one here, as its like in the other networks.
    pub(super) fn conv(&mut self, input: &Tensor, conv: Conv) -> Tensor {
        let name = self.next_name("conv");
        let inputs_of_one = input.channels() / conv.groups * conv.kernel[0] * conv.kernel[1];
        let variance = input.make_up * conv.gain / inputs_of_one as f32;
        let dims = vec![conv.channels, input.channels() / conv.groups, conv.kernel[0], conv.kernel[1]];
        self.published_params += dims.iter().product::<u64>();
        let weight = self.weight(Weights::with_variance(format!("{name}.weight"), dims, variance));
        let bias = self.bias(&name, conv.channels);
        let window = conv.window(input.size());
        let [height, width] = window.output(input.size());
        let op = Op::Conv { window, groups: conv.groups, weight, bias };
        self.node(name, op, &[input], vec![conv.channels, height, width])
    }

    /// Batch normalisation that no convolution stands before.
    pub(super) fn batch_norm(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("batch_norm");
        let channels = input.channels();
        self.published_params += 2 * channels; // mean and variance are statistics, not parameters
        let mut weight = |what: &str, centre: f32, bound: f32| {
            self.weight(Weights::around(format!("{name}.{what}"), vec![channels], centre, bound))
        };
        let op = Op::BatchNorm {
            scale: weight("scale", 1.0, 0.1),
            shift: weight("bias", 0.0, BIAS_BOUND),
            mean: weight("mean", 0.0, BIAS_BOUND),
            variance: weight("variance", 1.0, 0.1),
        };
        self.same_shape(name, op, &[input])
    }

    /// max(x, 0).
    pub(super) fn relu(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("relu");
        Tensor { make_up: AFTER_RELU, ..self.same_shape(name, Op::Relu, &[input]) }
    }

    /// min(max(x, 0), 6).
    pub(super) fn relu6(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("relu6");
        let op = Op::Relu6 { low: self.constant("relu6.min", 0.0), high: self.constant("relu6.max", 6.0) };
        Tensor { make_up: AFTER_RELU, ..self.same_shape(name, op, &[input]) }
    }

    /// min(max(x / 6 + 1/2, 0), 1).
    pub(super) fn hard_sigmoid(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("hard_sigmoid");
        self.same_shape(name, Op::HardSigmoid, &[input])
    }

    /// x times its hard sigmoid.
    pub(super) fn hard_swish(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("hard_swish");
        Tensor { make_up: AFTER_HARD_SWISH, ..self.same_shape(name, Op::HardSwish, &[input]) }
    }

    /// Largest value of each window.
    pub(super) fn max_pool(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool(input, pool.window(false), Op::MaxPool)
    }

    /// Largest value of each window; a last window may stand out over the edge.
    pub(super) fn max_pool_ceil(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool(input, pool.window(true), Op::MaxPool)
    }

    /// Mean of each window, in which padding counts as zeros.
    pub(super) fn average_pool(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool(input, pool.window(false), Op::AveragePool)
    }

    fn pool(&mut self, input: &Tensor, window: Window, op: fn(Window) -> Op) -> Tensor {
        let name = self.next_name("pool");
        let [height, width] = window.output(input.size());
        let output = self.node(name, op(window), &[input], vec![input.channels(), height, width]);
        Tensor { make_up: input.make_up, ..output }
    }

    /// Mean of each channel.
    pub(super) fn global_average_pool(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("pool");
        self.node(name, Op::GlobalAveragePool, &[input], vec![input.channels(), 1, 1])
    }

    /// The channels of all inputs, one input after the other.
    pub(super) fn concat(&mut self, inputs: &[Tensor]) -> Tensor {
        let name = self.next_name("concat");
        let channels = inputs.iter().map(Tensor::channels).sum();
        let [height, width] = inputs[0].size();
        let make_up = inputs.iter().map(|input| input.make_up).fold(f32::INFINITY, f32::min);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        Tensor { make_up, ..self.node(name, Op::Concat, &inputs, vec![channels, height, width]) }
    }

    /// The sum of two tensors.
    pub(super) fn add(&mut self, left: &Tensor, right: &Tensor) -> Tensor {
        let name = self.next_name("add");
        self.same_shape(name, Op::Add, &[left, right])
    }

    /// The product of a tensor and another with one value a channel.
    pub(super) fn multiply(&mut self, input: &Tensor, factors: &Tensor) -> Tensor {
        let name = self.next_name("multiply");
        self.same_shape(name, Op::Multiply, &[input, factors])
    }

    /// The first and the second half of the channels.
    pub(super) fn halves(&mut self, input: &Tensor) -> [Tensor; 2] {
        let half = input.channels() / 2;
        [0, half].map(|first| {
            let name = self.next_name("channels");
            let shape = vec![half, input.shape[1], input.shape[2]];
            Tensor { make_up: input.make_up, ..self.node(name, Op::Channels { first }, &[input], shape) }
        })
    }

    /// The channels, written as a table of that many rows, read column by column.
    pub(super) fn channel_shuffle(&mut self, input: &Tensor, groups: u64) -> Tensor {
        let name = self.next_name("shuffle");
        let output = self.same_shape(name, Op::ChannelShuffle { groups }, &[input]);
        Tensor { make_up: input.make_up, ..output }
    }

    /// The mean of each channel, and a fully connected layer to the classes: the end of most networks.
    pub(super) fn classifier(mut self, input: &Tensor) -> Network {
        let pooled = self.global_average_pool(input);
        let flat = self.flatten(&pooled);
        let logits = self.gemm(&flat, CLASSES);
        self.finish(&logits)
    }

    /// The mean of each channel as the network's output: for networks without a fully connected layer.
    pub(super) fn global_average_pool_as_logits(mut self, input: &Tensor) -> Network {
        let pooled = self.global_average_pool(input);
        let flat = self.flatten(&pooled);
        self.finish(&flat)
    }

    /// All values in one row.
    pub(super) fn flatten(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("flatten");
        let output = self.node(name, Op::Flatten, &[input], vec![input.shape.iter().product()]);
        Tensor { make_up: input.make_up, ..output }
    }

    /// A fully connected layer with a bias.
    pub(super) fn gemm(&mut self, input: &Tensor, outputs: u64) -> Tensor {
        let name = self.next_name("gemm");
        let inputs = input.channels();
        let variance = input.make_up / inputs as f32;
        let weight = Weights::with_variance(format!("{name}.weight"), vec![outputs, inputs], variance);
        let op = Op::Gemm { weight: self.weight(weight), bias: self.bias(&name, outputs) };
        self.published_params += outputs * inputs + outputs;
        self.node(name, op, &[input], vec![outputs])
    }

    /// AlexNet's classifier, which VGG has taken over: two wide layers before the classes.
    pub(super) fn wide_classifier(&mut self, features: &Tensor) -> Tensor {
        let mut x = self.flatten(features);
        for _ in 0..2 {
            x = self.gemm(&x, 4096);
            x = self.relu(&x);
        }
        self.gemm(&x, 1000)
    }

    /// The network with that output, which the last node made.
    pub(super) fn finish(self, logits: &Tensor) -> Network {
        assert_eq!(logits.index, self.nodes.len(), "{}: the last node makes the output", self.name);
        Network {
            name: self.name,
            input_shape: self.input_shape,
            nodes: self.nodes,
            weights: self.weights,
            values: Values::Seeded(self.seed),
            published_params: self.published_params,
        }
    }

    fn next_name(&self, kind: &str) -> String {
        format!("{kind}_{}", self.nodes.len())
    }

    fn weight(&mut self, weights: Weights) -> WeightIndex {
        let weights = weights.after(&self.weights);
        self.weights.push(weights);
        self.weights.len() - 1
    }

    fn bias(&mut self, layer: &str, channels: u64) -> WeightIndex {
        self.weight(Weights::around(format!("{layer}.bias"), vec![channels], 0.0, BIAS_BOUND))
    }

    fn constant(&mut self, name: &str, value: f32) -> WeightIndex {
        let known = self.weights.iter().position(|weights| weights.name() == name);
        known.unwrap_or_else(|| self.weight(Weights::around(name.to_owned(), Vec::new(), value, 0.0)))
    }

    fn same_shape(&mut self, name: String, op: Op, inputs: &[&Tensor]) -> Tensor {
        let shape = inputs[0].shape.clone();
        self.node(name, op, inputs, shape)
    }

    fn node(&mut self, name: String, op: Op, inputs: &[&Tensor], shape: Vec<u64>) -> Tensor {
        let inputs = inputs.iter().map(|input| input.index).collect();
        self.nodes.push(Node { name, op, inputs, shape: shape.clone() });
        Tensor { index: self.nodes.len(), shape, make_up: 1.0 }
    }
}
