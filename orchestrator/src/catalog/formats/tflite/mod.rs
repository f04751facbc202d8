//! A network as a TensorFlow Lite file.
//!
//! Images are batch, height, width, channels here, and weights are turned accordingly; activations are part of the
//! operator before them, as in files that TensorFlow's converter makes.

mod flatbuffer;
mod lower;
mod schema;

use std::io::{self, Write};

use crate::catalog::networks::Network;

/// Writes the file with 32-bit floats.
pub(super) fn write(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    lower::lower(network).map_err(io::Error::other)?.write(network, out)
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
            let onnx = analysis::analyse(&formats::outline(&network), None).unwrap();
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
                Data::Weights { weight, .. } => Some(weight),
                _ => None,
            })
            .collect();
        weights.sort_unstable();
        weights.dedup();
        // Four tensors of each batch normalisation become two of the writer's own.
        let computed = model.tensors.iter().filter(|tensor| matches!(tensor.data, Data::Floats(_))).count();
        assert_eq!(weights.len() + computed / 2 * 4, network.weights().len());
    }
}
