//! People's own networks on the real runner: their shapes, types, outputs and files.
#![allow(clippy::unwrap_used, missing_docs)]

mod lab;

use farmctl_protocol::{
    ElementType, InputRange, InputSpec, Message, NamedArtifact, RemarkKind, RunRequest, RunnerFailureKind,
};
use lab::{FLOAT, Lab, QUICK, cast, model, node, value};
use prost::Message as _;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

/// Each element type with ONNX's number for it.
const TYPES: [(ElementType, DataType); 12] = [
    (ElementType::Bool, DataType::Bool),
    (ElementType::Int8, DataType::Int8),
    (ElementType::Int16, DataType::Int16),
    (ElementType::Int32, DataType::Int32),
    (ElementType::Int64, DataType::Int64),
    (ElementType::Uint8, DataType::Uint8),
    (ElementType::Uint16, DataType::Uint16),
    (ElementType::Uint32, DataType::Uint32),
    (ElementType::Uint64, DataType::Uint64),
    (ElementType::Float16, DataType::Float16),
    (ElementType::Float32, DataType::Float),
    (ElementType::Float64, DataType::Double),
];

fn input(name: &str, element: ElementType, shape: &[u64], high: f32) -> InputSpec {
    InputSpec {
        name: name.to_owned(),
        element,
        shape: shape.to_vec(),
        range: InputRange { low: 0.0, high },
        values: None,
    }
}

fn request(lab: &Lab, run_id: &str, network: &[u8], inputs: &[InputSpec]) -> RunRequest {
    let mut request = lab.request(run_id, QUICK);
    (request.job.model, request.job.inputs) = (lab.push(network), inputs.to_vec());
    request
}

/// What a run told of a network: its inputs and outputs in words, and the values of each output.
struct Answered {
    inputs: Vec<String>,
    outputs: Vec<String>,
    values: Vec<Vec<f32>>,
    remark: Option<String>,
}

fn told(lab: &Lab, request: &RunRequest) -> Answered {
    let (messages, code, stderr) = lab.start(request).finish();
    assert!(code == 0 && matches!(messages.last(), Some(Message::Finished { .. })), "{stderr} {messages:?}");
    let mut told = Answered { inputs: Vec::new(), outputs: Vec::new(), values: Vec::new(), remark: None };
    for message in messages {
        match message {
            Message::Loaded { inputs, .. } => told.inputs = inputs.iter().map(ToString::to_string).collect(),
            Message::FirstInference { outputs, .. } => told.outputs = outputs.iter().map(ToString::to_string).collect(),
            Message::Output(output) => told.values.push(output.values().unwrap()),
            Message::Remark(remark) => {
                assert_eq!(remark.remark, RemarkKind::OutputsLeftOut);
                told.remark = Some(remark.message);
            }
            _ => {}
        }
    }
    told
}

