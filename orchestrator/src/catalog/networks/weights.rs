use crate::catalog::onnx::{DataType, TensorProto};

/// 2⁻²³: makes a number of [-1, 1) from an integer of 24 bits, both exactly.
const UNIT: f32 = 1.0 / 8_388_608.0;

/// A tensor of seeded values, uniform in `centre` ± `bound`.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    name: String,
    dims: Vec<u64>,
    centre: f32,
    bound: f32,
}

impl Weights {
    /// Values around `centre`.
    pub(super) fn around(name: String, dims: Vec<u64>, centre: f32, bound: f32) -> Self {
        Self { name, dims, centre, bound }
    }

    /// Values around zero with that variance: that of a uniform distribution is bound² / 3.
    pub(super) fn with_variance(name: String, dims: Vec<u64>, variance: f32) -> Self {
        Self { name, dims, centre: 0.0, bound: (3.0 * variance).sqrt() }
    }

    /// Name of the tensor.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Number of values.
    pub(super) fn values(&self) -> u64 {
        self.dims.iter().product()
    }

    /// The tensor without its values.
    pub(super) fn header(&self) -> TensorProto {
        TensorProto {
            dims: self.dims.iter().map(|&dim| dim as i64).collect(),
            data_type: DataType::Float.into(),
            name: self.name.clone(),
            ..TensorProto::default()
        }
    }

    /// Appends the next `count` values to `bytes`, little-endian. Only additions, multiplications and conversions that
    /// IEEE 754 defines to the last bit are used, so that every machine writes the same.
    pub(super) fn draw(&self, count: u64, numbers: &mut SplitMix64, bytes: &mut Vec<u8>) {
        let scale = self.bound * UNIT;
        let value = |bits: u32| (self.centre + ((bits >> 8) as i32 - 0x0080_0000) as f32 * scale).to_le_bytes();
        for _ in 0..count / 2 {
            let number = numbers.next();
            bytes.extend_from_slice(&value(number as u32));
            bytes.extend_from_slice(&value((number >> 32) as u32));
        }
        if count % 2 == 1 {
            bytes.extend_from_slice(&value(numbers.next() as u32));
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): 64 bits of state, integers only.
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence of that seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference_implementation() {
        let mut numbers = SplitMix64::new(1_234_567);
        assert_eq!(numbers.next(), 6_457_827_717_110_365_317);
        assert_eq!(numbers.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn values_have_the_variance_asked_for() {
        let weights = Weights::with_variance("w".to_owned(), vec![100, 101], 0.25);
        let mut bytes = Vec::new();
        weights.draw(weights.values(), &mut SplitMix64::new(1), &mut bytes);
        let values: Vec<f64> =
            bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect();
        assert_eq!(values.len(), 10_100);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.02, "mean {mean}");
        assert!((variance - 0.25).abs() < 0.01, "variance {variance}");
    }
}
