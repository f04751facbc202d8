//! From 32-bit floats to 8-bit integers, after training.
//!
//! Weights get a scale for each output of a convolution and one for a fully connected layer, symmetric about zero; what
//! operators write gets a scale that fits the range that was seen in a float run ([`Ranges`]). Input and output stay
//! floats. This is TensorFlow Lite's quantisation specification, as its own converter follows it.

use super::calibration::Ranges;
use super::schema::{Data, Kernel, Model, Operator, Scale, Tensor, Weights};
use crate::catalog::networks::Network;

/// Smallest and largest 8-bit integer.
const LOW: f64 = -128.0;
const HIGH: f64 = 127.0;

/// The model in 8-bit integers. An error names what is missing in the ranges.
pub(super) fn quantise(float: Model, network: &Network, ranges: &Ranges) -> Result<Model, String> {
    let mut scales = activation_scales(&float, ranges)?;
    let Model { name, description, tensors, operators, input, output } = float;
    let mut quantised = Model { name, description, tensors, operators: Vec::new(), input, output };
    for operator in &operators {
        let input_scale = scales[operator.inputs[0]].clone();
        match operator.kernel {
            Kernel::Conv2d { .. } | Kernel::DepthwiseConv2d { .. } | Kernel::FullyConnected { .. } => {
                quantised.quantise_weights(operator, input_scale.as_ref(), network);
            }
            // Factors and summands of the writer's own.
            Kernel::Add { .. } | Kernel::Mul { .. } => {
                for &constant in &operator.inputs {
                    if let Data::Floats(values) = &quantised.tensors[constant].data {
                        let low = values.iter().copied().fold(0.0, f32::min);
                        let high = values.iter().copied().fold(0.0, f32::max);
                        let scale = asymmetric(low, high);
                        let integers = values.iter().map(|&value| scale.affine(value)).collect();
                        quantised.tensors[constant].data = Data::Bytes(integers);
                        quantised.tensors[constant].scale = Some(scale);
                    }
                }
            }
            _ => {}
        }
    }
    for (tensor, scale) in quantised.tensors.iter_mut().zip(&mut scales) {
        tensor.scale = tensor.scale.take().or(scale.take());
    }
    quantised.operators = operators;
    quantised.keep_edges_float();
    Ok(quantised)
}

impl Model {
    /// Quantises the weights and the bias of an operator whose input has that scale.
    fn quantise_weights(&mut self, operator: &Operator, input_scale: Option<&Scale>, network: &Network) {
        let [_, weight, bias] = operator.inputs[..] else { return };
        let Data::Weights(weights) = self.tensors[weight].data else { return };
        let axis = match operator.kernel {
            Kernel::Conv2d { .. } => Some(0),
            Kernel::DepthwiseConv2d { .. } => Some(3),
            _ => None,
        };
        let scale = weights.scale(axis, network);
        let input_scale = input_scale.map_or(1.0, |scale| f64::from(scale.scales[0]));
        if let Data::Weights(of_bias) = self.tensors[bias].data {
            let scales: Vec<f32> = scale.scales.iter().map(|&scale| (input_scale * f64::from(scale)) as f32).collect();
            let integer = |(channel, value): (usize, f32)| {
                (f64::from(value) / f64::from(scales[channel % scales.len()])).round() as i32
            };
            let integers = network.values(of_bias.weight).into_iter().enumerate().map(integer).collect();
            self.tensors[bias].data = Data::Integers(integers);
            self.tensors[bias].scale = Some(Scale { scales, zero_point: 0, axis: 0 });
        }
        self.tensors[weight].scale = Some(scale);
    }

    /// Puts a change to integers after the input, and one back before the output.
    fn keep_edges_float(&mut self) {
        let edge = |model: &mut Model, tensor: usize, kernel: Kernel| {
            let inner = &model.tensors[tensor];
            let outer = Tensor { name: inner.name.clone(), scale: None, ..inner.clone() };
            model.tensors[tensor].name.push_str(".quantised");
            model.tensors.push(outer);
            let outer = model.tensors.len() - 1;
            let (input, output) = if kernel == Kernel::Quantize { (outer, tensor) } else { (tensor, outer) };
            (outer, Operator { kernel, inputs: vec![input], output })
        };
        let (input, first) = edge(self, self.input, Kernel::Quantize);
        let (output, last) = edge(self, self.output, Kernel::Dequantize);
        (self.input, self.output) = (input, output);
        self.operators.insert(0, first);
        self.operators.push(last);
    }
}

