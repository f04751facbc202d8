use std::fs;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::catalog::onnx::{
    AttributeProto, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue,
    ValueInfoProto,
};
use crate::catalog::{formats, networks};
use crate::domain::{DataFile, InputRange};

mod first;
mod nodes;

fn typed(name: &str, value: Option<TypeValue>) -> ValueInfoProto {
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value }) }
}

/// A tensor of the graph's edge; words are symbols, numbers sizes.
fn info(name: &str, element: DataType, dims: &[&str]) -> ValueInfoProto {
    let value = |word: &&str| match word.parse() {
        Ok(size) => DimensionValue::DimValue(size),
        Err(_) => DimensionValue::DimParam((*word).to_owned()),
    };
    let dim = dims.iter().map(|word| DimensionProto { value: Some(value(word)) }).collect();
    let tensor = TensorTypeProto { elem_type: element.into(), shape: Some(TensorShapeProto { dim }) };
    typed(name, Some(TypeValue::TensorType(tensor)))
}

fn weight(name: &str, element: DataType, dims: &[i64]) -> TensorProto {
    TensorProto { name: name.to_owned(), data_type: element.into(), dims: dims.to_vec(), ..TensorProto::default() }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto { int64_data: values.to_vec(), ..weight(name, DataType::Int64, &[values.len() as i64]) }
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn cast(input: &str, output: &str, to: DataType) -> NodeProto {
    let to = AttributeProto { name: "to".to_owned(), i: Some(i32::from(to).into()), ..AttributeProto::default() };
    NodeProto { attribute: vec![to], ..node("Cast", &[input], output) }
}

/// A file with that graph.
fn onnx_file(graph: GraphProto) -> tempfile::NamedTempFile {
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    let model = ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() };
    file(&model.encode_to_vec())
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

fn of_graph(graph: GraphProto) -> ModelSignature {
    read(onnx_file(graph).path(), "onnx").unwrap().unwrap()
}

fn words(tensors: &[TensorSignature]) -> Vec<String> {
    tensors.iter().map(ToString::to_string).collect()
}

#[test]
fn an_onnx_file_tells_its_inputs_and_outputs() {
    let sparse = SparseTensorProto { values: Some(weight("s", DataType::Float, &[2])), ..SparseTensorProto::default() };
    let shapeless = TensorTypeProto { elem_type: DataType::Float.into(), shape: None };
    let signature = of_graph(GraphProto {
        input: vec![
            info("x", DataType::Float, &["N", "3", "0", "-1"]),
            info("w", DataType::Float, &["3", "4"]),
            info("s", DataType::Float, &["5"]),
            info("ids", DataType::Int64, &["?", "None"]),
            info("sr", DataType::Int64, &[]),
            info("text", DataType::String, &["1"]),
            typed("list", Some(TypeValue::SequenceType(Default::default()))),
            typed("any", Some(TypeValue::TensorType(shapeless))),
        ],
        initializer: vec![weight("w", DataType::Float, &[3, 4])],
        sparse_initializer: vec![sparse],
        node: vec![
            NodeProto { domain: "com.microsoft".to_owned(), ..node("Gelu", &["x"], "y") },
            node("Cast", &["sr"], "z"),
        ],
        output: vec![info("y", DataType::Bfloat16, &["N", "3"]), info("z", DataType::Double, &[])],
        ..GraphProto::default()
    });
    assert_eq!(
        words(&signature.inputs),
        [
            "x f32 [N, 3, ?, ?]",
            "ids i64 [?, ?]",
            "sr i64 []",
            "text string [1]",
            "list sequence of any shape",
            "any f32 of any shape"
        ]
    );
    assert_eq!(words(&signature.outputs), ["y bf16 [N, 3]", "z f64 []"]);
    assert_eq!(signature.foreign_operators, ["com.microsoft.Gelu"]);
    assert!(signature.data_files.is_empty());
}

#[test]
fn a_graph_whose_edges_make_no_sense_is_no_network() {
    let refused = |graph: GraphProto| read(onnx_file(graph).path(), "onnx").unwrap_err().to_string();
    let float = |name: &str| info(name, DataType::Float, &["4"]);
    let graph = |input: &[&str], output: &[&str]| GraphProto {
        input: input.iter().map(|name| float(name)).collect(),
        output: output.iter().map(|name| float(name)).collect(),
        node: vec![node("Relu", &["x"], "y")],
        ..GraphProto::default()
    };
    assert!(refused(graph(&["x"], &[])).contains("its graph has no output"));
    assert!(refused(graph(&["x"], &["y", "q"])).contains("nothing in its graph makes its output \"q\""));
    assert!(refused(graph(&["x", "x"], &["y"])).contains("two inputs \"x\""));
    let weights = GraphProto { initializer: vec![weight("w", DataType::Float, &[4, -1])], ..graph(&["x"], &["y"]) };
    assert!(refused(weights).contains("\"w\" have a dimension below zero"));
    // An input may be handed on.
    assert_eq!(of_graph(graph(&["x"], &["y", "x"])).outputs.len(), 2);
}

/// A product of x and weights, after what is done to them.
fn product(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> GraphProto {
    GraphProto {
        input: vec![info("x", DataType::Float, &["N", "64"])],
        output: vec![info("y", DataType::Float, &["N", "64"])],
        node: nodes,
        initializer,
        ..GraphProto::default()
    }
}

fn arithmetic(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> (Option<Precision>, String) {
    let Arithmetic { precision, words, .. } = of_graph(product(nodes, initializer)).arithmetic;
    (precision, words)
}

#[test]
fn arithmetic_is_that_of_the_products() {
    let float = || vec![weight("w", DataType::Float, &[64, 64])];
    let scales = || vec![weight("s", DataType::Float, &[]), weight("z", DataType::Uint8, &[])];
    let bytes = |element| [vec![weight("w8", element, &[64, 64]), weight("zw", element, &[])], scales()].concat();
    let quantised = |input: &str, output: &str| {
        vec![node("QuantizeLinear", &[input, "s", "z"], "q"), node("DequantizeLinear", &["q", "s", "z"], output)]
    };
    let from_bytes = node("DequantizeLinear", &["w8", "s", "zw"], "wd");
    let turned = node("Transpose", &["wd"], "wt");
    let int8 = |words: &str| (Some(Precision::Int8), words.to_owned());
    let fp32 = |words: &str| (Some(Precision::Float32), words.to_owned());

    assert_eq!(arithmetic(vec![node("MatMul", &["x", "w"], "y")], float()), fp32("fp32"));
    let qdq = [quantised("x", "xd"), vec![from_bytes.clone(), turned, node("MatMul", &["xd", "wt"], "y")]].concat();
    assert_eq!(arithmetic(qdq, bytes(DataType::Int8)), int8("int8 (QDQ)"));
    // Weights alone in bytes: what is multiplied are floats.
    let weights_only = vec![from_bytes.clone(), node("MatMul", &["x", "wd"], "y")];
    assert_eq!(arithmetic(weights_only, bytes(DataType::Int8)), fp32("fp32"));
    let four_bits = [quantised("x", "xd"), vec![from_bytes.clone(), node("MatMul", &["xd", "wd"], "y")]].concat();
    assert_eq!(arithmetic(four_bits, bytes(DataType::Int16)), fp32("fp32"));
    let operators = ["q", "s", "z", "w8", "s", "zw", "s", "z"];
    let qlinear = vec![node("QuantizeLinear", &["x", "s", "z"], "q"), node("QLinearMatMul", &operators, "y")];
    assert_eq!(arithmetic(qlinear, bytes(DataType::Int8)), int8("int8 (QLinear operators)"));
    let half =
        vec![cast("x", "h", DataType::Float16), node("MatMul", &["h", "w"], "m"), cast("m", "y", DataType::Float)];
    let to_float = vec![node("DynamicQuantizeLinear", &["x"], "q"), node("MatMulIntegerToFloat", &["q", "w8"], "y")];
    assert_eq!(arithmetic(to_float, bytes(DataType::Int8)), int8("int8 (QLinear operators)"));
    let pooled = [quantised("x", "xd"), vec![from_bytes.clone(), node("MaxPool", &["xd"], "p")]].concat();
    let pooled = [pooled, vec![node("Conv", &["p", "wd"], "y")]].concat();
    assert_eq!(arithmetic(pooled, bytes(DataType::Int8)), int8("int8 (QDQ)"));
    let packed = |entries: &[(&str, i64)]| {
        let attribute = |(name, value): &(&str, i64)| AttributeProto {
            name: (*name).to_owned(),
            i: Some(*value),
            ..AttributeProto::default()
        };
        let attribute = entries.iter().map(attribute).collect();
        vec![NodeProto { attribute, ..node("MatMulNBits", &["x", "w8"], "y") }]
    };
    let few = &[("K", 64), ("N", 64), ("bits", 4)];
    assert_eq!(arithmetic(packed(few), bytes(DataType::Uint8)), fp32("fp32 (weights of 4 bits)"));
    let fast = [("K", 64), ("N", 64), ("bits", 8), ("accuracy_level", 4)];
    assert_eq!(arithmetic(packed(&fast), bytes(DataType::Uint8)), int8("int8 (weights of 8 bits)"));
    let weights = vec![weight("w", DataType::Float16, &[64, 64])];
    assert_eq!(arithmetic(half.clone(), weights.clone()), (Some(Precision::Float16), "fp16".to_owned()));
    // Most of the weights decide, and the rest is told.
    let more = [half, vec![node("MatMul", &["x", "v"], "z")]].concat();
    let weights = [weights, vec![weight("v", DataType::Float, &[64, 2])]].concat();
    assert_eq!(arithmetic(more, weights), (Some(Precision::Float16), "fp16, partly fp32".to_owned()));
    let double = vec![cast("x", "d", DataType::Double), node("MatMul", &["d", "w"], "y")];
    assert_eq!(arithmetic(double, vec![weight("w", DataType::Double, &[64, 64])]), (None, "fp64".to_owned()));
}

#[test]
fn without_products_floats_decide() {
    assert_eq!(arithmetic(vec![cast("x", "f", DataType::Float), node("Relu", &["f"], "y")], vec![]).1, "fp32");
    assert_eq!(arithmetic(vec![node("ArgMax", &["x"], "y")], vec![]).1, "fp32");
    assert_eq!(arithmetic(vec![node("Transpose", &["x"], "y")], vec![]).1, "fp32");
    let whole = GraphProto {
        input: vec![info("x", DataType::Int32, &["4"])],
        output: vec![info("y", DataType::Int32, &["4"])],
        node: vec![node("Neg", &["x"], "y")],
        ..GraphProto::default()
    };
    assert_eq!(
        of_graph(whole).arithmetic,
        Arithmetic { precision: None, words: "whole numbers".to_owned(), partly: Vec::new() }
    );
}

#[test]
fn what_a_branch_holds_counts() {
    let inner = GraphProto {
        node: vec![node("MatMul", &["h", "w"], "m")],
        initializer: vec![outside("w", "net.data", "0", "128")],
        ..GraphProto::default()
    };
    let branch = AttributeProto { name: "then_branch".to_owned(), g: Some(inner), ..AttributeProto::default() };
    let choice = NodeProto { attribute: vec![branch], ..node("If", &["c"], "y") };
    let signature = of_graph(product(vec![cast("x", "h", DataType::Float16), choice], Vec::new()));
    assert_eq!(signature.arithmetic.words, "fp16");
    assert_eq!(signature.data_files, [DataFile { location: "net.data".to_owned(), least_bytes: 128 }]);
}

/// Weights that lie in another file.
fn outside(name: &str, location: &str, offset: &str, length: &str) -> TensorProto {
    let entry = |(key, value): (&str, &str)| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let entries = [("location", location), ("offset", offset), ("length", length)].map(entry);
    TensorProto { data_location: 1, external_data: entries.to_vec(), ..weight(name, DataType::Float, &[64, 64]) }
}

#[test]
fn weights_in_other_files_are_named_once() {
    let weights = vec![
        outside("a", "x.data", "0", "16384"),
        outside("b", "./x.data", "16384", "16384"),
        outside("c", "../../etc/shadow", "", "-1"),
    ];
    let data_file = |location: &str, least_bytes| DataFile { location: location.to_owned(), least_bytes };
    let files = of_graph(product(vec![node("MatMul", &["x", "a"], "y")], weights)).data_files;
    // Without a length that can be one, the values take what their shape and type say.
    assert_eq!(files, [data_file("x.data", 32_768), data_file("../../etc/shadow", 16_384)]);
}

#[test]
fn the_files_that_farmctl_writes_are_what_it_says_of_them() {
    let network = networks::build("digits").unwrap();
    for formats::WrittenFile { format, precision, part, kind } in formats::written_files() {
        if !is_read(format) || part.is_some() {
            continue;
        }
        let mut content = Vec::new();
        formats::write(&network, kind, &mut content).unwrap();
        let layout = crate::domain::WeightsFile::usual_layout(format);
        let found = read(file(&content).path(), format).unwrap().unwrap();
        // Every engine runs the networks of ours: of their operators nothing has to be known.
        assert_eq!(found.operators.is_empty(), format != "onnx", "{format} {precision}");
        let found = ModelSignature { operators: Vec::new(), ir_version: None, ..found };
        let mut told = of_network(&network, precision, layout);
        if format == "tflite" {
            // The format has no names for what is open.
            told.inputs.iter_mut().chain(&mut told.outputs).flat_map(|it| &mut it.dims).for_each(|dims| {
                dims[0] = Dimension::Open(None);
            });
        }
        assert_eq!(found, told, "{format} {precision}");
    }
}

#[test]
fn multiply_adds_of_a_tflite_file_are_those_of_its_network() {
    let input = |shape: &[u64]| InputSpec {
        name: "input".to_owned(),
        element: ElementType::Float32,
        shape: shape.to_vec(),
        range: InputRange { low: 0.0, high: 1.0 },
        values: None,
    };
    for (name, side, channels, macs) in [("digits", 8, 1, 88_064), ("mobilenet_v2", 224, 3, 300_774_272)] {
        let mut content = Vec::new();
        formats::write(&networks::build(name).unwrap(), formats::FileKind::Tflite, &mut content).unwrap();
        let file = file(&content);
        assert_eq!(tflite_macs(file.path(), &[input(&[1, side, side, channels])]), Ok(Ok(macs)), "{name}");
        // The file has no shapes for four images.
        assert!(tflite_macs(file.path(), &[input(&[4, side, side, channels])]).unwrap().is_err());
    }
}

#[test]
fn what_is_no_model_is_said() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "it is nothing"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n", "a web page"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "gunzip"),
        (b"PK\x03\x04\x14\0\0\0\0\0", "a zip archive"),
        (b"{\"error\": \"Repository not found\"}", "JSON"),
    ];
    for (content, expected) in cases {
        for format in ["onnx", "tflite"] {
            let message = read(file(content).path(), format).unwrap_err().to_string();
            assert!(message.contains(expected), "{format}: {message}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let message = read(folder.path(), "tflite").unwrap_err().to_string();
    assert!(message.contains("it is no regular file"), "{message}");
    // Formats that are not known may be archives.
    let zip = file(b"PK\x03\x04\x14\0\0\0\0\0");
    assert_eq!(read(zip.path(), "ncnn").unwrap(), None);
    assert!(read(file(b"<html>").path(), "ncnn").is_err());
}

#[test]
fn torchscript_is_an_archive_with_a_network_in_it() {
    let archive = |member: &str| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let said = |content: &[u8]| read(file(content).path(), TORCHSCRIPT).map_err(|error| error.to_string());
    assert_eq!(said(&archive("net/data.pkl")), Ok(None));
    assert_eq!(said(b"\x18\0\0\0PTMF\0\0"), Ok(None));
    let cases: [(&[u8], &str); 6] = [
        (&archive("net/other"), "without a network in it"),
        (&archive("net/data.pkl")[..30], "a damaged archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "it is a gzip file, not the model itself: unpack it with `gunzip`"),
        (b"{\"error\": 1}", "it is JSON"),
        (b"\x08\x07\x12\x05", "it is no archive"),
        (b"words", "it is no archive"),
    ];
    for (content, expected) in cases {
        let message = said(content).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    // Of other formats' further files only text is told.
    assert!(part_fault(file(b"\x1f\x8b\x08").path(), "caffe2").unwrap().contains("a gzip file"));
    assert_eq!(part_fault(file(b"\x1f\x8b\x08").path(), "onnx"), None);
    let pointer = file(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    assert!(part_fault(pointer.path(), "onnx").unwrap().contains("git lfs pull"));
}

fn tflite() -> Vec<u8> {
    let mut content = Vec::new();
    formats::write(&networks::build("digits").unwrap(), formats::FileKind::TfliteInt8, &mut content).unwrap();
    content
}

#[test]
fn a_tflite_file_that_was_cut_is_said_to_be() {
    let whole = tflite();
    for length in [8, 100, 2000, whole.len() / 2, whole.len() - 1] {
        let message = read(file(&whole[..length]).path(), "tflite").unwrap_err().to_string();
        assert!(message.contains("cut off"), "{length}: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_end_in_an_error_or_an_answer(
        changes in prop::collection::vec((0..4000usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = tflite();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = read(file(&bytes).path(), "tflite");
    }
}
