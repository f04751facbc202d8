//! The seeded input.
//!
//! Purpose: the same pseudo-random values, to the last bit, on every architecture. Main type: [`SeededInput`]. Never asks
//! the device for randomness.

use farmctl_protocol::InputRange;

/// Bits of randomness in one value: as many as the significand of a 32-bit float holds.
const RANDOM_BITS: u32 = 24;

/// SplitMix64 (Steele, Lea and Flood 2014), mapped to an interval.
#[derive(Debug)]
pub struct SeededInput {
    state: u64,
    range: InputRange,
}

impl SeededInput {
    /// Starts a sequence.
    pub fn new(seed: u64, range: InputRange) -> SeededInput {
        SeededInput { state: seed, range }
    }

    /// The next `count` values.
    pub fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next_value()).collect()
    }

    fn next_bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[low, high)`. IEEE 754 fixes the result of each of the few double-precision steps and of the one
    /// rounding to single precision, so that it is the same everywhere.
    fn next_value(&mut self) -> f32 {
        let InputRange { low, high } = self.range;
        let unit = (self.next_bits() >> (u64::BITS - RANDOM_BITS)) as f64 / f64::from(1u32 << RANDOM_BITS);
        let value = (f64::from(low) + unit * (f64::from(high) - f64::from(low))) as f32;
        // Rounding may reach the open end of the interval.
        if value < high { value } else { high.next_down() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bits_are_those_of_the_reference_implementation() {
        let mut sequence = SeededInput::new(1_234_567, InputRange { low: 0.0, high: 1.0 });
        let bits: Vec<u64> = (0..3).map(|_| sequence.next_bits()).collect();
        assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn values_are_pinned() {
        let values = SeededInput::new(42, InputRange { low: -2.0, high: 2.5 }).take(4);
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, GOLDEN, "{values:?}");
    }

    const GOLDEN: [u32; 4] = [0x3fab_2430, 0xbfa3_e441, 0xbf3f_0d30, 0xbee6_fc17];

    #[test]
    fn values_stay_inside_a_narrow_range() {
        let range = InputRange { low: 1.0, high: 1.0f32.next_up() };
        assert!(SeededInput::new(7, range).take(1000).iter().all(|value| *value == 1.0));
    }

    #[test]
    fn values_fill_the_range() {
        let values = SeededInput::new(1, InputRange { low: -1.0, high: 1.0 }).take(10_000);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 10_000.0;
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        assert!(values.iter().any(|value| *value < -0.99) && values.iter().any(|value| *value > 0.99));
        assert!(mean.abs() < 0.03, "mean {mean}");
    }
}
