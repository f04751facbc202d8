//! ONNX files, written on the spot.

use farmctl::catalog::onnx::{
    AttributeProto, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};
use prost::Message;

/// An input or output; words are symbols, numbers sizes.
pub fn info(name: &str, element: DataType, dims: &[&str]) -> ValueInfoProto {
    let value = |word: &&str| match word.parse() {
        Ok(size) => DimensionValue::DimValue(size),
        Err(_) => DimensionValue::DimParam((*word).to_owned()),
    };
    let dim = dims.iter().map(|word| DimensionProto { value: Some(value(word)) }).collect();
    let tensor = TensorTypeProto { elem_type: element.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}

pub fn floats(name: &str, dims: &[&str]) -> ValueInfoProto {
    info(name, DataType::Float, dims)
}

pub fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// Weights of ones.
pub fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    let raw_data = 1f32.to_le_bytes().repeat(count).into();
    let (name, data_type) = (name.to_owned(), DataType::Float.into());
    TensorProto { name, data_type, dims: dims.to_vec(), raw_data, ..TensorProto::default() }
}

pub fn model(
    inputs: Vec<ValueInfoProto>,
    output: ValueInfoProto,
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
) -> Vec<u8> {
    let graph = GraphProto {
        name: "g".to_owned(),
        input: inputs,
        output: vec![output],
        node,
        initializer,
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
}

/// A 3×3 convolution of 3 to 8 channels.
pub fn convolution(dims: &[&str]) -> Vec<u8> {
    let pads = AttributeProto { name: "pads".to_owned(), ints: vec![1; 4], r#type: 7, ..AttributeProto::default() };
    let conv = NodeProto { attribute: vec![pads], ..node("Conv", &["x", "k"], "y") };
    let output = floats("y", &[dims[0], "8", dims[2], dims[3]]);
    model(vec![floats("x", dims)], output, vec![conv], vec![weights("k", &[8, 3, 3, 3])])
}

/// A network of one operator with these attributes, whose input is `x` and output `y`.
pub fn one_operator(
    input: ValueInfoProto,
    output: ValueInfoProto,
    op: &str,
    attribute: Vec<AttributeProto>,
) -> Vec<u8> {
    model(vec![input], output, vec![NodeProto { attribute, ..node(op, &["x"], "y") }], Vec::new())
}

pub fn number(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), r#type: 2, ..AttributeProto::default() }
}

/// A network that converts numbers of a type to another.
pub fn cast(from: DataType, to: DataType) -> Vec<u8> {
    let (input, output) = (info("x", from, &["1", "4"]), info("y", to, &["1", "4"]));
    one_operator(input, output, "Cast", vec![number("to", i32::from(to).into())])
}

/// A network whose output is too large to be kept.
pub fn large() -> Vec<u8> {
    model(
        vec![floats("x", &["1", "17", "1", "1"])],
        floats("y", &["1", "17", "1024", "1024"]),
        vec![node("Expand", &["x", "s"], "y")],
        vec![TensorProto {
            name: "s".to_owned(),
            data_type: DataType::Int64.into(),
            dims: vec![4],
            int64_data: vec![1, 17, 1024, 1024],
            ..TensorProto::default()
        }],
    )
}
