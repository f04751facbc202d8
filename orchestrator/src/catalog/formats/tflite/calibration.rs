//! The ranges that a network's tensors were seen to have, in a float run.
//!
//! They are recorded in the repository, one file a network, by `scripts/calibrate`, and not found out when a file is
//! built: that would take an engine, or seconds to minutes of a slow one of our own, and the file's hash would depend
//! on its rounding.

use std::collections::HashMap;

use crate::catalog::networks::Network;
use crate::domain::WeightsKind;

/// A network's name and its recorded ranges.
macro_rules! recorded {
    ($($network:literal),+ $(,)?) => {
        &[$(($network, include_str!(concat!("calibration/", $network, ".csv")))),+]
    };
}

/// What is recorded.
const RECORDED: &[(&str, &str)] = recorded![
    "resnet50",
    "inception_v3",
    "squeezenet1_0",
    "densenet121",
    "mobilenet_v2",
    "mnasnet1_0",
    "alexnet",
    "vgg16",
    "googlenet",
    "resnet18",
    "shufflenet_v2_x1_0",
    "mobilenet_v3_large",
    "efficientnet_lite0",
    "efficientnet_lite0_trained",
    "digits_trained",
];

/// Smallest and largest value of each tensor, by name.
#[derive(Debug)]
pub(super) struct Ranges(HashMap<&'static str, (f32, f32)>);

impl Ranges {
    /// Those of a network with its weights.
    pub(super) fn recorded(network: &Network) -> Result<Self, String> {
        let wanted = match network.weights_kind() {
            WeightsKind::Synthetic => network.name().to_owned(),
            WeightsKind::Trained => format!("{}_trained", network.name()),
        };
        let known = RECORDED.iter().find(|(name, _)| *name == wanted);
        let (_, text) = known.ok_or_else(|| format!("no ranges were recorded of {wanted}: run scripts/calibrate"))?;
        Self::read(text)
    }

    /// Reads a recorded file: after comments and a line of headings, `tensor,low,high`.
    fn read(text: &'static str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
        let range = |line: &'static str| {
            let (name, range) = line.split_once(',')?;
            let (low, high) = range.split_once(',')?;
            let (low, high): (f32, f32) = (low.parse().ok()?, high.parse().ok()?);
            (low <= high && low.is_finite() && high.is_finite()).then_some((name, (low, high)))
        };
        let ranges = lines.map(|line| range(line).ok_or_else(|| format!("{line:?} is no tensor with its range")));
        Ok(Self(ranges.collect::<Result<_, _>>()?))
    }

    /// The range of a tensor.
    pub(super) fn of(&self, tensor: &str) -> Result<(f32, f32), String> {
        self.0.get(tensor).copied().ok_or_else(|| format!("no range was recorded of {tensor}: run scripts/calibrate"))
    }

    /// How many tensors there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_range_is_refused() {
        let ranges = Ranges::read("# text\ntensor,low,high\nrelu_1,0,2.5e+01\n").unwrap();
        assert_eq!(ranges.of("relu_1").unwrap(), (0.0, 25.0));
        assert!(ranges.of("relu_2").unwrap_err().contains("relu_2"));
        for line in ["relu_1", "relu_1,0", "relu_1,0,x", "relu_1,1,0", "relu_1,0,nan", "relu_1,0,inf"] {
            let text: &'static str = format!("tensor,low,high\n{line}\n").leak();
            assert!(Ranges::read(text).unwrap_err().contains(line), "{line}");
        }
    }
}
