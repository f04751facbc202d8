//! What the operators of a file take first dimensions for.

use super::*;

#[test]
fn an_input_has_a_batch_where_an_operator_reads_one() {
    let batched = |nodes: Vec<NodeProto>| {
        let graph = GraphProto {
            input: vec![info("x", DataType::Float, &["8", "3", "4", "4"]), info("z", DataType::Float, &["4"])],
            output: vec![info("y", DataType::Float, &[])],
            initializer: vec![
                weight("k", DataType::Float, &[3, 3, 1, 1]),
                weight("mean", DataType::Float, &[3, 1, 1]),
                integers("order", &[2, 1, 0]),
                integers("same", &[8, 3, 2, 8]),
                integers("flat", &[1, 24, 4, 4]),
            ],
            node: nodes,
            ..GraphProto::default()
        };
        let is_batch = |input: &TensorSignature| input.first_dimension == Some(FirstDimension::Batch);
        of_graph(graph).inputs.iter().map(is_batch).collect::<Vec<_>>()
    };
    let order = |ints: &[i64]| AttributeProto { name: "perm".to_owned(), ints: ints.to_vec(), ..Default::default() };
    let turn = |ints: &[i64]| NodeProto { attribute: vec![order(ints)], ..node("Transpose", &["x"], "t") };
    assert_eq!(batched(vec![node("Conv", &["x", "k"], "y")]), [true, false]);
    assert_eq!(
        batched(vec![node("Sub", &["x", "mean"], "t"), node("Relu", &["t"], "u"), node("MaxPool", &["u"], "y")]),
        [true, false]
    );
    // Whatever leaves the first dimension in its place: one value at a time, a part of the others, another size.
    for op in ["Exp", "Log", "Erf", "HardSwish", "Softmax", "Gelu"] {
        assert_eq!(batched(vec![node(op, &["x"], "t"), node("Conv", &["t", "k"], "y")]), [true, false], "{op}");
    }
    let on_axis = |op: &str, axis: i64, inputs: &[&str]| {
        let axis = AttributeProto { name: "axis".to_owned(), i: Some(axis), ..AttributeProto::default() };
        NodeProto { attribute: vec![axis], ..node(op, inputs, "t") }
    };
    let conv = || node("Conv", &["t", "k"], "y");
    assert_eq!(batched(vec![on_axis("Gather", 1, &["x", "order"]), conv()]), [true, false]);
    assert_eq!(batched(vec![on_axis("Gather", 0, &["x", "order"]), conv()]), [false, false]);
    assert_eq!(batched(vec![on_axis("Concat", 1, &["x", "x"]), conv()]), [true, false]);
    assert_eq!(batched(vec![on_axis("Concat", 0, &["x", "x"]), conv()]), [false, false]);
    // Of several, those that are not stretched.
    assert_eq!(batched(vec![node("Add", &["x", "z"], "t"), conv()]), [true, false]);
    assert_eq!(batched(vec![node("Reshape", &["x", "same"], "t"), conv()]), [true, false]);
    assert_eq!(batched(vec![node("Reshape", &["x", "flat"], "t"), conv()]), [false, false]);
    assert_eq!(batched(vec![turn(&[0, 3, 1, 2]), node("Conv", &["t", "k"], "y")]), [true, false]);
    // Another dimension comes first, or nothing reads it as a batch.
    assert_eq!(batched(vec![turn(&[1, 0, 2, 3]), node("Conv", &["t", "k"], "y")]), [false, false]);
    assert_eq!(batched(vec![node("Unsqueeze", &["x"], "t"), node("Conv", &["t", "k"], "y")]), [false, false]);
    assert_eq!(batched(vec![node("MatMul", &["x", "k"], "y")]), [false, false]);
}

#[test]
fn what_an_lstm_reads_first_are_steps() {
    let first = |dims: &[&str], nodes: Vec<NodeProto>| {
        let graph = GraphProto {
            input: vec![info("x", DataType::Float, dims)],
            output: vec![info("y", DataType::Float, &[])],
            initializer: vec![weight("w", DataType::Float, &[1, 32, 16]), weight("r", DataType::Float, &[1, 32, 8])],
            node: nodes,
            ..GraphProto::default()
        };
        of_graph(graph).inputs[0].first_dimension
    };
    let lstm = |input: &str| node("LSTM", &[input, "w", "r"], "y");
    let layout = AttributeProto { name: "layout".to_owned(), i: Some(1), ..AttributeProto::default() };
    let order = AttributeProto { name: "perm".to_owned(), ints: vec![1, 0, 2], ..AttributeProto::default() };
    let steps = &["seq", "1", "16"];
    assert_eq!(first(steps, vec![lstm("x")]), Some(FirstDimension::Steps));
    assert_eq!(first(steps, vec![node("Tanh", &["x"], "t"), lstm("t")]), Some(FirstDimension::Steps));
    let batch_first = NodeProto { attribute: vec![layout], ..lstm("x") };
    assert_eq!(first(&["1", "seq", "16"], vec![batch_first]), Some(FirstDimension::Batch));
    let turned = NodeProto { attribute: vec![order], ..node("Transpose", &["x"], "t") };
    assert_eq!(first(&["1", "seq", "16"], vec![turned, lstm("t")]), None);
}