impl Weights {
    /// A scale that fits the largest magnitude: of each output when the outputs are dimension `axis`, else of all.
    fn scale(&self, axis: Option<i32>, network: &Network) -> Scale {
        let outputs = self.dims[0] as usize;
        let mut largest = vec![0f32; outputs];
        let values = network.values(self.weight);
        for (row, values) in values.chunks(values.len() / outputs).enumerate() {
            largest[row] = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        }
        if axis.is_none() {
            largest = vec![largest.into_iter().fold(0f32, f32::max)];
        }
        let scale = |largest: f32| if largest > 0.0 { (f64::from(largest) / HIGH) as f32 } else { 1.0 };
        Scale { scales: largest.into_iter().map(scale).collect(), zero_point: 0, axis: axis.unwrap_or(0) }
    }
}

impl Scale {
    /// The integer for a value, whose scale need not be symmetric.
    fn affine(&self, value: f32) -> i8 {
        let integer = (f64::from(value) / f64::from(self.scales[0])).round() + self.zero_point as f64;
        integer.clamp(LOW, HIGH) as i8
    }
}

/// A scale on which the integers reach from `low`, at most 0, to `high`, at least 0, and one of them is 0 exactly.
fn asymmetric(low: f32, high: f32) -> Scale {
    let (low, high) = (f64::from(low), f64::from(high));
    let scale = if high > low { ((high - low) / (HIGH - LOW)) as f32 } else { 1.0 };
    let zero_point = (LOW - low / f64::from(scale)).round().clamp(LOW, HIGH) as i64;
    Scale { scales: vec![scale], zero_point, axis: 0 }
}

/// The scale of each tensor that is no constant.
fn activation_scales(model: &Model, ranges: &Ranges) -> Result<Vec<Option<Scale>>, String> {
    let groups = groups(model);
    let mut seen = vec![None; model.tensors.len()];
    for (index, tensor) in model.tensors.iter().enumerate() {
        if matches!(tensor.data, Data::Activation) {
            let (low, high) = ranges.of(&tensor.name)?;
            let (lowest, highest) = seen[groups[index]].unwrap_or((0f32, 0f32));
            seen[groups[index]] = Some((lowest.min(low), highest.max(high)));
        }
    }
    let scale = |(index, tensor): (usize, &Tensor)| match tensor.data {
        Data::Activation => seen[groups[index]].map(|(low, high)| asymmetric(low, high)),
        _ => None,
    };
    Ok(model.tensors.iter().enumerate().map(scale).collect())
}

/// For each tensor the first of those that must have the same scale as it: what some operators write is what they read.
fn groups(model: &Model) -> Vec<usize> {
    let mut first: Vec<usize> = (0..model.tensors.len()).collect();
    for operator in &model.operators {
        let same = match operator.kernel {
            Kernel::Concatenation => &operator.inputs[..],
            Kernel::MaxPool2d { .. } | Kernel::AveragePool2d { .. } | Kernel::Pad => &operator.inputs[..1],
            Kernel::Reshape { .. } | Kernel::Transpose | Kernel::Slice => &operator.inputs[..1],
            _ => &[],
        };
        for &input in same {
            let (one, other) = (first[input], first[operator.output]);
            let joined = one.min(other);
            first.iter_mut().filter(|it| **it == one || **it == other).for_each(|it| *it = joined);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_reach_over_the_range_and_have_a_zero() {
        let scale = asymmetric(0.0, 6.0);
        assert_eq!((scale.zero_point, scale.affine(0.0), scale.affine(6.0), scale.affine(7.0)), (-128, -128, 127, 127));
        let scale = asymmetric(-1.0, 1.5);
        assert_eq!((scale.zero_point, scale.affine(0.0), scale.affine(-1.0), scale.affine(1.5)), (-26, -26, -128, 127));
        assert_eq!(asymmetric(0.0, 0.0).scales, [1.0]);
    }
}
