//! Numbers as bytes of a tensor.
//!
//! Purpose: the one conversion of an input's numbers into the type that a network takes. Main function: [`push`]. Never
//! knows where the numbers come from.

use farmctl_protocol::{ElementType, Quantization};
use half::f16;

/// A number that is to become an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// A real one.
    Real(f32),
    /// A whole one.
    Whole(i128),
}

/// The least and the greatest whole number of a type; `None` of a type of real numbers.
pub(super) fn whole_numbers(element: ElementType) -> Option<(i128, i128)> {
    match element {
        ElementType::Bool => Some((0, 1)),
        ElementType::Int8 => Some((i8::MIN.into(), i8::MAX.into())),
        ElementType::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
        ElementType::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
        ElementType::Int64 => Some((i64::MIN.into(), i64::MAX.into())),
        ElementType::Uint8 => Some((0, u8::MAX.into())),
        ElementType::Uint16 => Some((0, u16::MAX.into())),
        ElementType::Uint32 => Some((0, u32::MAX.into())),
        ElementType::Uint64 => Some((0, u64::MAX.into())),
        ElementType::Float16 | ElementType::Float32 | ElementType::Float64 => None,
    }
}

/// Appends a number, little-endian. A real number becomes the nearest whole one where the type has only these: of the
/// steps of its quantisation, where it has one, otherwise of itself.
pub(super) fn push(bytes: &mut Vec<u8>, number: Number, element: ElementType, quantization: Option<Quantization>) {
    let real = match number {
        Number::Real(value) => value,
        Number::Whole(value) => value as f32,
    };
    match element {
        ElementType::Float16 => bytes.extend(f16::from_f32(real).to_le_bytes()),
        ElementType::Float32 => bytes.extend(real.to_le_bytes()),
        ElementType::Float64 => bytes.extend(f64::from(real).to_le_bytes()),
        whole => {
            let (least, most) = whole_numbers(whole).unwrap_or_default();
            let value = match (number, quantization) {
                (Number::Whole(value), _) => value,
                (_, Some(Quantization { scale, zero_point })) => {
                    ((real / scale).round_ties_even() as i128).saturating_add(zero_point.into())
                }
                (_, None) => real.round_ties_even() as i128,
            };
            let value = value.clamp(least, most);
            // Two's complement: the lowest bytes are the number in any width that holds it.
            bytes.extend_from_slice(&value.to_le_bytes()[..whole.size_bytes()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(number: Number, element: ElementType, quantization: Option<Quantization>) -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, number, element, quantization);
        bytes
    }

    #[test]
    fn numbers_become_bytes_of_the_type() {
        let (real, whole) = (Number::Real, Number::Whole);
        assert_eq!(pushed(real(1.5), ElementType::Float32, None), 1.5f32.to_le_bytes());
        assert_eq!(pushed(real(1.5), ElementType::Float64, None), 1.5f64.to_le_bytes());
        assert_eq!(pushed(real(1.0), ElementType::Float16, None), [0, 0x3c]);
        assert_eq!(pushed(whole(-2), ElementType::Int64, None), (-2i64).to_le_bytes());
        assert_eq!(pushed(whole(300), ElementType::Uint16, None), [44, 1]);
        assert_eq!(pushed(real(254.6), ElementType::Uint8, None), [255]);
        assert_eq!(pushed(real(-3.0), ElementType::Uint8, None), [0]);
        assert_eq!(pushed(real(f32::NAN), ElementType::Int8, None), [0]);
        assert_eq!(pushed(real(0.7), ElementType::Bool, None), [1]);
    }

    #[test]
    fn steps_of_a_quantisation_round_to_even_and_stay_in_the_type() {
        let quantization = Some(Quantization { scale: 0.5, zero_point: -3 });
        let steps = |value| pushed(Number::Real(value), ElementType::Int8, quantization)[0] as i8;
        assert_eq!([0.0, 0.25, 0.75, 1000.0, -1000.0].map(steps), [-3, -3, -1, 127, -128]);
        let none = Some(Quantization { scale: 0.0, zero_point: 0 });
        assert_eq!(pushed(Number::Real(0.0), ElementType::Int8, none), [0], "a scale that makes no sense");
    }
}
