//! What operators cost, and what is not understood.

use super::*;

#[test]
fn convolutions_are_counted() {
    type Case<'a> = (Attributes<'a>, &'a [i64], &'a [i64], &'a [u64], u64);
    let cases: &[Case<'_>] = &[
        (&[], &[1, 3, 8, 8], &[4, 3, 3, 3], &[1, 4, 6, 6], 4 * 36 * 27),
        (&[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])], &[1, 3, 8, 8], &[4, 3, 3, 3], &[1, 4, 4, 4], 4 * 16 * 27),
        (&[("group", &[4])], &[1, 4, 8, 8], &[8, 1, 3, 3], &[1, 8, 6, 6], 8 * 36 * 9),
        (&[("dilations", &[2, 2])], &[1, 3, 8, 8], &[4, 3, 3, 3], &[1, 4, 4, 4], 4 * 16 * 27),
        (&[("pads", &[0, 3, 0, 3])], &[2, 3, 8, 8], &[4, 3, 1, 7], &[2, 4, 8, 8], 2 * 4 * 64 * 21),
        (&[], &[1, 3, 10], &[4, 3, 3], &[1, 4, 8], 4 * 8 * 9),
        (&[], &[1, 2, 4, 4, 4], &[3, 2, 2, 2, 2], &[1, 3, 3, 3, 3], 3 * 27 * 16),
    ];
    for (attributes, input, weight, shape, macs) in cases {
        assert_eq!(one("Conv", attributes, input, weight), (shape.to_vec(), *macs), "{attributes:?}");
    }
    let transposed = one("ConvTranspose", &[("strides", &[2, 2])], &[1, 4, 5, 5], &[4, 3, 2, 2]);
    assert_eq!(transposed, (vec![1, 3, 10, 10], 100 * 12));
}

#[test]
fn convolutions_that_pad_by_themselves_are_counted() {
    let mut same = node("Conv", &["x", "w"], "y", &[("strides", &[2, 2])]);
    let word = AttributeProto { name: "auto_pad".to_owned(), s: Some("SAME_UPPER".into()), ..Default::default() };
    same.attribute.push(word);
    let model = model(&[1, 3, 7, 7], vec![weight("w", &[4, 3, 3, 3])], vec![same]);
    assert_eq!(cost(&model), (vec![1, 4, 4, 4], 4 * 16 * 27));
}

#[test]
fn matrix_products_are_counted() {
    assert_eq!(one("Gemm", &[], &[2, 5], &[5, 7]), (vec![2, 7], 70));
    assert_eq!(one("Gemm", &[("transB", &[1])], &[2, 5], &[7, 5]), (vec![2, 7], 70));
    assert_eq!(one("Gemm", &[("transA", &[1])], &[5, 2], &[5, 7]), (vec![2, 7], 70));
    assert_eq!(one("MatMul", &[], &[3, 2, 5], &[5, 7]), (vec![3, 2, 7], 210));
    assert_eq!(one("MatMul", &[], &[4, 1, 2, 5], &[3, 5, 7]), (vec![4, 3, 2, 7], 12 * 70));
    assert_eq!(one("MatMul", &[], &[2, 5], &[5]), (vec![2], 10));
}

#[test]
fn pools_count_their_windows() {
    let pool = |attributes: Attributes<'_>, input: &[i64]| {
        cost(&model(input, Vec::new(), vec![node("MaxPool", &["x"], "y", attributes)])).0
    };
    let three_by_two: [(&str, &[i64]); 2] = [("kernel_shape", &[3, 3]), ("strides", &[2, 2])];
    assert_eq!(pool(&three_by_two, &[1, 3, 54, 54]), [1, 3, 26, 26]);
    let ceil = [three_by_two[0], three_by_two[1], ("ceil_mode", &[1])];
    assert_eq!(pool(&ceil, &[1, 3, 54, 54]), [1, 3, 27, 27]);
    assert_eq!(pool(&ceil, &[1, 3, 55, 55]), [1, 3, 27, 27]);
    // The last window would lie in the padding alone.
    let padded: [(&str, &[i64]); 4] =
        [("kernel_shape", &[2, 2]), ("strides", &[3, 3]), ("pads", &[0, 0, 1, 1]), ("ceil_mode", &[1])];
    assert_eq!(pool(&padded, &[1, 3, 5, 5]), [1, 3, 2, 2]);
}

#[test]
fn what_is_not_understood_makes_the_sum_a_lower_bound() {
    let nodes = vec![
        node("Conv", &["x", "w"], "a", &[]),
        node("Einsum", &["a"], "b", &[]),
        node("Relu", &["b"], "c", &[]),
        node("Conv", &["c", "w"], "y", &[]),
    ];
    let mut model = model(&[1, 4, 8, 8], vec![weight("w", &[4, 4, 1, 1])], nodes);
    let summary = analyse(&model, &[]).unwrap();
    assert_eq!(summary.macs(), 4 * 64 * 4);
    assert!(!summary.is_complete());
    let unknown = "on a shape that is not known before it runs (1×)";
    assert_eq!(
        summary.not_understood,
        [format!("Conv {unknown}"), format!("Relu {unknown}"), "operator Einsum (1×)".to_owned()]
    );
    assert_eq!(summary.outputs[0].shape, None);

    // With the file's word for the shape the rest can be counted, but the sum stays a lower bound.
    model.graph.as_mut().unwrap().value_info.push(info("b", &[1, 4, 8, 8]));
    let summary = analyse(&model, &[]).unwrap();
    assert_eq!(summary.macs(), 2 * 4 * 64 * 4);
    assert_eq!(summary.not_understood, ["operator Einsum (1×)"]);
}

