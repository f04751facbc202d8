//! The seeded input.
//!
//! Purpose: the same pseudo-random values, to the last bit, on every architecture and for every engine, whatever the
//! order of dimensions its model has. Main type: [`SeededInput`]. Never asks the device for randomness.

use std::io::{self, Write};

use farmctl_protocol::{InputRange, Layout, TensorInfo};

/// Most bytes that a job's inputs may have together: a batch of more than a thousand photographs.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Values that are written at a time.
const CHUNK_VALUES: usize = 16 << 10;

/// Number of values of each input.
///
/// # Errors
/// Says which input can't be fed.
pub(super) fn value_counts(inputs: &[TensorInfo]) -> Result<Vec<u64>, String> {
    let mut left = MAX_INPUT_BYTES;
    let mut count_of = |input: &TensorInfo| {
        let count = input.values();
        let bytes = count.and_then(|count| count.checked_mul(size_of::<f32>() as u64));
        left = left.checked_sub(bytes?)?;
        count
    };
    let too_large = |input: &TensorInfo| {
        format!("the engine's inputs are larger than {MAX_INPUT_BYTES} bytes: {:?} is {:?}", input.name, input.shape)
    };
    inputs.iter().map(|input| count_of(input).ok_or_else(|| too_large(input))).collect()
}

/// Bits of randomness in one value: as many as the significand of a 32-bit float holds.
const RANDOM_BITS: u32 = 24;

/// SplitMix64 (Steele, Lea and Flood 2014), mapped to an interval.
#[derive(Debug)]
pub(super) struct SeededInput {
    seed: u64,
    range: InputRange,
    /// Values of the inputs before the next one.
    used: u64,
}

impl SeededInput {
    /// Starts a sequence.
    pub(super) fn new(seed: u64, range: InputRange) -> SeededInput {
        SeededInput { seed, range, used: 0 }
    }

    /// Writes the `count` values of the next input, little-endian. An image in channels-last order is the same image as
    /// in channels-first order: the sequence runs through the latter.
    pub(super) fn write(
        &mut self,
        input: &TensorInfo,
        count: u64,
        layout: Layout,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let first = self.used;
        self.used += count;
        let position = |index| match (layout, input.shape.as_slice()) {
            (Layout::Nhwc, &[_, height, width, channels]) => channels_first(index, height * width, channels),
            _ => index,
        };
        let mut bytes = Vec::with_capacity(CHUNK_VALUES * size_of::<f32>());
        for index in 0..count {
            bytes.extend(self.value(first + position(index)).to_le_bytes());
            if bytes.len() == bytes.capacity() {
                out.write_all(&bytes)?;
                bytes.clear();
            }
        }
        out.write_all(&bytes)?;
        out.flush()
    }

    fn bits(&self, index: u64) -> u64 {
        let state = self.seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[low, high)`. IEEE 754 fixes the result of each of the few double-precision steps and of the one
    /// rounding to single precision, so that it is the same everywhere.
    fn value(&self, index: u64) -> f32 {
        let InputRange { low, high } = self.range;
        let unit = (self.bits(index) >> (u64::BITS - RANDOM_BITS)) as f64 / f64::from(1u32 << RANDOM_BITS);
        let value = (f64::from(low) + unit * (f64::from(high) - f64::from(low))) as f32;
        // Rounding may reach the open end of the interval.
        if value < high { value } else { high.next_down() }
    }
}

/// Where, in channels-first order, the value lies that is at `index` in channels-last order.
fn channels_first(index: u64, pixels: u64, channels: u64) -> u64 {
    let (pixel, channel) = (index / channels, index % channels);
    let (image, pixel) = (pixel / pixels, pixel % pixels);
    (image * channels + channel) * pixels + pixel
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn values(seeded: &mut SeededInput, shape: &[u64], layout: Layout) -> Vec<f32> {
        let input = TensorInfo { name: "input".to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
        let mut bytes = Vec::new();
        let count = value_counts(std::slice::from_ref(&input)).unwrap()[0];
        seeded.write(&input, count, layout, &mut bytes).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    }

    #[test]
    fn random_bits_are_those_of_the_reference_implementation() {
        let sequence = SeededInput::new(1_234_567, InputRange { low: 0.0, high: 1.0 });
        let bits: Vec<u64> = (0..3).map(|index| sequence.bits(index)).collect();
        assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn values_are_pinned_and_go_on_with_the_next_input() {
        let mut seeded = SeededInput::new(42, InputRange { low: -2.0, high: 2.5 });
        let values = [values(&mut seeded, &[1, 3], Layout::Nchw), values(&mut seeded, &[], Layout::Nchw)].concat();
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, GOLDEN, "{values:?}");
    }

    const GOLDEN: [u32; 4] = [0x3fab_2430, 0xbfa3_e441, 0xbf3f_0d30, 0xbee6_fc17];

    #[test]
    fn an_image_is_the_same_in_either_order() {
        let seeded = || SeededInput::new(3, InputRange { low: 0.0, high: 1.0 });
        let (images, height, width, channels) = (2, 4, 5, 3);
        let first = values(&mut seeded(), &[images, channels, height, width], Layout::Nchw);
        let last = values(&mut seeded(), &[images, height, width, channels], Layout::Nhwc);
        let mut index = 0;
        for (image, row, column) in
            (0..images).flat_map(|image| (0..height * width).map(move |at| (image, at / width, at % width)))
        {
            for channel in 0..channels {
                let expected = first[(((image * channels + channel) * height + row) * width + column) as usize];
                assert_eq!(last[index], expected);
                index += 1;
            }
        }
    }

    #[test]
    fn inputs_that_nobody_can_feed_are_refused() {
        let input =
            |shape: &[u64]| TensorInfo { name: "x".to_owned(), element: "f32".to_owned(), shape: shape.to_vec() };
        assert_eq!(value_counts(&[input(&[1, 3, 2]), input(&[])]), Ok(vec![6, 1]));
        for inputs in [vec![input(&[u64::MAX, 2])], vec![input(&[1 << 27]), input(&[1 << 27]), input(&[1])]] {
            assert!(value_counts(&inputs).unwrap_err().contains("larger than"));
        }
    }

    #[test]
    fn values_stay_inside_a_narrow_range() {
        let range = InputRange { low: 1.0, high: 1.0f32.next_up() };
        let values = values(&mut SeededInput::new(7, range), &[1000], Layout::Nchw);
        assert!(values.iter().all(|value| *value == 1.0));
    }

    #[test]
    fn values_fill_the_range() {
        let range = InputRange { low: -1.0, high: 1.0 };
        let values = values(&mut SeededInput::new(1, range), &[10_000], Layout::Nchw);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 10_000.0;
        assert!(values.iter().all(|value| (-1.0..1.0).contains(value)));
        assert!(values.iter().any(|value| *value < -0.99) && values.iter().any(|value| *value > 0.99));
        assert!(mean.abs() < 0.03, "mean {mean}");
    }
}
