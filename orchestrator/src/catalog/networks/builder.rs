use super::weights::Weights;
use super::write::Network;
use crate::catalog::onnx::{
    AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, GraphProto, NodeProto, TensorShapeProto,
    TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};

/// Classes of ImageNet.
const CLASSES: u64 = 1000;

/// Biases are drawn from ± this: small beside the activations, and not zero, which an engine might leave out.
const BIAS_BOUND: f32 = 0.05;

/// Variance of the weights for one input of a sum, where the input has been through a ReLU, which leaves half of its
/// power (He et al., 2015, arXiv:1502.01852). Otherwise it is 1.
const AFTER_RELU: f32 = 2.0;

/// What the last convolution of a residual block does to the variance. What is added must be small, or the sum grows
/// from block to block; in a trained network batch normalisation sees to it.
pub(super) const RESIDUAL_GAIN: f32 = 1.0 / 16.0;

/// A tensor in the graph.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    name: String,
    channels: u64,
    /// A ReLU of some kind made it.
    rectified: bool,
}

impl Tensor {
    /// Number of channels.
    pub(super) fn channels(&self) -> u64 {
        self.channels
    }
}

/// A convolution: kernel, stride, padding and groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    channels: u64,
    kernel: [u64; 2],
    stride: u64,
    pads: [u64; 2],
    groups: u64,
    gain: f32,
}

impl Conv {
    /// To that many channels, with a square kernel, stride 1, and padding that keeps the size.
    pub(super) fn same(channels: u64, kernel: u64) -> Self {
        Self::rectangle(channels, [kernel, kernel])
    }

    /// As [`Conv::same`], with a kernel of that height and width.
    pub(super) fn rectangle(channels: u64, kernel: [u64; 2]) -> Self {
        Self { channels, kernel, stride: 1, pads: kernel.map(|size| size / 2), groups: 1, gain: 1.0 }
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
        Self { pads: [0, 0], ..self }
    }

    /// With channels in that many groups.
    pub(super) fn groups(self, groups: u64) -> Self {
        Self { groups, ..self }
    }

