//! What a network is fed: seeded values, or those that its job gives.
//!
//! Purpose: the same pseudo-random values, to the last bit, on every architecture and for every engine, whatever the
//! order of dimensions its model has. Main types: [`Feed`], [`SeededInput`]. Never asks the device for randomness.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use farmctl_protocol::{ElementType, InputRange, JobSpec, Layout, TensorInfo};

use super::element::{self, Number};

/// Most bytes that a job's inputs may have together: a batch of more than a thousand photographs.
const MAX_INPUT_BYTES: u64 = 1 << 30;

/// Bytes that are written at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// An input that can be fed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fed {
    pub(super) info: TensorInfo,
    pub(super) element: ElementType,
    /// Number of its values.
    count: u64,
    draw: Draw,
    /// The file of values in the device's store that it is given instead.
    given: Option<String>,
}

/// Where an input's values are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Draw {
    /// Real numbers of `[low, high)`.
    Real(InputRange),
    /// So many whole numbers from the lowest on.
    Whole { low: i128, count: u64 },
}

/// The inputs that the engine has described, each with its range.
///
/// # Errors
/// Says which input is another than the job says, or can't be fed.
pub(super) fn fed(job: &JobSpec, inputs: &[TensorInfo]) -> Result<Vec<Fed>, String> {
    check_as_ordered(job, inputs)?;
    let mut left = MAX_INPUT_BYTES;
    let fed = |(place, info): (usize, &TensorInfo)| {
        let element: ElementType =
            info.element.parse().map_err(|_| format!("input {:?} is made of {:?}", info.name, info.element))?;
        let count = info.values();
        let bytes = count.and_then(|count| count.checked_mul(element.size_bytes() as u64));
        left = bytes
            .and_then(|bytes| left.checked_sub(bytes))
            .ok_or_else(|| format!("the inputs are larger than {MAX_INPUT_BYTES} bytes: {:?} is {info}", info.name))?;
        let range = job.inputs.get(place).map_or(job.input_range, |input| input.range);
        let given = job.inputs.get(place).and_then(|input| input.values.as_ref());
        if let Some(given) = given.filter(|given| Some(given.size_bytes) != bytes) {
            return Err(format!("the values of input {:?} have {} bytes, it is {info}", info.name, given.size_bytes));
        }
        let (draw, given) = (draw(element, info, range)?, given.map(|given| given.sha256.clone()));
        Ok(Fed { info: info.clone(), element, count: count.unwrap_or_default(), draw, given })
    };
    inputs.iter().enumerate().map(fed).collect()
}

/// What an engine sets is what the job says, or its times are of another network.
fn check_as_ordered(job: &JobSpec, inputs: &[TensorInfo]) -> Result<(), String> {
    let is_same = |info: &TensorInfo, input: &farmctl_protocol::InputSpec| {
        info.name == input.name && info.element == input.element.as_str() && info.shape == input.shape
    };
    let are_same =
        inputs.len() == job.inputs.len() && inputs.iter().zip(&job.inputs).all(|(info, input)| is_same(info, input));
    if job.inputs.is_empty() || are_same {
        return Ok(());
    }
    let list = |texts: Vec<String>| if texts.is_empty() { "nothing".to_owned() } else { texts.join("; ") };
    let set = inputs.iter().map(|info| format!("{:?} {info}", info.name)).collect();
    let wanted =
        job.inputs.iter().map(|input| format!("{:?} {} {:?}", input.name, input.element, input.shape)).collect();
    Err(format!("the engine has set other inputs than the job says: {} instead of {}", list(set), list(wanted)))
}

