//! The values that inputs are made of.

use crate::domain::{ElementType, InputRange};

/// Range of floats of which nothing is said.
pub(super) const FLOATS: InputRange = InputRange { low: 0.0, high: 1.0 };

/// The range that an input's values are drawn from: its own, else the model's where that suits the type, else the
/// type's. Of whole numbers those of more than 8 bits are mostly indices and lengths: 0 and 1 are in range of nearly
/// all.
pub(super) fn range(
    name: &str,
    of_model: Option<InputRange>,
    own: Option<InputRange>,
    element: ElementType,
) -> Result<InputRange, String> {
    let usual = |low, high| InputRange { low, high };
    let (whole, all) = match element {
        ElementType::Float16 | ElementType::Float32 | ElementType::Float64 => {
            return Ok(own.or(of_model).unwrap_or(FLOATS));
        }
        ElementType::Bool => (usual(0.0, 2.0), usual(0.0, 2.0)),
        ElementType::Uint8 => (usual(0.0, 256.0), usual(0.0, 256.0)),
        ElementType::Int8 => (usual(-128.0, 128.0), usual(-128.0, 128.0)),
        ElementType::Uint16 => (usual(0.0, 2.0), usual(0.0, 65_536.0)),
        ElementType::Int16 => (usual(0.0, 2.0), usual(-32_768.0, 32_768.0)),
        ElementType::Uint32 => (usual(0.0, 2.0), usual(0.0, u32::MAX as f32)),
        ElementType::Int32 => (usual(0.0, 2.0), usual(i32::MIN as f32, i32::MAX as f32)),
        ElementType::Uint64 => (usual(0.0, 2.0), usual(0.0, u64::MAX as f32)),
        ElementType::Int64 => (usual(0.0, 2.0), usual(i64::MIN as f32, i64::MAX as f32)),
    };
    let is_within = |range: &InputRange| range.low >= all.low && range.high <= all.high;
    if let Some(own) = own {
        if !is_within(&own) || own.low.ceil() >= own.high {
            let (low, high) = (own.low, own.high);
            return Err(format!("the range [{low}, {high}] of input {name} in models.yaml holds no {element}"));
        }
        return Ok(own);
    }
    // The model's range may be meant for a file of it that takes floats.
    let suits = |range: &InputRange| {
        is_within(range) && range.low.fract() == 0.0 && range.high.fract() == 0.0 && range.high - range.low >= 2.0
    };
    Ok(of_model.filter(suits).unwrap_or(whole))
}
