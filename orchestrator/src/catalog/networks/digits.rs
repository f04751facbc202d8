//! `digits`: a tiny network that reads handwritten digits of 8×8 pixels, so that a true accuracy takes a second.
//!
//! Its weights come with farmctl: `scripts/train-digits` made them, with its seed, from the 1,437 first images of
//! scikit-learn's digits (UCI, Optical Recognition of Handwritten Digits, CC BY 4.0). Of the 360 others it reads 350
//! right.

use super::builder::{Builder, Conv};
use super::graph::Network;
use super::weights::Weights;

/// The weights, in the order of the definition: 32-bit floats, little-endian.
const TRAINED: &[u8] = include_bytes!("digits.f32");

pub(super) fn build() -> Network {
    let mut values = TRAINED.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let network = definition();
    let of_one = |weights: &Weights| values.by_ref().take(weights.count() as usize).collect();
    let tensors = network.weights().iter().map(of_one).collect();
    network.with_values(tensors, "scripts/train-digits")
}

fn definition() -> Network {
    let (mut net, input) = Builder::with_input("digits", 1_797, &[1, 8, 8]);
    let x = net.conv_bias(&input, Conv::same(16, 3));
    let x = net.relu(&x);
    let x = net.conv_bias(&x, Conv::same(32, 3).stride(2));
    let x = net.relu(&x);
    let x = net.flatten(&x);
    let logits = net.gemm(&x, 10);
    net.finish(&logits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_value_for_each_weight() {
        let values: u64 = definition().weights().iter().map(Weights::count).sum();
        assert_eq!((values, TRAINED.len() as u64), (9_930, 4 * 9_930));
    }
}
