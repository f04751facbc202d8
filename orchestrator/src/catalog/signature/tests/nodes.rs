//! Which nodes a file has, and in which order.

use super::*;
use crate::catalog::onnx::FunctionProto;
use crate::domain::FirstDimension;

#[test]
fn nodes_in_a_circle_are_no_network_and_nodes_out_of_order_are_one() {
    let graph = |node: Vec<NodeProto>| GraphProto {
        input: vec![info("x", DataType::Float, &["N", "4", "8", "8"])],
        output: vec![info("y", DataType::Float, &[])],
        initializer: vec![weight("w", DataType::Float, &[4, 4, 1, 1])],
        node,
        ..GraphProto::default()
    };
    let circle = graph(vec![node("Add", &["x", "b"], "a"), node("Relu", &["a"], "b"), node("Relu", &["b"], "y")]);
    let refused = read(onnx_file(circle).path(), "onnx").unwrap_err().to_string();
    assert!(
        refused.contains("computed: node \"a\" (Add), node \"b\" (Relu) read from each other in a circle"),
        "{refused}"
    );
    // A convolution tells the batch, through what stands behind it in the file.
    let turned = graph(vec![node("Conv", &["r", "w"], "y"), node("Relu", &["x"], "r")]);
    assert_eq!(of_graph(turned).inputs[0].first_dimension, Some(FirstDimension::Batch));
}

#[test]
fn operators_are_those_that_outputs_need() {
    let inner = |op: &str| {
        let graph = GraphProto {
            node: vec![node(op, &["outer"], "i")],
            output: vec![info("i", DataType::Float, &[])],
            ..GraphProto::default()
        };
        vec![AttributeProto { name: "body".to_owned(), g: Some(graph), ..AttributeProto::default() }]
    };
    let function = FunctionProto {
        name: "Layer".to_owned(),
        domain: "own".to_owned(),
        input: vec!["a".to_owned()],
        output: vec!["b".to_owned()],
        node: vec![node("Relu", &["a"], "b")],
        ..FunctionProto::default()
    };
    let graph = GraphProto {
        input: vec![info("x", DataType::Float, &["4"])],
        node: vec![
            node("Gradient", &["x"], "nobody_reads_it"),
            node("Exp", &["x"], "outer"),
            NodeProto { domain: "own".to_owned(), ..node("Layer", &["x"], "l") },
            NodeProto { attribute: inner("Sin"), ..node("Scan", &["l"], "s") },
            // One branch of it may never be taken.
            NodeProto { attribute: inner("Cos"), ..node("If", &["s"], "y") },
        ],
        output: vec![info("y", DataType::Float, &[])],
        ..GraphProto::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
    let opset_import = vec![opset("", 17), opset("own", 2)];
    let functions = vec![function];
    let model = ModelProto { opset_import, graph: Some(graph), functions, ..ModelProto::default() };
    let signature = read(file(&model.encode_to_vec()).path(), "onnx").unwrap().unwrap();
    let told: Vec<String> =
        signature.operators.iter().map(|it| format!("{it}{}", if it.is_defined { " defined" } else { "" })).collect();
    let standard = ["Exp", "If"].map(|name| format!("{name} (ai.onnx, opset 17)"));
    let rest = ["Scan", "Sin"].map(|name| format!("{name} (ai.onnx, opset 17)"));
    assert_eq!(told, [&standard[..], &["Layer (own, opset 2) defined".to_owned()], &rest].concat());
    // What stays when the function is written out.
    assert_eq!(signature.foreign_operators, [""; 0]);
}

#[test]
fn what_goes_into_operators_is_told_as_far_as_the_file_has_it() {
    let inner = GraphProto {
        node: vec![node("Relu", &["held"], "i")],
        initializer: vec![weight("held", DataType::Double, &[2])],
        output: vec![info("i", DataType::Double, &["2"])],
        ..GraphProto::default()
    };
    let body = AttributeProto { name: "body".to_owned(), g: Some(inner), ..AttributeProto::default() };
    let graph = GraphProto {
        input: vec![info("x", DataType::Uint8, &["4"]), info("sizes", DataType::Int64, &["1"])],
        initializer: vec![weight("w", DataType::Float16, &[4])],
        node: vec![
            node("Expand", &["x", "sizes"], "wide"),
            cast("wide", "whole", DataType::Int32),
            node("Add", &["whole", "whole"], "sum"),
            node("Add", &["w", "w"], "half"),
            node("Own", &["half"], "unknown"),
            node("Mul", &["unknown", "sum"], "product"),
            NodeProto { attribute: vec![body], ..node("Loop", &["product"], "y") },
        ],
        output: vec![info("y", DataType::Float, &[]), info("product", DataType::Undefined, &[])],
        ..GraphProto::default()
    };
    let signature = of_graph(graph);
    assert_eq!(signature.ir_version, Some(8));
    let told = |it: &crate::domain::Operator| {
        let elements: Vec<&str> = it.elements.iter().map(|element| element.as_str()).collect();
        let special = if it.peculiarities.is_empty() { "" } else { " shape" };
        format!("{}: {}{special}", it.name, elements.join(" "))
    };
    assert_eq!(
        signature.operators.iter().map(told).collect::<Vec<_>>(),
        ["Add: i32 f16", "Cast: u8", "Expand: u8 shape", "Loop: ", "Mul: ", "Own: f16", "Relu: f64"]
    );
}
