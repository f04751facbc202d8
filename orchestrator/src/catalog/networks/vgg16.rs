//! VGG16: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014,
//! arXiv:1409.1556, table 1, configuration D.

use super::builder::{Builder, Conv, Pool};
use super::graph::Network;

/// Channels of each 3×3 convolution of a stage; a max pool ends it.
const STAGES: [&[u64]; 5] = [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("vgg16", 14_091_556, 224);
    let mut x = input;
    for stage in STAGES {
        for &channels in stage {
            x = net.conv_bias(&x, Conv::same(channels, 3));
            x = net.relu(&x);
        }
        x = net.max_pool(&x, Pool { kernel: 2, stride: 2, pad: 0 });
    }
    let logits = net.wide_classifier(&x);
    net.finish(&logits)
}