    /// With weights that scale the output's variance by `gain`.
    pub(super) fn gain(self, gain: f32) -> Self {
        Self { gain, ..self }
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

/// Puts a network together, node by node.
#[derive(Debug)]
pub(super) struct Builder {
    graph: GraphProto,
    weights: Vec<Weights>,
    seed: u64,
    published_params: u64,
}

impl Builder {
    /// An empty network of that name for square images of that size, and its input. The seed of the weights can be any
    /// number that stays: the networks take the number of their paper on arXiv.
    pub(super) fn new(name: &str, seed: u64, image_size: u64) -> (Self, Tensor) {
        let mut graph = GraphProto { name: name.to_owned(), ..GraphProto::default() };
        graph.input.push(value_info("input", &[1, 3, image_size, image_size]));
        let input = Tensor { name: "input".to_owned(), channels: 3, rectified: false };
        (Self { graph, weights: Vec::new(), seed, published_params: 0 }, input)
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
        let inputs_of_one = input.channels / conv.groups * conv.kernel[0] * conv.kernel[1];
        let variance = if input.rectified { AFTER_RELU } else { 1.0 } * conv.gain / inputs_of_one as f32;
        let dims = vec![conv.channels, input.channels / conv.groups, conv.kernel[0], conv.kernel[1]];
        self.published_params += dims.iter().product::<u64>();
        let weight = self.weight(Weights::with_variance(format!("{name}.weight"), dims, variance));
        let bias = self.bias(&name, conv.channels);
        let attributes = vec![
            ints("dilations", &[1, 1]),
            int("group", conv.groups),
            ints("kernel_shape", &conv.kernel),
            ints("pads", &[conv.pads[0], conv.pads[1], conv.pads[0], conv.pads[1]]),
            ints("strides", &[conv.stride, conv.stride]),
        ];
        self.node("Conv", name, &[&input.name, &weight, &bias], attributes, conv.channels)
    }

    /// Batch normalisation that no convolution stands before.
    pub(super) fn batch_norm(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("batch_norm");
        let channels = input.channels;
        self.published_params += 2 * channels; // mean and variance are statistics, not parameters
        let scale = self.weight(Weights::around(format!("{name}.scale"), vec![channels], 1.0, 0.1));
        let shift = self.weight(Weights::around(format!("{name}.bias"), vec![channels], 0.0, BIAS_BOUND));
        let mean = self.weight(Weights::around(format!("{name}.mean"), vec![channels], 0.0, BIAS_BOUND));
        let variance = self.weight(Weights::around(format!("{name}.variance"), vec![channels], 1.0, 0.1));
        let inputs = [input.name.as_str(), &scale, &shift, &mean, &variance];
        self.node("BatchNormalization", name, &inputs, vec![float("epsilon", 1e-5)], channels)
    }

    /// max(x, 0).
    pub(super) fn relu(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("relu");
        let output = self.node("Relu", name, &[&input.name], Vec::new(), input.channels);
        Tensor { rectified: true, ..output }
    }

    /// min(max(x, 0), 6).
    pub(super) fn relu6(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("relu6");
        let low = self.constant("relu6.min", 0.0);
        let high = self.constant("relu6.max", 6.0);
        let output = self.node("Clip", name, &[&input.name, &low, &high], Vec::new(), input.channels);
        Tensor { rectified: true, ..output }
    }

    /// Largest value of each window.
    pub(super) fn max_pool(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool("MaxPool", input, pool, Vec::new())
    }

    /// Largest value of each window; a last window may stand out over the edge.
    pub(super) fn max_pool_ceil(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool("MaxPool", input, pool, vec![int("ceil_mode", 1)])
    }

    /// Mean of each window, in which padding counts as zeros.
    pub(super) fn average_pool(&mut self, input: &Tensor, pool: Pool) -> Tensor {
        self.pool("AveragePool", input, pool, vec![int("count_include_pad", 1)])
    }

    fn pool(&mut self, op: &str, input: &Tensor, pool: Pool, mut attributes: Vec<AttributeProto>) -> Tensor {
        let name = self.next_name("pool");
        attributes.extend([
            ints("kernel_shape", &[pool.kernel; 2]),
            ints("pads", &[pool.pad; 4]),
            ints("strides", &[pool.stride; 2]),
        ]);
        let output = self.node(op, name, &[&input.name], attributes, input.channels);
        Tensor { rectified: input.rectified, ..output }
    }

    /// Mean of each channel.
    pub(super) fn global_average_pool(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("pool");
        self.node("GlobalAveragePool", name, &[&input.name], Vec::new(), input.channels)
    }

    /// The channels of all inputs, one input after the other.
    pub(super) fn concat(&mut self, inputs: &[Tensor]) -> Tensor {
        let name = self.next_name("concat");
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let channels = inputs.iter().map(|input| input.channels).sum();
        let output = self.node("Concat", name, &names, vec![int("axis", 1)], channels);
        Tensor { rectified: inputs.iter().all(|input| input.rectified), ..output }
    }

    /// The sum of two tensors.
    pub(super) fn add(&mut self, left: &Tensor, right: &Tensor) -> Tensor {
        let name = self.next_name("add");
        self.node("Add", name, &[&left.name, &right.name], Vec::new(), left.channels)
    }

    /// The mean of each channel, and a fully connected layer to the classes: the end of most networks.
    pub(super) fn classifier(mut self, input: &Tensor) -> Network {
        let pooled = self.global_average_pool(input);
        let flat = self.flatten(&pooled);
        let name = self.next_name("gemm");
        let variance = 1.0 / input.channels as f32;
        let weight = Weights::with_variance(format!("{name}.weight"), vec![CLASSES, input.channels], variance);
        let weight = self.weight(weight);
        let bias = self.bias(&name, CLASSES);
        self.published_params += CLASSES * input.channels + CLASSES;
        let logits = self.node("Gemm", name, &[&flat.name, &weight, &bias], vec![int("transB", 1)], CLASSES);
        self.finish(&logits)
    }

    /// The mean of each channel as the network's output: for networks without a fully connected layer.
    pub(super) fn global_average_pool_as_logits(mut self, input: &Tensor) -> Network {
        let pooled = self.global_average_pool(input);
        let flat = self.flatten(&pooled);
        self.finish(&flat)
    }

    fn flatten(&mut self, input: &Tensor) -> Tensor {
        let name = self.next_name("flatten");
        self.node("Flatten", name, &[&input.name], vec![int("axis", 1)], input.channels)
    }

    fn finish(mut self, logits: &Tensor) -> Network {
        if let Some(last) = self.graph.node.last_mut() {
            last.output = vec!["logits".to_owned()];
        }
        self.graph.output.push(value_info("logits", &[1, logits.channels]));
        Network::new(self.graph, self.weights, self.seed, self.published_params)
    }

    fn next_name(&self, kind: &str) -> String {
        format!("{kind}_{}", self.graph.node.len())
    }

    fn weight(&mut self, weights: Weights) -> String {
        let name = weights.name().to_owned();
        self.weights.push(weights);
        name
    }

    fn bias(&mut self, layer: &str, channels: u64) -> String {
        self.weight(Weights::around(format!("{layer}.bias"), vec![channels], 0.0, BIAS_BOUND))
    }

    fn constant(&mut self, name: &str, value: f32) -> String {
        if !self.weights.iter().any(|weights| weights.name() == name) {
            self.weights.push(Weights::around(name.to_owned(), Vec::new(), value, 0.0));
        }
        name.to_owned()
    }

    fn node(
        &mut self,
        op: &str,
        name: String,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        channels: u64,
    ) -> Tensor {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
        Tensor { name, channels, rectified: false }
    }
}

fn int(name: &str, value: u64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(value as i64),
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[u64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.iter().map(|&value| value as i64).collect(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: Some(value),
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}

fn value_info(name: &str, dims: &[u64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&size| DimensionProto { value: Some(DimensionValue::DimValue(size as i64)) }).collect();
    let tensor = TensorTypeProto { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}
