use std::ops::Range;

/// 2⁻²³: makes a number of [-1, 1) from an integer of 24 bits, both exactly.
const UNIT: f32 = 1.0 / 8_388_608.0;

/// A tensor of weights: name, shape, and how its values are drawn, uniform in `centre` ± `bound`.
#[derive(Debug, Clone)]
pub struct Weights {
    name: String,
    dims: Vec<u64>,
    centre: f32,
    bound: f32,
    /// How many numbers of the network's sequence the tensors before it take.
    first_number: u64,
}

impl Weights {
    /// Values around `centre`.
    pub(super) fn around(name: String, dims: Vec<u64>, centre: f32, bound: f32) -> Self {
        Self { name, dims, centre, bound, first_number: 0 }
    }

    /// Values around zero with that variance: that of a uniform distribution is bound² / 3.
    pub(super) fn with_variance(name: String, dims: Vec<u64>, variance: f32) -> Self {
        Self::around(name, dims, 0.0, (3.0 * variance).sqrt())
    }

    /// This tensor, drawn after those.
    pub(super) fn after(self, before: &[Weights]) -> Self {
        let first_number = before.last().map_or(0, |last| last.first_number + last.count().div_ceil(2));
        Self { first_number, ..self }
    }

    /// Name of the tensor.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape.
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Appends the values of that range, which begins at an even number, since a number of the sequence makes two. Only
    /// additions, multiplications and conversions that IEEE 754 defines to the last bit are used, so that every machine
    /// draws the same.
    pub(super) fn draw(&self, numbers: &mut Numbers, range: Range<u64>, values: &mut Vec<f32>) {
        assert!(range.start.is_multiple_of(2), "{} from {}", self.name, range.start);
        let scale = self.bound * UNIT;
        let value = |bits: u32| self.centre + ((bits >> 8) as i32 - 0x0080_0000) as f32 * scale;
        let count = range.end - range.start;
        values.reserve(count as usize);
        numbers.skip(self.first_number + range.start / 2);
        for _ in 0..count / 2 {
            let number = numbers.next();
            values.push(value(number as u32));
            values.push(value((number >> 32) as u32));
        }
        if count % 2 == 1 {
            values.push(value(numbers.next() as u32));
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): 64 bits of state, integers only, and a counter at heart, so that any place of
/// the sequence can be begun at.
#[derive(Debug, Clone)]
pub(super) struct Numbers(u64);

/// What SplitMix64 counts by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Numbers {
    /// The sequence of that seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn skip(&mut self, count: u64) {
        self.0 = self.0.wrapping_add(STEP.wrapping_mul(count));
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(weights: &Weights, range: Range<u64>) -> Vec<f32> {
        let mut values = Vec::new();
        weights.draw(&mut Numbers::new(1), range, &mut values);
        values
    }

    #[test]
    fn numbers_are_those_of_the_reference_implementation() {
        let mut numbers = Numbers::new(1_234_567);
        assert_eq!(numbers.next(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.next(), 3_203_168_211_198_807_973);
        let mut numbers = Numbers::new(1_234_567);
        numbers.skip(1);
        assert_eq!(numbers.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn values_have_the_variance_asked_for() {
        let weights = Weights::with_variance("w".to_owned(), vec![100, 101], 0.25);
        let values: Vec<f64> = drawn(&weights, 0..weights.count()).into_iter().map(f64::from).collect();
        assert_eq!(values.len(), 10_100);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 0.25).abs() < 0.01, "variance {variance}");
    }

    #[test]
    fn parts_are_parts_of_the_whole_and_tensors_follow_each_other() {
        let first = Weights::around("a".to_owned(), vec![5], 0.0, 1.0);
        let second = Weights::around("b".to_owned(), vec![7], 0.0, 1.0).after(std::slice::from_ref(&first));
        let whole = drawn(&second, 0..7);
        assert_eq!([drawn(&second, 0..4), drawn(&second, 4..7)].concat(), whole);
        // Five values take three numbers.
        let both = Weights::around("c".to_owned(), vec![13], 0.0, 1.0);
        assert_eq!(drawn(&both, 6..13), whole);
    }
}
