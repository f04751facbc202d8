//! Values of an input, in the type that its network has.

use std::io::{self, Read};

use farmctl_protocol::ElementType;
use half::f16;

/// The flattened values of one input.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is the element type of its name
pub enum Values {
    Bool(Vec<bool>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Uint8(Vec<u8>),
    Uint16(Vec<u16>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Float16(Vec<f16>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
}

/// The numbers in bytes of whole ones.
macro_rules! numbers {
    ($type:ty, $bytes:expr) => {
        $bytes.as_chunks().0.iter().map(|number| <$type>::from_le_bytes(*number)).collect()
    };
}

impl Values {
    /// Reads `count` values, little-endian.
    ///
    /// # Errors
    /// When they don't come.
    pub fn read(element: ElementType, count: usize, input: &mut impl Read) -> io::Result<Values> {
        let mut bytes = vec![0; count * element.size_bytes()];
        input.read_exact(&mut bytes)?;
        Ok(match element {
            ElementType::Bool => Values::Bool(bytes.iter().map(|byte| *byte != 0).collect()),
            ElementType::Int8 => Values::Int8(numbers!(i8, bytes)),
            ElementType::Int16 => Values::Int16(numbers!(i16, bytes)),
            ElementType::Int32 => Values::Int32(numbers!(i32, bytes)),
            ElementType::Int64 => Values::Int64(numbers!(i64, bytes)),
            ElementType::Uint8 => Values::Uint8(bytes),
            ElementType::Uint16 => Values::Uint16(numbers!(u16, bytes)),
            ElementType::Uint32 => Values::Uint32(numbers!(u32, bytes)),
            ElementType::Uint64 => Values::Uint64(numbers!(u64, bytes)),
            ElementType::Float16 => Values::Float16(numbers!(f16, bytes)),
            ElementType::Float32 => Values::Float32(numbers!(f32, bytes)),
            ElementType::Float64 => Values::Float64(numbers!(f64, bytes)),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_their_type() {
        let read = |element, bytes: &[u8]| Values::read(element, 2, &mut &*bytes);
        assert_eq!(read(ElementType::Bool, &[0, 7]).unwrap(), Values::Bool(vec![false, true]));
        assert_eq!(read(ElementType::Int8, &[255, 1]).unwrap(), Values::Int8(vec![-1, 1]));
        assert_eq!(read(ElementType::Int16, &[0xfe, 0xff, 0, 1]).unwrap(), Values::Int16(vec![-2, 256]));
        let halves = Values::Float16(vec![f16::from_f32(1.0), f16::from_f32(-2.0)]);
        assert_eq!(read(ElementType::Float16, &[0, 0x3c, 0, 0xc0]).unwrap(), halves);
        let longs = [(-3i64).to_le_bytes(), 5i64.to_le_bytes()].concat();
        assert_eq!(read(ElementType::Int64, &longs).unwrap(), Values::Int64(vec![-3, 5]));
        assert!(read(ElementType::Int64, &longs[1..]).is_err());
    }
}