#[test]
fn a_tflite_graph_has_a_batch_where_an_operator_reads_one() {
    let dim = |size: &u64| if *size == 0 { Dimension::Open(None) } else { Dimension::Fixed(*size) };
    let first = |code: u32, from: &[u64], to: &[u64]| {
        let shapes: Vec<Vec<Dimension>> = [from, to].map(|sizes| sizes.iter().map(dim).collect()).to_vec();
        let operators = [
            batch::Reading { code, inputs: &[0], outputs: &[1], time_major: false },
            batch::Reading { code: 3, inputs: &[1, 7], outputs: &[2], time_major: false },
        ];
        let dims = |number: i32| {
            usize::try_from(number)
                .ok()
                .and_then(|number| shapes.get(number))
                .map_or(&[] as &[Dimension], Vec::as_slice)
        };
        batch::of_tflite(operators.into_iter(), &dims).contains_key(&0)
    };
    // TANH, LOGISTIC, EXP, LOG
    for code in [28, 14, 47, 73] {
        assert!(first(code, &[8, 4, 4, 3], &[8, 4, 4, 3]) && first(code, &[0, 4, 4, 3], &[0, 4, 4, 3]), "{code}");
    }
    // RESHAPE, TRANSPOSE
    assert!(first(22, &[8, 48], &[8, 4, 4, 3]) && !first(22, &[8, 48], &[1, 8, 16, 3]));
    assert!(first(39, &[8, 3, 4, 4], &[8, 4, 4, 3]) && !first(39, &[3, 4, 4, 8], &[8, 4, 4, 3]));
    assert!(!first(22, &[0, 48], &[1, 4, 4, 3]) && first(0, &[0, 4, 4, 3], &[1, 4, 4, 3]));
}

#[test]
fn a_tflite_sequence_has_its_steps_first_where_its_operator_says_so() {
    let first = |code: u32, from: &[u64], turned: &[u64], time_major: bool| {
        let shapes: Vec<Vec<Dimension>> =
            [from, turned].map(|sizes| sizes.iter().map(|size| Dimension::Fixed(*size)).collect()).to_vec();
        let operators = [
            batch::Reading { code: 39, inputs: &[0, 7], outputs: &[1], time_major: false },
            batch::Reading { code, inputs: &[1, 7], outputs: &[2], time_major },
        ];
        let dims = |number: i32| shapes.get(number as usize).map_or(&[] as &[Dimension], Vec::as_slice);
        let read = batch::of_tflite(operators.into_iter(), &dims);
        [0, 1].map(|tensor| read.get(&tensor).copied())
    };
    let (batch, steps) = (Some(FirstDimension::Batch), Some(FirstDimension::Steps));
    for code in [35, 44, 46, 52] {
        assert_eq!(first(code, &[5, 1, 16], &[5, 16, 1], true), [steps, steps], "{code}");
        assert_eq!(first(code, &[8, 5, 16], &[8, 16, 5], false), [batch, batch], "{code}");
        // Behind a transposition of both, nothing is said of the input.
        assert_eq!(first(code, &[1, 5, 16], &[5, 1, 16], true), [None, steps], "{code}");
    }
}

/// Files of one recurrent operator each, written by TensorFlow's schema: [5, 1, 2] with the steps first, [8, 5, 2] with
/// the batch first.
#[test]
fn a_tflite_file_tells_by_its_operators_options_what_comes_first() {
    let first = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/signature/samples").join(name);
        read(&path, "tflite").unwrap().unwrap().inputs[0].first_dimension
    };
    assert_eq!(first("lstm_time_major.tflite"), Some(FirstDimension::Steps));
    assert_eq!(first("lstm_batch_major.tflite"), Some(FirstDimension::Batch));
    assert_eq!(first("rnn_time_major.tflite"), Some(FirstDimension::Steps));
}

/// An engine names tensors to its caller: two of one name can't be told apart.
#[test]
fn a_tflite_file_with_two_inputs_or_outputs_of_one_name_is_refused() {
    for name in ["two_inputs_of_one_name.tflite", "two_outputs_of_one_name.tflite"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/signature/samples").join(name);
        let message = read(&path, "tflite").unwrap_err().to_string();
        assert!(message.contains("have one name"), "{name}: {message}");
    }
}
