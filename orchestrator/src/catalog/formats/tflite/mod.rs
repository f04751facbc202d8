//! A network as a TensorFlow Lite file.
//!
//! Images are batch, height, width, channels here, and weights are turned accordingly; activations are part of the
//! operator before them, as in files that TensorFlow's converter makes.

mod calibration;
mod flatbuffer;
mod lower;
mod quantise;
mod schema;

use std::io::{self, Write};

use crate::catalog::networks::Network;

/// Writes the file with 32-bit floats.
pub(super) fn write(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    lower::lower(network).map_err(io::Error::other)?.write(network, out)
}

/// Writes the file with 8-bit integers; input and output are 32-bit floats.
pub(super) fn write_int8(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    int8(network).map_err(io::Error::other)?.write(network, out)
}

fn int8(network: &Network) -> Result<schema::Model, String> {
    quantise::quantise(lower::lower(network)?, network, &calibration::Ranges::recorded(network)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::schema::{Data, Kernel, Model};
    use super::*;
    use crate::catalog::{analysis, formats, networks};

    /// Multiply-adds of a model, from the shapes of its tensors.
    fn macs(model: &Model) -> u64 {
        let count = |tensor: usize| model.tensors[tensor].shape.iter().product::<u64>();
        let last = |tensor: usize| model.tensors[tensor].shape.last().copied().unwrap();
        let of = |operator: &schema::Operator| match operator.kernel {
            Kernel::Conv2d { .. } | Kernel::FullyConnected { .. } => {
                count(operator.output) * count(operator.inputs[1]) / last(operator.output)
            }
            Kernel::DepthwiseConv2d { .. } => {
                count(operator.output) * count(operator.inputs[1]) / last(operator.inputs[1])
            }
            _ => 0,
        };
        model.operators.iter().map(of).sum()
    }

    #[test]
    fn a_network_costs_the_same_in_every_format() {
        for name in networks::names() {
            let network = networks::build(name).unwrap();
            let onnx = analysis::analyse(&formats::outline(&network), &[]).unwrap();
            assert_eq!(macs(&lower::lower(&network).unwrap()), onnx.macs(), "{name}");
        }
    }

    #[test]
    fn activations_are_part_of_the_operator_before_them() {
        let model = lower::lower(&networks::build("mobilenet_v2").unwrap()).unwrap();
        let count = |wanted: fn(&Kernel) -> bool| model.operators.iter().filter(|it| wanted(&it.kernel)).count();
        assert_eq!(count(|kernel| matches!(kernel, Kernel::Relu6 | Kernel::Relu)), 0);
        assert_eq!(count(|kernel| matches!(kernel, Kernel::DepthwiseConv2d { .. })), 17);
        assert_eq!(count(|kernel| matches!(kernel, Kernel::Conv2d { .. })), 35);
        // Five convolutions halve the image, with a row of padding above and left of it that SAME would put elsewhere.
        assert_eq!(count(|kernel| matches!(kernel, Kernel::Pad)), 5);
        assert_eq!(model.operators.len(), 17 + 35 + 5 + 10 + 3);
    }

    #[test]
    fn weights_are_all_there_once() {
        let network = networks::build("densenet121").unwrap();
        let model = lower::lower(&network).unwrap();
        let mut weights: Vec<usize> = model
            .tensors
            .iter()
            .filter_map(|tensor| match tensor.data {
                Data::Weights(weights) => Some(weights.weight),
                _ => None,
            })
            .collect();
        weights.sort_unstable();
        weights.dedup();
        // Four tensors of each batch normalisation become two of the writer's own.
        let computed = model.tensors.iter().filter(|tensor| matches!(tensor.data, Data::Floats(_))).count();
        assert_eq!(weights.len() + computed / 2 * 4, network.weights().len());
    }
    #[test]
    fn the_recorded_ranges_are_of_this_very_network() {
        for name in networks::names() {
            let network = networks::build(name).unwrap();
            let ranges = calibration::Ranges::recorded(&network).unwrap_or_else(|why| panic!("{why}"));
            let float = lower::lower(&network).unwrap();
            let tensors = float.tensors.iter().filter(|tensor| matches!(tensor.data, Data::Activation));
            assert_eq!(ranges.count(), tensors.clone().count(), "{name}");
            tensors.for_each(|tensor| assert!(ranges.of(&tensor.name).is_ok(), "{name} {}", tensor.name));
        }
    }

    #[test]
    fn an_int8_file_has_integers_inside_and_floats_at_its_edges() {
        let network = networks::build("squeezenet1_0").unwrap();
        let (float, int8) = (lower::lower(&network).unwrap(), int8(&network).unwrap());
        assert_eq!(int8.operators.len(), float.operators.len() + 2);
        assert_eq!((&*int8.tensors[int8.input].name, &*int8.tensors[int8.output].name), ("input", "logits"));
        for (index, tensor) in int8.tensors.iter().enumerate() {
            let edge = index == int8.input || index == int8.output;
            let plain = matches!(tensor.data, Data::Integers(_)) && tensor.shape.len() < 3 && tensor.scale.is_none();
            assert!(tensor.scale.is_some() != edge || plain, "{}", tensor.name);
        }
        // One scale an output channel, and a bias in units of input and weight.
        let first = &int8.operators[1];
        let [input, weight, bias] = [0, 1, 2].map(|it| int8.tensors[first.inputs[it]].scale.as_ref().unwrap());
        assert_eq!((weight.scales.len(), bias.scales.len(), weight.zero_point), (96, 96, 0));
        assert!((bias.scales[5] / (input.scales[0] * weight.scales[5]) - 1.0).abs() < 1e-6);
        // What is put side by side has one scale.
        let concat = int8.operators.iter().find(|it| it.kernel == Kernel::Concatenation).unwrap();
        for input in &concat.inputs {
            assert_eq!(int8.tensors[*input].scale, int8.tensors[concat.output].scale);
        }
    }
}
