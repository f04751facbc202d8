use proptest::prelude::*;

use super::*;
use crate::catalog::onnx::{
    AttributeProto, DimensionProto, OperatorSetIdProto, SparseTensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
};
use crate::catalog::{formats, networks, published_network};

mod operators;
mod shapes;

/// Name; convolutions; parameters in the file, as published; multiply-adds; the same in millions, as published.
/// EfficientNet-Lite0's publishers say 407 M; 385 M is what the graph of their weights takes.
const EXPECTED: [(&str, u64, u64, u64, u64, u64); 14] = [
    ("resnet50", 53, 25_530_472, 25_557_032, 4_089_184_256, 4089),
    ("inception_v3", 94, 23_817_352, 23_834_568, 5_713_216_096, 5713),
    ("densenet121", 120, 8_042_792, 7_978_856, 2_834_161_664, 2834),
    ("squeezenet1_0", 26, 1_248_424, 1_248_424, 818_924_576, 819),
    ("mobilenet_v2", 52, 3_487_816, 3_504_872, 300_774_272, 301),
    ("mnasnet1_0", 52, 4_364_352, 4_383_312, 314_415_872, 314),
    ("alexnet", 5, 61_100_840, 61_100_840, 714_188_480, 714),
    ("vgg16", 13, 138_357_544, 138_357_544, 15_470_264_320, 15_470),
    ("googlenet", 57, 6_617_624, 6_624_904, 1_498_376_192, 1498),
    ("resnet18", 20, 11_684_712, 11_689_512, 1_814_073_344, 1814),
    ("shufflenet_v2_x1_0", 56, 2_270_514, 2_278_604, 144_907_992, 145),
    ("mobilenet_v3_large", 62, 5_470_832, 5_483_032, 216_589_760, 217),
    ("efficientnet_lite0", 49, 4_631_000, 4_652_008, 385_187_552, 385),
    ("digits", 2, 9_930, 9_930, 88_064, 0),
];

#[test]
fn the_networks_cost_what_was_published() {
    for (name, convolutions, params, published_params, macs, published_millions) in EXPECTED {
        let network = networks::build(name).unwrap();
        let summary = analyse(&formats::outline(&network), &[]).unwrap();
        assert_eq!(summary.not_understood, Vec::<String>::new(), "{name}");
        assert_eq!(summary.ops["Conv"], convolutions, "{name}");
        assert_eq!(summary.params, params, "{name}");
        assert_eq!(network.published_params(), published_params, "{name}");
        assert_eq!(summary.macs(), macs, "{name}");
        assert_eq!((summary.macs() + 500_000) / 1_000_000, published_millions, "{name}");
        let classes = if name == "digits" { 10 } else { 1000 };
        assert_eq!(summary.outputs[0].shape, Some(vec![1, classes]), "{name}");
    }
    assert_eq!(networks::names().count(), EXPECTED.len());
}

/// What is published of a network is of this very network.
#[test]
fn the_published_figures_are_of_these_networks() {
    for (name, _, _, published_params, macs, _) in EXPECTED.into_iter().filter(|(name, ..)| *name != "digits") {
        let published = published_network(name).unwrap();
        let millions = |macs: u64| (macs + 500_000) / 1_000_000;
        match name {
            "inception_v3" => assert!(published.params > Some(published_params), "the auxiliary head, below"),
            "efficientnet_lite0" => assert_eq!((published.params, published.macs), (Some(4_700_000), 407_000_000)),
            _ => assert_eq!(
                (published.params, published.macs / 1_000_000),
                (Some(published_params), millions(macs)),
                "{name}"
            ),
        }
    }
}

#[test]
fn inception_lacks_only_the_auxiliary_head_of_the_published_count() {
    // Two convolutions with their batch normalisation, and a fully connected layer.
    let head = (768 * 128 + 2 * 128) + (128 * 768 * 5 * 5 + 2 * 768) + (768 * 1000 + 1000);
    assert_eq!(networks::build("inception_v3").unwrap().published_params() + head, 27_161_264);
}

/// Names with integers.
type Attributes<'a> = &'a [(&'a str, &'a [i64])];

