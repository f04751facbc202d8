//! Multiply-adds of a TensorFlow Lite graph, of the shapes that stand in the file.

use super::tflite::{Operator, Tensor};
use crate::domain::InputSpec;

/// Multiply-adds of one inference with these inputs; an error says what can't be counted.
pub(super) fn count(
    tensors: &[Tensor],
    operators: &[Operator],
    inputs: &[i32],
    measured: &[InputSpec],
) -> Result<u64, String> {
    let at = |number: i32| usize::try_from(number).ok().and_then(|number| tensors.get(number));
    let shapes: Vec<Option<&[u64]>> = inputs.iter().map(|number| at(*number)?.sizes.as_deref()).collect();
    let as_measured = shapes.len() == measured.len()
        && shapes.iter().zip(measured).all(|(shape, input)| *shape == Some(input.shape.as_slice()));
    if !as_measured {
        return Err("the file has the shapes of another input".to_owned());
    }
    let mut sum = 0u64;
    for operator in operators {
        let macs = of_operator(operator, &at).map_err(|why| format!("{} {why}", name(operator)))?;
        sum = sum.saturating_add(macs);
    }
    Ok(sum)
}

fn of_operator<'t>(operator: &Operator, at: &dyn Fn(i32) -> Option<&'t Tensor>) -> Result<u64, &'static str> {
    let unknown = "on a shape that is not known before it runs";
    let sizes = |numbers: &[i32], index: usize| {
        let tensor = numbers.get(index).and_then(|number| at(*number));
        tensor.and_then(|tensor| tensor.sizes.as_deref()).ok_or(unknown)
    };
    let input = |index| sizes(&operator.inputs, index);
    let product = |sizes: &[u64]| sizes.iter().copied().fold(1, u64::saturating_mul);
    let macs = match operator.code {
        // CONV_2D, whose weights are outputs × rows × columns × inputs; CONV_3D, whose outputs stand last
        3 => product(sizes(&operator.outputs, 0)?).saturating_mul(product(input(1)?.get(1..).ok_or(unknown)?)),
        132 => {
            let weights = input(1)?;
            product(sizes(&operator.outputs, 0)?).saturating_mul(product(&weights[..weights.len().saturating_sub(1)]))
        }
        // DEPTHWISE_CONV_2D: 1 × rows × columns × channels
        4 => {
            let window = input(1)?.get(1..3).ok_or(unknown)?;
            product(sizes(&operator.outputs, 0)?).saturating_mul(product(window))
        }
        // FULLY_CONNECTED: each value meets one weight of each output
        9 => product(input(0)?).saturating_mul(*input(1)?.first().ok_or(unknown)?),
        // TRANSPOSE_CONV: each value meets every weight of its channel
        67 => {
            let [outputs, rows, columns, _] = *input(1)? else { return Err(unknown) };
            product(input(2)?).saturating_mul(product(&[outputs, rows, columns]))
        }
        // BATCH_MATMUL: either matrix may be turned, so the inner size is what the outer ones leave
        126 => {
            let (left, output) = (input(0)?, sizes(&operator.outputs, 0)?);
            let (&[.., rows, columns], &[.., outer, _]) = (left, output) else { return Err(unknown) };
            product(output).saturating_mul((rows * columns).checked_div(outer).ok_or(unknown)?)
        }
        code if is_counted_elsewhere(code) => return Err("is not counted"),
        _ => 0,
    };
    Ok(macs)
}

/// Operators that multiply by weights otherwise, or run other graphs: RNN, LSTM, SVDF, their sequences, custom ones,
/// CALL, IF, WHILE, CONV_3D_TRANSPOSE and STABLEHLO's.
fn is_counted_elsewhere(code: u32) -> bool {
    matches!(code, 16 | 24 | 27 | 31 | 32 | 35 | 44 | 46 | 52 | 118 | 119 | 141) || code >= 161
}

fn name(operator: &Operator) -> String {
    match (&operator.custom, operator.code) {
        (Some(custom), _) => format!("operator {custom}"),
        (None, 3) => "CONV_2D".to_owned(),
        (None, 4) => "DEPTHWISE_CONV_2D".to_owned(),
        (None, 9) => "FULLY_CONNECTED".to_owned(),
        (None, 67) => "TRANSPOSE_CONV".to_owned(),
        (None, 126) => "BATCH_MATMUL".to_owned(),
        (None, code) => format!("operator number {code}"),
    }
}