fn draw(element: ElementType, info: &TensorInfo, range: InputRange) -> Result<Draw, String> {
    let Some((least, most)) = element::whole_numbers(element).filter(|_| info.quantization.is_none()) else {
        return Ok(Draw::Real(range));
    };
    let low = (f64::from(range.low).ceil() as i128).max(least);
    // The upper bound is no value, except where it lies between two whole numbers.
    let highest = (f64::from(range.high).ceil() as i128 - 1).min(most);
    if highest < low {
        let InputRange { low, high } = range;
        return Err(format!("input {:?} is made of {element}, of which none is in [{low}, {high})", info.name));
    }
    // Of all numbers of 64 bits one is left out.
    Ok(Draw::Whole { low, count: u64::try_from(highest - low + 1).unwrap_or(u64::MAX) })
}

/// Bits of randomness in one real value: as many as the significand of a 32-bit float holds.
const RANDOM_BITS: u32 = 24;

/// All inputs of a run, ready to be sent.
#[derive(Debug)]
pub(super) struct Feed {
    seeded: SeededInput,
    layout: Layout,
    /// Each input with the file of the values that it is given, where it is given some.
    inputs: Vec<(Fed, Option<File>)>,
}

impl Feed {
    /// Opens what the inputs are given in that store.
    ///
    /// # Errors
    /// Says which file can't be read.
    pub(super) fn open(job: &JobSpec, inputs: Vec<Fed>, store: &Path) -> Result<Feed, String> {
        let opened = |input: Fed| {
            let path = input.given.as_ref().map(|sha256| store.join(sha256));
            let file = path.map(|path| File::open(&path).map_err(|error| format!("{}: {error}", path.display())));
            Ok((input, file.transpose()?))
        };
        let inputs = inputs.into_iter().map(opened).collect::<Result<_, String>>()?;
        Ok(Feed { seeded: SeededInput::new(job.seed), layout: job.layout, inputs })
    }

    /// Writes the values of all inputs, one after the other.
    pub(super) fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        for (input, given) in self.inputs {
            match given {
                Some(mut file) => {
                    self.seeded.used += input.count;
                    io::copy(&mut file, out)?;
                }
                None => self.seeded.write(&input, self.layout, out)?,
            }
        }
        out.flush()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014), mapped to an interval.
#[derive(Debug)]
pub(super) struct SeededInput {
    seed: u64,
    /// Values of the inputs before the next one.
    used: u64,
}

impl SeededInput {
    /// Starts a sequence.
    pub(super) fn new(seed: u64) -> SeededInput {
        SeededInput { seed, used: 0 }
    }

    /// Writes the values of the next input, little-endian, in its own type. An image in channels-last order is the same
    /// image as in channels-first order: the sequence runs through the latter.
    pub(super) fn write(&mut self, input: &Fed, layout: Layout, out: &mut impl Write) -> io::Result<()> {
        let first = self.used;
        self.used += input.count;
        let position = |index| match (layout, input.info.shape.as_slice()) {
            (Layout::Nhwc, &[_, height, width, channels]) => channels_first(index, height * width, channels),
            _ => index,
        };
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + size_of::<f64>());
        for index in 0..input.count {
            let number = self.number(input.draw, first + position(index));
            element::push(&mut bytes, number, input.element, input.info.quantization);
            if bytes.len() >= CHUNK_BYTES {
                out.write_all(&bytes)?;
                bytes.clear();
            }
        }
        out.write_all(&bytes)?;
        out.flush()
    }

    fn number(&self, draw: Draw, index: u64) -> Number {
        match draw {
            Draw::Real(range) => Number::Real(self.real(range, index)),
            // The high half of the product is uniform below `count`, as far as 64 bits divide so.
            Draw::Whole { low, count } => {
                Number::Whole(low + ((u128::from(self.bits(index)) * u128::from(count)) >> u64::BITS) as i128)
            }
        }
    }

    fn bits(&self, index: u64) -> u64 {
        let state = self.seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `[low, high)`. IEEE 754 fixes the result of each of the few double-precision steps and of the one
    /// rounding to single precision, so that it is the same everywhere.
    fn real(&self, InputRange { low, high }: InputRange, index: u64) -> f32 {
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
#[path = "input/tests.rs"]
mod tests;