/// An attribute of integers; one integer is written as one.
fn attribute(name: &str, values: &[i64]) -> AttributeProto {
    let single = matches!(name, "group" | "axis" | "transA" | "transB" | "keepdims" | "ceil_mode");
    let values = if single { (values.first().copied(), Vec::new()) } else { (None, values.to_vec()) };
    AttributeProto { name: name.to_owned(), i: values.0, ints: values.1, ..AttributeProto::default() }
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: Attributes<'_>) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        name: format!("the {op}"),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attributes.iter().map(|(name, values)| attribute(name, values)).collect(),
        ..NodeProto::default()
    }
}

/// A tensor's name and shape; 0 is an open dimension.
fn info(name: &str, shape: &[i64]) -> ValueInfoProto {
    let size = |&size: &i64| match size {
        0 => DimensionValue::DimParam("open".to_owned()),
        size => DimensionValue::DimValue(size),
    };
    let dim = shape.iter().map(|dim| DimensionProto { value: Some(size(dim)) }).collect();
    let tensor = TensorTypeProto { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}

fn weight(name: &str, shape: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.to_vec(),
        data_type: DataType::Float.into(),
        ..TensorProto::default()
    }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64.into(),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn model(input: &[i64], initializer: Vec<TensorProto>, node: Vec<NodeProto>) -> ModelProto {
    let graph = GraphProto {
        input: vec![info("x", input)],
        output: vec![ValueInfoProto { name: "y".to_owned(), r#type: None }],
        initializer,
        node,
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    ModelProto { graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() }
}

/// Shape of the output and multiply-adds of a model that is understood.
fn cost(model: &ModelProto) -> (Vec<u64>, u64) {
    let summary = analyse(model, &[]).unwrap();
    assert_eq!(summary.not_understood, Vec::<String>::new());
    (summary.outputs[0].shape.clone().unwrap(), summary.macs())
}

#[test]
fn a_tensor_that_engines_can_not_count_is_found() {
    let large = |weights: Vec<TensorProto>, nodes: Vec<NodeProto>| too_large(&model(&[1, 8], weights, nodes), &[]);
    let edge = 1_i64 << 32;
    let tile = |times: i64| large(vec![integers("times", &[1, times])], vec![node("Tile", &["x", "times"], "y", &[])]);
    assert_eq!(tile(edge / 8 - 1), None);
    assert!(tile(edge / 8).unwrap().what.contains("\"y\" has the shape [1, 4294967296]"));
    // More than 64 bits count, behind what is at odds, and as the file itself has it.
    let twice = vec![
        node("Tile", &["x", "times"], "t", &[]),
        node("Transpose", &["t"], "u", &[("perm", &[1, 0])]),
        node("MatMul", &["u", "t"], "y", &[]),
    ];
    assert!(
        large(vec![integers("times", &[1, edge / 16])], twice.clone())
            .unwrap()
            .consequence()
            .contains("it can't be measured")
    );
    let odd = vec![weight("w", &[edge, edge])];
    assert!(large(odd, vec![node("MatMul", &["x", "w"], "y", &[])]).unwrap().what.contains("\"w\" has the shape"));
    let mut declared = model(&[1, 8], Vec::new(), vec![node("Relu", &["x"], "y", &[])]);
    declared.graph.as_mut().unwrap().output = vec![info("y", &[0, edge + 8])];
    assert!(too_large(&declared, &[]).unwrap().what.contains("\"y\" has the shape [4294967304]"));
    // What is open counts by the inputs that are measured.
    let mut open =
        model(&[0, 8], vec![integers("times", &[1, 1 << 20])], vec![node("Tile", &["x", "times"], "y", &[])]);
    assert_eq!(too_large(&open, &[("x", &[1, 8])]), None);
    assert!(too_large(&open, &[("x", &[512, 8])]).is_some());
    open.graph = None;
    assert_eq!(too_large(&open, &[]), None);
}

#[test]
fn a_branch_that_a_condition_in_the_file_rules_out_is_not_looked_into() {
    let branch = |name: &str, size: i64| {
        let body = GraphProto { initializer: vec![weight("w", &[size])], ..GraphProto::default() };
        AttributeProto { name: name.to_owned(), g: Some(body), ..AttributeProto::default() }
    };
    let truth = |byte: u8, name: &str| TensorProto {
        name: name.to_owned(),
        data_type: DataType::Bool.into(),
        raw_data: vec![byte].into(),
        ..TensorProto::default()
    };
    // The branch for true is small, the other one larger than engines count.
    let chosen = || NodeProto {
        attribute: vec![branch("then_branch", 8), branch("else_branch", 1 << 32)],
        ..node("If", &["c"], "y", &[])
    };
    let with_weight = |byte| too_large(&model(&[1, 8], vec![truth(byte, "c")], vec![chosen()]), &[]);
    assert_eq!(with_weight(1), None);
    assert!(with_weight(0).is_some());
    let constant = |byte| {
        let value = AttributeProto { name: "value".to_owned(), t: Some(truth(byte, "")), ..AttributeProto::default() };
        NodeProto { attribute: vec![value], ..node("Constant", &[], "c", &[]) }
    };
    let with_constant = |byte| too_large(&model(&[1, 8], Vec::new(), vec![constant(byte), chosen()]), &[]);
    assert!(with_constant(1).is_none() && with_constant(0).is_some());
    // From around it, and where it is only known when it runs.
    let around = |nodes: Vec<NodeProto>| {
        let inner = GraphProto { node: vec![chosen()], ..GraphProto::default() };
        too_large(&model(&[1, 8], Vec::new(), [nodes, vec![with_body("Loop", &["x"], inner)]].concat()), &[])
    };
    assert!(around(vec![constant(1)]).is_none() && around(vec![constant(0)]).is_some());
    let doubtful = around(vec![node("IsNaN", &["x"], "c", &[])]).unwrap();
    assert!(!doubtful.is_certain && doubtful.consequence().contains("a computed condition may take"), "{doubtful:?}");
    // What follows from shapes is known: x is [1, 8].
    let compared = |op: &str, with: i64| {
        let nodes = vec![
            node("Shape", &["x"], "shape", &[]),
            node("Gather", &["shape", "last"], "size", &[]),
            node(op, &["size", "limit"], "is_so", &[]),
            node("Not", &["is_so"], "c", &[]),
            chosen(),
        ];
        too_large(&model(&[1, 8], vec![integers("last", &[1]), integers("limit", &[with])], nodes), &[])
    };
    assert!(compared("Equal", 8).unwrap().is_certain && compared("Greater", 7).unwrap().is_certain);
    assert!(compared("Equal", 9).is_none() && compared("LessOrEqual", 7).is_none());
    // A condition that hangs on itself in many ways ends.
    let both = |index: usize| {
        node("And", &[&format!("a{}", index + 1), &format!("a{}", index + 1)], &format!("a{index}"), &[])
    };
    let nodes = (0..60).map(both).chain([node("Identity", &["a0"], "c", &[])]).collect();
    assert!(!around(nodes).unwrap().is_certain);
}

/// An operator with a graph inside: a branch, or the body of a loop.
fn with_body(op: &str, inputs: &[&str], body: GraphProto) -> NodeProto {
    let attribute = AttributeProto { name: "body".to_owned(), g: Some(body), ..AttributeProto::default() };
    NodeProto { attribute: vec![attribute], ..node(op, inputs, "y", &[]) }
}

#[test]
fn a_tensor_that_engines_can_not_count_is_found_inside_of_loops_and_branches() {
    let body = |weights: Vec<TensorProto>, nodes: Vec<NodeProto>| model(&[1, 8], weights, nodes).graph.unwrap();
    let large = |body: GraphProto| too_large(&model(&[1, 8], Vec::new(), vec![with_body("If", &["x"], body)]), &[]);
    let edge = 1_i64 << 32;
    assert_eq!(large(body(vec![weight("w", &[8, 8])], vec![node("MatMul", &["x", "w"], "z", &[])])), None);
    let stated = large(body(vec![weight("w", &[edge])], Vec::new())).unwrap();
    assert!(stated.what.contains("\"w\" has the shape [4294967296]"), "{stated:?}");
    // What is read from around it, over two of them.
    let tile = |times: i64| {
        let inner = GraphProto { node: vec![node("Tile", &["around", "times"], "z", &[])], ..GraphProto::default() };
        let nodes = vec![with_body("Loop", &["x"], inner)];
        let inner =
            GraphProto { initializer: vec![integers("times", &[1, times])], node: nodes, ..GraphProto::default() };
        let nodes = vec![node("Relu", &["x"], "around", &[]), with_body("If", &["x"], inner)];
        too_large(&model(&[1, 8], Vec::new(), nodes), &[])
    };
    assert_eq!(tile(edge / 8 - 1), None);
    assert!(tile(edge / 8).unwrap().what.contains("\"z\" has the shape [1, 4294967296]"));
    // Few numbers of many.
    let sparse =
        SparseTensorProto { values: Some(weight("s", &[3])), dims: vec![edge, 2], ..SparseTensorProto::default() };
    let sparse = GraphProto { sparse_initializer: vec![sparse], ..GraphProto::default() };
    assert!(large(sparse).unwrap().what.contains("\"s\" has the shape [4294967296, 2]"));
    // However deep they are nested, it ends.
    let nest = |depth: usize| {
        let innermost = body(vec![weight("w", &[edge])], Vec::new());
        (0..depth).fold(innermost, |inner, _| body(Vec::new(), vec![with_body("If", &["x"], inner)]))
    };
    assert!(large(nest(20)).is_some());
    assert_eq!(large(nest(90)), None);
}

/// What one operator makes of `x` of a shape and a weight `w` of another.
fn one(op: &str, attributes: Attributes<'_>, input: &[i64], second: &[i64]) -> (Vec<u64>, u64) {
    cost(&model(input, vec![weight("w", second)], vec![node(op, &["x", "w"], "y", attributes)]))
}

/// What one operator makes of `x` and integers.
fn one_with(op: &str, attributes: Attributes<'_>, input: &[i64], lists: &[&[i64]]) -> Vec<u64> {
    let names = ["a", "b", "c", "d"];
    let constants = lists.iter().zip(names).map(|(values, name)| integers(name, values)).collect();
    let inputs: Vec<&str> = std::iter::once("x").chain(names.into_iter().take(lists.len())).collect();
    cost(&model(input, constants, vec![node(op, &inputs, "y", attributes)])).0
}

/// Sizes, axes and counts of any size, with those that are nearly right.
fn hostile_numbers(most: usize) -> impl Strategy<Value = Vec<i64>> {
    let edges = vec![i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 31, 1 << 32, 1 << 62, i64::MAX];
    let number = prop_oneof![3 => -3i64..9, 1 => prop::sample::select(edges), 1 => any::<i64>()];
    prop::collection::vec(number, 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A graph that is well-formed protobuf and senseless otherwise: any operators on any shapes with any attributes.
    #[test]
    fn hostile_graphs_end_in_an_error_or_an_answer(
        ops in prop::collection::vec(prop::sample::select(vec![
            "Abs", "Add", "Where", "Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "Gemm", "MatMul",
            "QLinearMatMul", "AveragePool", "MaxPool", "GlobalMaxPool", "ReduceMean", "Concat", "Flatten", "Reshape",
            "Transpose", "Squeeze", "Unsqueeze", "Split", "Gather", "Shape", "Slice", "Resize", "Pad", "Constant",
            "ConstantOfShape", "Expand", "Tile", "Unknown",
        ]), 1..4),
        shapes in (hostile_numbers(6), hostile_numbers(6)),
        lists in (hostile_numbers(5), hostile_numbers(5)),
        attributes in prop::collection::vec((prop::sample::select(vec![
            "group", "axis", "axes", "transA", "transB", "keepdims", "ceil_mode", "kernel_shape", "strides", "pads",
            "dilations", "output_padding", "perm", "split", "num_outputs", "starts", "ends", "shape", "value_ints",
        ]), hostile_numbers(9)), 0..5),
    ) {
        let attributes: Vec<(&str, &[i64])> =
            attributes.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        let name = |at| if at == 0 { "x".to_owned() } else { format!("x{at}") };
        let names: Vec<String> = (0..=ops.len()).map(name).collect();
        let node = |(at, op): (usize, &&str)| node(op, &[&names[at], "w", "i", "j"], &names[at + 1], &attributes);
        let nodes = ops.iter().enumerate().map(node);
        let constants = vec![weight("w", &shapes.1), integers("i", &lists.0), integers("j", &lists.1)];
        let mut hostile = model(&shapes.0, constants, nodes.collect());
        if let Some(graph) = &mut hostile.graph {
            graph.output[0].name = names[ops.len()].clone();
        }
        if let Ok(summary) = analyse(&hostile, &[]) {
            let _ = (summary.macs(), summary.is_complete());
        }
    }
}
