use serde::{Deserialize, Serialize};

use crate::Temperature;

/// What a device is like between two runs: whether it is cool enough, and quiet enough, for the next one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DeviceRest {
    /// The hottest sensor of the processor; `None` where it tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hottest: Option<Temperature>,
    /// Time since its boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// Processor time since its boot that was used, summed over its processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ms: Option<u64>,
    /// Processors that this is of: those that are online.
    #[serde(default)]
    pub cpus: u32,
}

impl DeviceRest {
    /// What share of its processors' time was used since an earlier look, from 0 to 1; `None` where that is not told,
    /// or the device booted meanwhile.
    pub fn load_since(&self, earlier: &DeviceRest) -> Option<f64> {
        let passed_ms = self.uptime_ms?.checked_sub(earlier.uptime_ms?)?;
        let busy_ms = self.busy_ms?.checked_sub(earlier.busy_ms?)?;
        let all_ms = passed_ms.checked_mul(u64::from(self.cpus)).filter(|all_ms| *all_ms > 0)?;
        Some((busy_ms as f64 / all_ms as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_told_between_two_looks_of_one_boot() {
        let look = |uptime_ms, busy_ms| DeviceRest {
            uptime_ms: Some(uptime_ms),
            busy_ms: Some(busy_ms),
            cpus: 4,
            ..DeviceRest::default()
        };
        let first = look(1_000, 500);
        assert_eq!(look(2_000, 2_500).load_since(&first), Some(0.5));
        assert_eq!(look(2_000, 90_000).load_since(&first), Some(1.0), "ticks are coarse");
        for other in [look(1_000, 500), look(500, 100), look(2_000, 499), look(u64::MAX, 600), DeviceRest::default()] {
            assert_eq!(other.load_since(&first), None, "{other:?}");
        }
        assert_eq!(DeviceRest { cpus: 0, ..look(2_000, 600) }.load_since(&first), None);
    }
}
