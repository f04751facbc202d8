//! Shapes are followed through the graph.

use super::*;

#[test]
fn shapes_are_followed() {
    assert_eq!(one("Add", &[], &[2, 1, 4], &[3, 1]).0, [2, 3, 4]);
    assert_eq!(one("Concat", &[("axis", &[-1])], &[2, 3], &[2, 4]).0, [2, 7]);
    assert_eq!(one_with("Flatten", &[("axis", &[2])], &[2, 3, 4, 5], &[]), [6, 20]);
    assert_eq!(one_with("Transpose", &[("perm", &[0, 2, 3, 1])], &[2, 3, 4, 5], &[]), [2, 4, 5, 3]);
    assert_eq!(one_with("Reshape", &[], &[2, 3, 4], &[&[0, -1]]), [2, 12]);
    assert_eq!(one_with("Squeeze", &[], &[2, 1, 4, 1], &[&[-1]]), [2, 1, 4]);
    assert_eq!(one_with("Squeeze", &[], &[2, 1, 4, 1], &[]), [2, 4]);
    assert_eq!(one_with("Unsqueeze", &[], &[2, 4], &[&[0, 3]]), [1, 2, 4, 1]);
    assert_eq!(one_with("Unsqueeze", &[("axes", &[1])], &[2, 4], &[]), [2, 1, 4]);
    assert_eq!(one_with("ReduceMean", &[("axes", &[2, 3]), ("keepdims", &[0])], &[1, 8, 7, 7], &[]), [1, 8]);
    assert_eq!(one_with("ReduceMean", &[], &[1, 8, 7, 7], &[&[-1, -2]]), [1, 8, 1, 1]);
    assert_eq!(one_with("Pad", &[], &[1, 3, 4, 4], &[&[0, 0, 1, 2, 0, 0, 1, 2]]), [1, 3, 6, 8]);
    assert_eq!(one_with("Slice", &[], &[1, 9, 4], &[&[1], &[-1], &[1], &[2]]), [1, 4, 4]);
    assert_eq!(one_with("Resize", &[], &[1, 3, 4, 4], &[&[], &[], &[1, 3, 8, 8]]), [1, 3, 8, 8]);
    assert_eq!(one_with("Split", &[("axis", &[1])], &[1, 6, 4], &[&[6]]), [1, 6, 4]);
}

#[test]
fn sizes_that_a_factor_makes_are_followed() {
    let factors = |values: &[f32]| TensorProto {
        dims: vec![values.len() as i64],
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into(),
        ..weight("factors", &[])
    };
    let nothing = || weight("nothing", &[0]);
    let resized = |op: &str, inputs: &[&str], values: &[f32]| {
        analyse(&model(&[1, 3, 5, 8], vec![factors(values), nothing()], vec![node(op, inputs, "y", &[])]), &[])
            .map(|summary| summary.outputs[0].shape.clone())
    };
    let resize = ["x", "nothing", "factors"];
    assert_eq!(resized("Resize", &resize, &[1.0, 1.0, 2.0, 0.5]).unwrap(), Some(vec![1, 3, 10, 4]));
    assert_eq!(resized("Resize", &resize, &[1.0, 1.0, 1.5, 1.0]).unwrap(), Some(vec![1, 3, 7, 8]));
    assert_eq!(resized("Upsample", &["x", "factors"], &[1.0, 1.0, 2.0, 2.0]).unwrap(), Some(vec![1, 3, 10, 16]));
    for wrong in [&[2.0, 2.0][..], &[1.0, 1.0, f32::NAN, 1.0], &[1.0, 1.0, -1.0, 1.0], &[1.0, 1.0, 1e30, 1.0]] {
        assert!(resized("Resize", &resize, wrong).unwrap_err().to_string().contains("factors"), "{wrong:?}");
    }
}

#[test]
fn more_shapes_are_followed() {
    assert_eq!(one_with("ArgMax", &[("axis", &[1])], &[1, 10, 4], &[]), [1, 1, 4]);
    assert_eq!(one_with("ArgMax", &[("axis", &[1]), ("keepdims", &[0])], &[1, 10, 4], &[]), [1, 4]);
    assert_eq!(one_with("Expand", &[], &[1, 17, 1, 1], &[&[1, 1, 4, 4]]), [1, 17, 4, 4]);
    assert_eq!(one_with("Tile", &[], &[2, 3], &[&[1, 4]]), [2, 12]);
    let shape = cost(&model(&[3], vec![integers("s", &[2, 7])], vec![node("ConstantOfShape", &["s"], "y", &[])])).0;
    assert_eq!(shape, [2, 7]);
}

#[test]
fn steps_of_a_recurrent_network_are_counted() {
    // Each of five steps multiplies a value and a state of 16 for four gates.
    let weights = || vec![weight("w", &[1, 64, 8]), weight("r", &[1, 64, 16])];
    let lstm = |input: &[i64]| analyse(&model(input, weights(), vec![node("LSTM", &["x", "w", "r"], "y", &[])]), &[]);
    let summary = lstm(&[5, 2, 8]).unwrap();
    assert_eq!((summary.macs(), summary.is_complete()), (5 * 2 * 64 * (8 + 16), true));
    assert_eq!(summary.outputs[0].shape, Some(vec![5, 1, 2, 16]));
    assert!(lstm(&[5, 2, 9]).unwrap_err().to_string().contains("don't fit"));
}

#[test]
fn a_flattening_that_asks_for_the_shape_is_followed() {
    // What exporters make of `x.view(x.size(0), -1)`.
    let nodes = vec![
        node("Shape", &["x"], "shape", &[]),
        node("Gather", &["shape", "zero"], "batch", &[("axis", &[0])]),
        node("Unsqueeze", &["batch", "zeros"], "batch list", &[]),
        node("Concat", &["batch list", "open"], "target", &[("axis", &[0])]),
        node("Reshape", &["x", "target"], "flat", &[]),
        node("MatMul", &["flat", "w"], "y", &[]),
    ];
    let zero = TensorProto { dims: Vec::new(), ..integers("zero", &[0]) };
    let constants = vec![zero, integers("zeros", &[0]), integers("open", &[-1]), weight("w", &[12, 5])];
    assert_eq!(cost(&model(&[2, 3, 4], constants, nodes)), (vec![2, 5], 120));
}

#[test]
fn open_dimensions_are_filled_or_asked_for() {
    let net = |input: &[i64]| model(input, vec![weight("w", &[4, 3, 1, 1])], vec![node("Conv", &["x", "w"], "y", &[])]);
    assert_eq!(cost(&net(&[0, 3, 8, 8])), (vec![1, 4, 8, 8], 4 * 64 * 3));
    assert!(!analyse(&net(&[0, 3, 0, 0]), &[]).unwrap().is_complete());
    let summary = analyse(&net(&[0, 3, 0, 0]), &[("x", &[1, 3, 8, 8])]).unwrap();
    assert_eq!((summary.macs(), summary.is_complete()), (4 * 64 * 3, true));
    let message = analyse(&net(&[0, 3, 8, 8]), &[("x", &[1, 3, 9, 9])]).unwrap_err().to_string();
    assert!(message.contains("[?, 3, 8, 8]") && message.contains("[1, 3, 9, 9]"), "{message}");
}
