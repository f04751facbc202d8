use farmctl_protocol::Throttled;

/// What was sampled of the device while it ran. `None` is not known, and nothing is concluded from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Whether the device throttled.
    pub is_throttled: Option<bool>,
    /// What said so: a counter, a flag, a cooling device.
    pub throttled_by: Option<String>,
    /// Share of the processors' time that went to others, in per cent.
    pub other_load_percent: Option<f64>,
    /// Share of time that the host of a virtual machine took away, in per cent.
    pub stolen_percent: Option<f64>,
    /// Whether somebody stopped the measuring process meanwhile.
    pub was_stopped: bool,
}

impl From<&farmctl_protocol::Conditions> for Conditions {
    fn from(told: &farmctl_protocol::Conditions) -> Conditions {
        let percent = |part_ns| share(told, part_ns).map(|share| share * 100.0);
        Conditions {
            is_throttled: match told.throttled {
                Throttled::Yes => Some(true),
                Throttled::No => Some(false),
                Throttled::Unknown => None,
            },
            throttled_by: throttled_by(told),
            other_load_percent: percent(told.other_ns),
            stolen_percent: percent(told.stolen_ns),
            was_stopped: told.was_stopped,
        }
    }
}

/// The signs that the device throttled, or may have.
pub fn throttled_by(told: &farmctl_protocol::Conditions) -> Option<String> {
    let signs = || told.throttled_by.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    (told.throttled != Throttled::No).then(signs).filter(|text| !text.is_empty())
}

/// A part of the time that the run's processors had, as a share from 0 to 1.
pub fn share(told: &farmctl_protocol::Conditions, part_ns: Option<u64>) -> Option<f64> {
    let available_ns = told.watched_ns as f64 * told.cpus.len() as f64;
    Some(part_ns? as f64 / available_ns).filter(|share| share.is_finite())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::sample;

    #[test]
    fn what_was_sampled_has_its_part_in_the_verdict() {
        let mut told = sample::conditions();
        let conditions = Conditions::from(&told);
        assert_eq!(conditions.is_throttled, Some(true));
        assert_eq!(conditions.throttled_by.as_deref(), Some("limit_lowered+cooling"));
        assert!((conditions.other_load_percent.unwrap() - 5.0).abs() < 1e-9 && conditions.stolen_percent.is_none());
        (told.throttled, told.was_stopped) = (Throttled::Unknown, true);
        let conditions = Conditions::from(&told);
        assert_eq!((conditions.is_throttled, conditions.was_stopped), (None, true));
    }
}
