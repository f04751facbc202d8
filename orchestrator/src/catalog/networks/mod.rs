//! The networks that farmctl writes by itself, one file each, to be read beside its paper.
//!
//! Main type: [`Network`], a graph and the recipe of its weights; [`build`] makes one by name. Batch normalisation that
//! follows a convolution is folded into it, as an engine would do; weights are He-initialised from a fixed seed with
//! integer arithmetic, so the file is the same, byte for byte, on every machine. The cost of such a network is the true
//! one, its answers mean nothing. `digits` alone comes with trained weights. Never touches a file:
//! [`formats`](super::formats) writes them.

mod alexnet;
mod builder;
mod densenet121;
mod digits;
mod efficientnet_lite0;
mod googlenet;
mod graph;
mod inception_v3;
mod mnasnet1_0;
mod mobilenet_v2;
mod mobilenet_v3_large;
mod resnet18;
mod resnet50;
mod shufflenet_v2_x1_0;
mod squeezenet1_0;
mod vgg16;
mod weights;

pub use graph::{EPSILON, INPUT, LOGITS, Network, Node, Op, TensorIndex, WeightIndex, Window};
pub use weights::Weights;

use super::checkpoint::{Checkpoint, CheckpointError};

/// A network's name and its definition.
type Definition = (&'static str, fn() -> Network);

/// Every network: AIoTBench's in the order of its paper, then the others by their papers' years, then our own.
const NETWORKS: &[Definition] = &[
    ("resnet50", resnet50::build),
    ("inception_v3", inception_v3::build),
    ("squeezenet1_0", squeezenet1_0::build),
    ("densenet121", densenet121::build),
    ("mobilenet_v2", mobilenet_v2::build),
    ("mnasnet1_0", mnasnet1_0::build),
    ("alexnet", alexnet::build),
    ("vgg16", vgg16::build),
    ("googlenet", googlenet::build),
    ("resnet18", resnet18::build),
    ("shufflenet_v2_x1_0", shufflenet_v2_x1_0::build),
    ("mobilenet_v3_large", mobilenet_v3_large::build),
    ("efficientnet_lite0", efficientnet_lite0::build),
    ("digits", digits::build),
];

/// Names that [`build`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    NETWORKS.iter().map(|(name, _)| *name)
}

/// The network of that name, with the weights that come with farmctl: seeded ones, of `digits` trained ones.
pub fn build(name: &str) -> Option<Network> {
    NETWORKS.iter().find(|(known, _)| *known == name).map(|(_, build)| build())
}

/// The network of that name with the trained weights of a checkpoint; `None` for one that takes none.
///
/// # Errors
/// When the checkpoint isn't that of this network.
pub fn with_checkpoint(name: &str, checkpoint: &Checkpoint) -> Option<Result<Network, CheckpointError>> {
    takes_checkpoint(name).then(|| efficientnet_lite0::trained(checkpoint))
}

/// Whether a network's trained weights are those of a checkpoint.
pub fn takes_checkpoint(name: &str) -> bool {
    name == "efficientnet_lite0"
}
