//! People's own networks: what a plan says of their files, and what is measured of them.

use std::path::Path;

use farmctl::catalog::onnx::{
    AttributeProto, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};
use prost::Message;

use super::support::{Lab, QUICK, farm, local_device};

/// An input or output; words are symbols, numbers sizes.
fn info(name: &str, element: DataType, dims: &[&str]) -> ValueInfoProto {
    let value = |word: &&str| match word.parse() {
        Ok(size) => DimensionValue::DimValue(size),
        Err(_) => DimensionValue::DimParam((*word).to_owned()),
    };
    let dim = dims.iter().map(|word| DimensionProto { value: Some(value(word)) }).collect();
    let tensor = TensorTypeProto { elem_type: element.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}

fn floats(name: &str, dims: &[&str]) -> ValueInfoProto {
    info(name, DataType::Float, dims)
}

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// Weights of ones.
fn weights(name: &str, dims: &[i64]) -> TensorProto {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    let raw_data = 1f32.to_le_bytes().repeat(count).into();
    let (name, data_type) = (name.to_owned(), DataType::Float.into());
    TensorProto { name, data_type, dims: dims.to_vec(), raw_data, ..TensorProto::default() }
}

fn model(
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
fn convolution(dims: &[&str]) -> Vec<u8> {
    let pads = AttributeProto { name: "pads".to_owned(), ints: vec![1; 4], r#type: 7, ..AttributeProto::default() };
    let conv = NodeProto { attribute: vec![pads], ..node("Conv", &["x", "k"], "y") };
    let output = floats("y", &[dims[0], "8", dims[2], dims[3]]);
    model(vec![floats("x", dims)], output, vec![conv], vec![weights("k", &[8, 3, 3, 3])])
}

/// A lab with the files, an entry of models.yaml each, and a sweep of them all.
fn lab(files: &[(&str, Vec<u8>)], entries: &[(&str, &str)], sweep: &str) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    for (name, content) in files {
        std::fs::write(lab.path("configs").join(name), content).unwrap();
    }
    let mut models = "models:\n".to_owned();
    for (name, entry) in entries {
        models.push_str(&format!("  - {{ name: {name}, {entry} }}\n"));
    }
    lab.write("configs/models.yaml", &models);
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    lab.write("configs/own.yaml", &format!("{}{sweep}", QUICK.replace("digits", &names.join(", "))));
    lab
}

fn path(file: &str) -> String {
    format!("weights: {{ trained: {{ path: {file} }} }}")
}

/// What a plan says of each model: its input, or why it is skipped.
fn planned(lab: &Lab) -> Vec<String> {
    let (_, stdout, stderr) = lab.run(&["plan", "configs/own.yaml", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(stdout.as_bytes());
    let names: Vec<String> =
        reader.headers().unwrap_or_else(|_| panic!("{stderr}")).iter().map(str::to_owned).collect();
    let column = |name: &str| names.iter().position(|known| known == name).unwrap();
    let [model, batch, skipped, input, macs] = ["model", "batch", "skipped", "input", "macs"].map(column);
    let line = |row: csv::StringRecord| match &row[skipped] {
        "" => format!("{} x{}: {}, {} macs", &row[model], &row[batch], &row[input], &row[macs]),
        reason => format!("{} x{} skipped: {reason}", &row[model], &row[batch]),
    };
    reader.records().map(|row| line(row.unwrap())).collect()
}

#[test]
fn a_file_keeps_its_shape_and_the_entry_opens_what_is_open() {
    let product = |dims: &[&str]| {
        let rows: Vec<&str> = [dims, &["8"]].concat();
        model(
            vec![floats("x", &rows)],
            floats("y", &rows),
            vec![node("MatMul", &["x", "w"], "y")],
            vec![weights("w", &[8, 8])],
        )
    };
    let sum = node("Add", &["x", "state"], "y");
    let state = vec![floats("x", &["1", "1", "4"]), floats("state", &["2", "1", "4"])];
    let files = [
        ("rows.onnx", product(&["64"])),
        ("sequence.onnx", product(&["50", "1"])),
        ("state.onnx", model(state, floats("y", &["2", "1", "4"]), vec![sum], Vec::new())),
        ("open.onnx", convolution(&["N", "3", "H", "W"])),
        ("fixed.onnx", convolution(&["1", "3", "8", "8"])),
        ("eight.onnx", convolution(&["8", "3", "8", "8"])),
    ];
    let entries = [
        ("rows", path("rows.onnx")),
        ("sequence", path("sequence.onnx")),
        ("state", path("state.onnx")),
        ("open", format!("input_shape: [1, 3, 6, 4], {}", path("open.onnx"))),
        ("open_unsaid", path("open.onnx")),
        ("contradicted", format!("input_shape: [1, 3, 9, 9], macs: 5, {}", path("fixed.onnx"))),
        ("eight", format!("input_shape: [1, 3, 8, 8], {}", path("eight.onnx"))),
    ];
    let entries: Vec<(&str, &str)> = entries.iter().map(|(name, entry)| (*name, entry.as_str())).collect();
    let lab = lab(&files, &entries, "batch: [1, 8]\n");
    let open = "dimension 2 (H) of input x [N, 3, H, W] is open in the file: add `input_shape: [1, 3, …, …]` to its entry in \
                models.yaml";
    let contradicted = "models.yaml says [1, 3, 9, 9] for input x, and the file has [1, 3, 8, 8]: correct models.yaml, or the \
                        file";
    let as_it_is = |input: &str, images: u32, shape: &str| {
        format!(
            "the first dimension of input {input} is fixed in the file, and batch 8 is asked: ask for `batch: 1`, which \
             measures it as it is; where these {images} are images, say so by `input_shape: {shape}` in models.yaml, and ask \
             for `batch: {images}`"
        )
    };
    assert_eq!(
        planned(&lab),
        [
            "rows x1: 64x8 f32, 4096 macs".to_owned(),
            "sequence x1: 50x1x8 f32, 3200 macs".to_owned(),
            "state x1: 1x1x4 f32; 2x1x4 f32, 0 macs".to_owned(),
            "open x1: 1x3x6x4 f32, 5184 macs".to_owned(),
            "open x8: 8x3x6x4 f32, 5184 macs".to_owned(),
            "eight x8: 8x3x8x8 f32, 13824 macs".to_owned(),
            format!("rows x8 skipped: {}", as_it_is("x [64, 8]", 64, "[1, 8]")),
            format!("sequence x8 skipped: {}", as_it_is("x [50, 1, 8]", 50, "[1, 1, 8]")),
            "state x8 skipped: the first dimension of input x [1, 1, 4] is fixed in the file, and batch 8 is asked: export it \
             with an open batch, or ask for `batch: 1`"
                .to_owned(),
            format!("open_unsaid x1 skipped: {open}"),
            format!("open_unsaid x8 skipped: {open}"),
            format!("contradicted x1 skipped: {contradicted}"),
            format!("contradicted x8 skipped: {contradicted}"),
            "eight x1 skipped: the batch is fixed at 8 in the file (input x [8, 3, 8, 8]), and batch 1 is asked: ask for \
             `batch: 8`, or export it with an open batch"
                .to_owned(),
        ]
    );
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    let measured = |row: &std::collections::HashMap<String, String>| {
        format!("{} x{}: {} -> {}", row["model"], row["batch"], row["input"], row["output"])
    };
    let rows: Vec<String> = lab.rows().iter().filter(|row| row["status"] == "ok").map(measured).collect();
    assert_eq!(
        rows,
        [
            "rows x1: 64x8 f32 -> 64x8 f32",
            "sequence x1: 50x1x8 f32 -> 50x1x8 f32",
            "state x1: 1x1x4 f32; 2x1x4 f32 -> 2x1x4 f32",
            "open x1: 1x3x6x4 f32 -> 1x8x6x4 f32",
            "open x8: 8x3x6x4 f32 -> 8x8x6x4 f32",
            "eight x8: 8x3x8x8 f32 -> 8x8x8x8 f32",
        ]
    );
}

#[test]
fn what_is_no_model_or_can_not_be_fed_is_one_skipped_row_with_its_remedy() {
    let whole = convolution(&["1", "3", "8", "8"]);
    let text = vec![info("t", DataType::String, &["1"])];
    let outside = TensorProto {
        data_location: 1,
        external_data: vec![StringStringEntryProto { key: "location".to_owned(), value: "../../k".to_owned() }],
        raw_data: Default::default(),
        ..weights("k", &[8, 3, 3, 3])
    };
    let conv = || vec![node("Conv", &["x", "k"], "y")];
    let image = || vec![floats("x", &["1", "3", "8", "8"])];
    let files = [
        ("cut.onnx", whole[..whole.len() / 2].to_vec()),
        ("empty.onnx", Vec::new()),
        ("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec()),
        ("page.tflite", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n".to_vec()),
        ("text.onnx", model(text, floats("y", &["1"]), vec![node("Identity", &["t"], "y")], Vec::new())),
        ("hostile.onnx", model(image(), floats("y", &["1", "8", "6", "6"]), conv(), vec![outside])),
        ("fp32.onnx", whole),
    ];
    let entries = [
        ("cut", path("cut.onnx")),
        ("empty", path("empty.onnx")),
        ("lfs", path("lfs.onnx")),
        ("page", path("page.tflite")),
        ("text", path("text.onnx")),
        ("hostile", path("hostile.onnx")),
        ("absent", path("absent.onnx")),
        ("called_int8", "weights: { trained: { path: fp32.onnx, precision: int8 } }".to_owned()),
    ];
    let entries: Vec<(&str, &str)> = entries.iter().map(|(name, entry)| (*name, entry.as_str())).collect();
    let lab = lab(&files, &entries, "backends: [tract, onnxruntime]\n");
    let rows = planned(&lab);
    for (name, part) in [
        ("cut", "it is cut off"),
        ("empty", "it is nothing, not the model itself"),
        ("lfs", "get the file with `git lfs pull`"),
        ("page", "it is a web page, not the model itself"),
        ("text", "its input t is a string"),
        ("hostile", "only a path below the model's folder is followed"),
        ("absent", "absent.onnx could not be read: No such file"),
        ("called_int8", "calls the file of called_int8 int8, and it holds fp32"),
    ] {
        let own: Vec<&String> = rows.iter().filter(|row| row.starts_with(&format!("{name} x1 skipped: "))).collect();
        // The same for each engine.
        assert!(own.len() == 2 && own[0] == own[1] && own[0].contains(part), "{name}: {own:?}");
    }
    assert_eq!(rows.len(), 16, "{rows:?}");
    let (code, stdout, _) = lab.run(&["models", "verify", "lfs", "cut", "page"]);
    assert_eq!(code, 6, "{stdout}");
    assert!(stdout.contains("git lfs pull") && stdout.matches("failed ").count() >= 3, "{stdout}");
}

#[test]
fn weights_in_another_file_are_pushed_with_the_model() {
    let external = |(key, value): (&str, &str)| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let kernel = TensorProto {
        data_location: 1,
        external_data: [("location", "net.data"), ("offset", "0"), ("length", "864")].map(external).to_vec(),
        raw_data: Default::default(),
        ..weights("k", &[8, 3, 3, 3])
    };
    let whole = weights("k", &[8, 3, 3, 3]).raw_data.to_vec();
    let conv = vec![node("Conv", &["x", "k"], "y")];
    let image = vec![floats("x", &["1", "3", "8", "8"])];
    let files =
        [("net.onnx", model(image, floats("y", &["1", "8", "6", "6"]), conv, vec![kernel])), ("net.data", whole)];
    let lab = lab(&files, &[("net", &path("net.onnx"))], "");
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    assert_eq!(lab.row("this-host")["status"], "ok");
}

#[test]
fn what_a_sweep_does_not_name_is_not_touched() {
    let files = [("net.onnx", convolution(&["1", "3", "8", "8"]))];
    let lab = lab(&files, &[("net", &path("net.onnx"))], "");
    let pipe = lab.path("configs/pipe.onnx");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let secret = lab.path("configs/secret.onnx");
    std::fs::write(&secret, "not to be read").unwrap();
    let before = accessed(&secret);
    let models = std::fs::read_to_string(lab.path("configs/models.yaml")).unwrap();
    let more = "  - { name: pipe, weights: { trained: { path: pipe.onnx } } }\n  - { name: secret, weights: { trained: { path: secret.onnx } } }\n";
    lab.write("configs/models.yaml", &format!("{models}{more}"));
    assert_eq!(planned(&lab), ["net x1: 1x3x8x8 f32, 13824 macs"]);
    assert_eq!(accessed(&secret), before, "a file that no cell names was read");
}

fn accessed(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().accessed().unwrap()
}