#[test]
fn operators_of_others_are_not_taken_for_onnx() {
    let foreign = NodeProto { domain: "com.example".to_owned(), ..node("Conv", &["x", "w"], "y", &[]) };
    let summary = analyse(&model(&[1, 4, 8, 8], vec![weight("w", &[4, 4, 1, 1])], vec![foreign]), &[]).unwrap();
    assert_eq!((summary.macs(), summary.is_complete()), (0, false));
    assert_eq!(summary.ops["com.example.Conv"], 1);
}

#[test]
fn weights_listed_as_inputs_are_weights() {
    let mut model = model(&[1, 4], vec![weight("w", &[4, 4])], vec![node("MatMul", &["x", "w"], "y", &[])]);
    model.graph.as_mut().unwrap().input.insert(0, info("w", &[4, 4]));
    let summary = analyse(&model, &[("x", &[1, 4])]).unwrap();
    assert_eq!(summary.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert_eq!((summary.params, summary.macs()), (16, 16));
}

#[test]
fn constants_are_parameters_when_they_are_weights() {
    let mut constant = node("Constant", &[], "w", &[]);
    let tensor = AttributeProto { name: "value".to_owned(), t: Some(weight("", &[4, 4])), ..Default::default() };
    constant.attribute.push(tensor);
    let nodes = vec![constant, node("MatMul", &["x", "w"], "z", &[]), node("Clip", &["z", "low"], "y", &[])];
    let summary = analyse(&model(&[1, 4], vec![weight("low", &[]), integers("axes", &[1, 2])], nodes), &[]).unwrap();
    assert_eq!((summary.params, summary.macs()), (16, 16));
}

#[test]
fn faults_name_their_node() {
    let conv = node("Conv", &["x", "w"], "y", &[]);
    let large = i64::MAX;
    let cases = [
        (model(&[1, 3, 8, 8], vec![weight("w", &[4, 5, 3, 3])], vec![conv.clone()]), "the Conv", "3 channels"),
        (model(&[1, 3, 2, 2], vec![weight("w", &[4, 3, 3, 3])], vec![conv.clone()]), "the Conv", "window"),
        (model(&[1, 3, 8, 8], Vec::new(), vec![conv]), "the Conv", "\"w\""),
        (
            model(&[2, 3], vec![weight("w", &[4, 5])], vec![node("MatMul", &["x", "w"], "y", &[])]),
            "the MatMul",
            "3 and 4",
        ),
        (model(&[2, 3], vec![weight("w", &[4, 5])], vec![node("Add", &["x", "w"], "y", &[])]), "the Add", "[4, 5]"),
        (model(&[2], vec![weight("w", &[large, large])], Vec::new()), "\"w\"", "counted"),
        (model(&[2], vec![weight("w", &[-1])], Vec::new()), "\"w\"", "negative"),
        (
            model(&[large, 3], vec![weight("w", &[3, 3])], vec![node("MatMul", &["x", "w"], "y", &[])]),
            "the MatMul",
            "counted",
        ),
        (model(&[2, 3], Vec::new(), vec![node("Relu", &[], "y", &[])]), "the Relu", "input 0"),
    ];
    for (model, place, cause) in cases {
        let message = analyse(&model, &[]).unwrap_err().to_string();
        assert!(message.contains(place) && message.contains(cause), "{place:?} and {cause:?}: {message:?}");
    }
}

#[test]
fn bytes_made_while_it_runs_and_sparse_weights_are_counted() {
    let quantised = NodeProto {
        output: ["q", "scale", "zero"].map(str::to_owned).to_vec(),
        ..node("DynamicQuantizeLinear", &["x"], "q", &[])
    };
    let nodes = vec![quantised, node("MatMulInteger", &["q", "w", "zero"], "y", &[])];
    let summary = analyse(&model(&[2, 4], vec![weight("w", &[4, 8])], nodes), &[]).unwrap();
    assert_eq!((summary.macs(), summary.not_understood.len()), (2 * 4 * 8, 0));
    let mut sparse = model(&[2, 4], Vec::new(), vec![node("MatMul", &["x", "w"], "y", &[])]);
    sparse.graph.as_mut().unwrap().sparse_initializer = vec![SparseTensorProto {
        values: Some(weight("w", &[3])),
        indices: Some(integers("", &[0, 5, 9])),
        dims: vec![4, 8],
    }];
    let summary = analyse(&sparse, &[]).unwrap();
    assert_eq!((summary.macs(), summary.params, summary.outputs[0].shape.clone()), (64, 3, Some(vec![2, 8])));
}