#[test]
fn a_first_dimension_that_the_file_fixes_is_no_batch() {
    let lab = Lab::new();
    let (nodes, out) = (vec![node("Relu", &["x"], "y")], value("y", FLOAT, &[3, 8]));
    let network = model(nodes, Vec::new(), vec![value("x", FLOAT, &[3, 8])], vec![out]);
    let right = told(&lab, &request(&lab, "right", &network, &[input("x", ElementType::Float32, &[3, 8], 1.0)]));
    assert_eq!((right.inputs[0].as_str(), right.values[0].len()), ("f32 [3, 8]", 24));
    let unsaid = told(&lab, &request(&lab, "unsaid", &network, &[]));
    assert_eq!(unsaid.inputs, ["f32 [3, 8]"]);
    let wrong = request(&lab, "wrong", &network, &[input("x", ElementType::Float32, &[1, 8], 1.0)]);
    let mut batch = request(&lab, "batch", &network, &[]);
    batch.job.batch = 4;
    for (request, part) in [(wrong, "the job says f32 [1, 8]"), (batch, "a batch of 4")] {
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, RunnerFailureKind::BackendUnsupported);
        assert!(failure.message.contains("x is f32 [3, 8] in the model's file"), "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

#[test]
fn open_heights_and_widths_are_what_the_job_says() {
    let lab = Lab::new();
    let (nodes, out) = (vec![node("GlobalAveragePool", &["x"], "y")], value("y", FLOAT, &[-1, 3, 1, 1]));
    let network = model(nodes, Vec::new(), vec![value("x", FLOAT, &[-1, 3, -1, -1])], vec![out]);
    let wide = input("x", ElementType::Float32, &[2, 3, 48, 192], 1.0);
    let told = told(&lab, &request(&lab, "wide", &network, &[wide]));
    assert_eq!((told.inputs[0].as_str(), told.outputs[0].as_str()), ("f32 [2, 3, 48, 192]", "f32 [2, 3, 1, 1]"));
    // The mean of as many values of [0, 1).
    assert!(told.values[0].iter().all(|value| (value - 0.5).abs() < 0.02), "{:?}", told.values);
    let failure = lab.start(&request(&lab, "unsaid", &network, &[])).failure();
    assert!(failure.message.contains("dimension 2 of input x is not fixed"), "{failure:?}");
}

#[test]
fn inputs_of_every_type_are_fed() {
    let lab = Lab::new();
    for (element, number) in TYPES {
        let nodes = vec![cast("x", FLOAT, "y")];
        let (from, to) = (value("x", number as i32, &[4, 50]), value("y", FLOAT, &[4, 50]));
        let network = model(nodes, Vec::new(), vec![from], vec![to]);
        let high = if element == ElementType::Bool { 2.0 } else { 100.0 };
        let spec = input("x", element, &[4, 50], high);
        let told = told(&lab, &request(&lab, &format!("in-{element}"), &network, &[spec]));
        assert_eq!(told.inputs, [format!("{element} [4, 50]")]);
        let values = &told.values[0];
        assert!(
            values.len() == 200 && values.iter().all(|value| (0.0..=high).contains(value)),
            "{element}: {values:?}"
        );
        assert!(values.iter().any(|value| *value >= high / 2.0), "{element}: {values:?}");
    }
}

#[test]
fn outputs_of_every_type_are_told() {
    let lab = Lab::new();
    for (element, number) in TYPES {
        let nodes = vec![cast("x", number as i32, "y")];
        let (from, to) = (value("x", FLOAT, &[30]), value("y", number as i32, &[30]));
        let network = model(nodes, Vec::new(), vec![from], vec![to]);
        let spec = input("x", ElementType::Float32, &[30], 100.0);
        let told = told(&lab, &request(&lab, &format!("out-{element}"), &network, &[spec]));
        assert_eq!(told.outputs, [format!("{element} [30]")]);
        let values = &told.values[0];
        let is_real = matches!(element, ElementType::Float16 | ElementType::Float32 | ElementType::Float64);
        let are_whole = values.iter().all(|value| value.fract() == 0.0);
        assert!(values.len() == 30 && are_whole != is_real, "{element}: {values:?}");
        assert!(values.iter().any(|value| *value != 0.0), "{element}: {values:?}");
    }
}

#[test]
fn several_inputs_have_ranges_and_shapes_of_their_own() {
    let lab = Lab::new();
    let long = DataType::Int64 as i32;
    let nodes =
        vec![cast("ids", FLOAT, "wide"), node("Add", &["wide", "state"], "sum"), node("Identity", &["mask"], "m")];
    let inputs = vec![value("state", FLOAT, &[1]), value("ids", long, &[-1, 16]), value("mask", FLOAT, &[])];
    let outputs = vec![value("sum", FLOAT, &[-1, 16]), value("m", FLOAT, &[])];
    let network = model(nodes, Vec::new(), inputs, outputs);
    let specs = [
        InputSpec {
            range: InputRange { low: 5000.0, high: 5001.0 },
            ..input("state", ElementType::Float32, &[1], 1.0)
        },
        input("ids", ElementType::Int64, &[2, 16], 1000.0),
        InputSpec { range: InputRange { low: -3.0, high: -2.0 }, ..input("mask", ElementType::Float32, &[], 1.0) },
    ];
    let told = told(&lab, &request(&lab, "several", &network, &specs));
    assert_eq!(told.inputs, ["f32 [1]", "i64 [2, 16]", "f32 []"]);
    assert!(told.values[0].len() == 32 && told.values[0].iter().all(|sum| (5000.0..6001.0).contains(sum)));
    assert!(told.values[1].len() == 1 && (-3.0..-2.0).contains(&told.values[1][0]), "{:?}", told.values);
}

#[test]
fn an_output_of_any_size_is_no_failure() {
    let lab = Lab::new();
    // How many values are not zero only an inference tells.
    let (nodes, out) = (vec![node("NonZero", &["x"], "y")], value("y", DataType::Int64 as i32, &[1, -1]));
    let network = model(nodes, Vec::new(), vec![value("x", FLOAT, &[40])], vec![out]);
    let spec = [input("x", ElementType::Float32, &[40], 1.0)];
    let dynamic = told(&lab, &request(&lab, "dynamic", &network, &spec));
    assert_eq!((dynamic.outputs[0].as_str(), dynamic.values[0].len()), ("i64 [1, 40]", 40));

    let shape = pb::TensorProto {
        name: "shape".to_owned(),
        dims: vec![2],
        data_type: DataType::Int64 as i32,
        int64_data: vec![17 << 10, 1 << 10],
        ..Default::default()
    };
    let nodes = vec![node("Expand", &["x", "shape"], "wide"), node("Relu", &["x"], "small")];
    let outputs = vec![value("wide", FLOAT, &[17 << 10, 1 << 10]), value("small", FLOAT, &[1])];
    let network = model(nodes, vec![shape], vec![value("x", FLOAT, &[1])], outputs);
    let wide = told(&lab, &request(&lab, "wide", &network, &[input("x", ElementType::Float32, &[1], 1.0)]));
    assert_eq!((wide.outputs.len(), wide.values.len(), wide.values[0].len()), (2, 1, 1));
    let remark = wide.remark.unwrap();
    assert!(remark.contains("wide (f32 [17408, 1024]) is too large"), "{remark}");
}

#[test]
fn weights_in_other_files_are_found_beside_the_model() {
    let lab = Lab::new();
    let entry = |key: &str, value: &str| pb::StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let weights = pb::TensorProto {
        name: "weights".to_owned(),
        dims: vec![4],
        data_type: FLOAT,
        external_data: vec![entry("location", "deep/weights.bin"), entry("offset", "0"), entry("length", "16")],
        data_location: Some(pb::tensor_proto::DataLocation::External as i32),
        ..Default::default()
    };
    let nodes = vec![node("Add", &["x", "weights"], "y")];
    let network = model(nodes, vec![weights], vec![value("x", FLOAT, &[4])], vec![value("y", FLOAT, &[4])]);
    let bytes: Vec<u8> = [10.0f32, 20.0, 30.0, 40.0].iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let mut request = request(&lab, "external", &network, &[input("x", ElementType::Float32, &[4], 1.0)]);
    request.job.model_parts = vec![NamedArtifact { name: "deep/weights.bin".to_owned(), artifact: lab.push(&bytes) }];
    let sums = told(&lab, &request).values.remove(0);
    assert!(sums.iter().zip([10.0, 20.0, 30.0, 40.0]).all(|(sum, weight)| (0.0..1.0).contains(&(sum - weight))));
    (request.run_id, request.job.model_parts) = ("alone".to_owned(), Vec::new());
    assert_eq!(lab.start(&request).failure().failure, RunnerFailureKind::ModelLoad);
}

#[test]
fn an_engine_that_panics_says_its_own_line() {
    let lab = Lab::new();
    let table = pb::TensorProto {
        name: "table".to_owned(),
        dims: vec![4, 3],
        data_type: FLOAT,
        float_data: vec![1.0; 12],
        ..Default::default()
    };
    let ids = value("ids", DataType::Int64 as i32, &[2]);
    let network =
        model(vec![node("Gather", &["table", "ids"], "y")], vec![table], vec![ids], vec![value("y", FLOAT, &[2, 3])]);
    // Words that the table has not.
    let range = InputRange { low: 1000.0, high: 1001.0 };
    let spec = InputSpec { range, ..input("ids", ElementType::Int64, &[2], 1.0) };
    let failure = lab.start(&request(&lab, "panic", &network, &[spec])).failure();
    assert_eq!(failure.failure, RunnerFailureKind::Inference, "{failure:?}");
    assert!(failure.message.contains("failed to infer: the engine panicked at "), "{failure:?}");
    assert!(failure.message.contains("range start index 3000"), "{failure:?}");
}

/// The host skips such files for tract when it plans: the answer would be another network's.
#[test]
fn tract_lays_the_second_input_of_an_old_operator_along_the_last_dimensions() {
    let lab = Lab::new();
    let number = |name: &str, value: i64| pb::AttributeProto {
        name: name.to_owned(),
        r#type: pb::attribute_proto::AttributeType::Int as i32,
        i: value,
        ..Default::default()
    };
    let attribute = vec![number("axis", 1), number("broadcast", 1)];
    let nodes = vec![pb::NodeProto { attribute, ..node("Add", &["x", "w"], "y") }];
    let weights = pb::TensorProto {
        name: "w".to_owned(),
        dims: vec![2],
        data_type: FLOAT,
        float_data: vec![10.0, 20.0],
        ..Default::default()
    };
    let square = |name: &str| value(name, FLOAT, &[1, 2, 2]);
    let network = model(nodes, vec![weights], vec![square("x")], vec![square("y")]);
    let mut old = pb::ModelProto::decode(network.as_slice()).unwrap();
    old.opset_import[0].version = 6;
    let spec = input("x", ElementType::Float32, &[1, 2, 2], 1.0);
    let sums = told(&lab, &request(&lab, "old", &old.encode_to_vec(), &[spec])).values.remove(0);
    // Channel by channel these were 10, 10, 20 and 20.
    let added: Vec<f32> = sums.iter().map(|sum| (sum / 10.0).floor() * 10.0).collect();
    assert_eq!(added, [10.0, 20.0, 10.0, 20.0]);
}

/// The host skips such files for tract when it plans.
#[test]
fn tract_refuses_a_shape_that_comes_in_as_values() {
    let lab = Lab::new();
    for op in ["Expand", "Reshape", "Tile"] {
        let inputs = vec![value("x", FLOAT, &[1, 3, 1]), value("sizes", DataType::Int64 as i32, &[3])];
        let nodes = vec![node(op, &["x", "sizes"], "y")];
        let network = model(nodes, Vec::new(), inputs, vec![value("y", FLOAT, &[-1, -1, -1])]);
        let specs = [input("x", ElementType::Float32, &[1, 3, 1], 1.0), input("sizes", ElementType::Int64, &[3], 2.0)];
        let failure = lab.start(&request(&lab, op, &network, &specs)).failure();
        assert_eq!(failure.failure, RunnerFailureKind::ModelLoad, "{op}: {failure:?}");
    }
}

/// The host skips files with other operators when it plans, without asking any device.
#[test]
fn the_host_knows_which_operators_tract_has() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../orchestrator/src/planner/tract_operators.txt");
    let mut names: Vec<String> = tract_onnx::onnx().op_register.0.into_keys().collect();
    names.sort();
    let text = names.join("\n") + "\n";
    if std::env::var("SNAPSHOTS").is_ok_and(|word| word == "overwrite") {
        std::fs::write(path, &text).unwrap();
    }
    let listed = std::fs::read_to_string(path).unwrap();
    assert!(listed == text, "{path} is not what tract has: write it anew with SNAPSHOTS=overwrite");
}
