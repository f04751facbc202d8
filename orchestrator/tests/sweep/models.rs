//! People's own networks: what a plan says of their files, and what is measured of them.

use std::path::Path;

use farmctl::catalog::onnx::{AttributeProto, DataType, StringStringEntryProto, TensorProto};

use super::networks::{cast, convolution, floats, info, large, model, node, number, one_operator, weights};
use super::support::{Lab, QUICK, farm, local_device};

/// A lab with the files, an entry of models.yaml each, and a sweep of them all.
pub fn lab(files: &[(&str, Vec<u8>)], entries: &[(&str, &str)], sweep: &str) -> Lab {
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

pub fn path(file: &str) -> String {
    format!("weights: {{ trained: {{ path: {file} }} }}")
}

/// What a plan says of each model: its input, or why it is skipped.
pub fn planned(lab: &Lab) -> Vec<String> {
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

/// A lab with networks whose shapes are fixed, open, or told by their entries.
fn lab_of_shapes() -> Lab {
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
    lab(&files, &entries, "batch: [1, 8]\n")
}

#[test]
fn a_file_keeps_its_shape_and_the_entry_opens_what_is_open() {
    let lab = lab_of_shapes();
    let open = "dimension 2 (H) of input x [N, 3, H, W] is open in the file: add `input_shape: [1, 3, …, …]` to its \
                entry in models.yaml";
    let contradicted = "models.yaml says [1, 3, 9, 9] for input x, and the file has [1, 3, 8, 8]: correct models.yaml, \
                        or the file";
    let as_it_is = |input: &str, images: u32, shape: &str| {
        format!(
            "the first dimension of input {input} is fixed in the file, and batch 8 is asked: ask for `batch: 1`, \
             which measures it as it is; where these {images} are images, add `input_shape: {shape}` to its entry in \
             models.yaml, and ask for `batch: {images}`"
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
            "state x8 skipped: the first dimension of input x [1, 1, 4] is fixed in the file, and batch 8 is asked: \
             export it with an open batch, or ask for `batch: 1`"
                .to_owned(),
            format!("open_unsaid x1 skipped: {open}"),
            format!("open_unsaid x8 skipped: {open}"),
            format!("contradicted x1 skipped: {contradicted}"),
            format!("contradicted x8 skipped: {contradicted}"),
            "eight x1 skipped: the batch is fixed at 8 in the file (input x [8, 3, 8, 8]), and batch 1 is asked: ask \
             for `batch: 8`, or export it with an open batch"
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
fn inputs_and_outputs_of_every_type_and_shape_are_measured_as_they_are() {
    let types = [
        ("bool", DataType::Bool),
        ("i8", DataType::Int8),
        ("i16", DataType::Int16),
        ("i32", DataType::Int32),
        ("i64", DataType::Int64),
        ("u8", DataType::Uint8),
        ("u16", DataType::Uint16),
        ("f16", DataType::Float16),
        ("f64", DataType::Double),
    ];
    let float = |dims: &[&str]| floats("y", dims);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut expected: Vec<String> = Vec::new();
    for (word, element) in types {
        files.push((format!("in_{word}"), cast(element, DataType::Float)));
        expected.push(format!("in_{word}: 1x4 {word} -> 1x4 f32"));
        files.push((format!("out_{word}"), cast(DataType::Float, element)));
        expected.push(format!("out_{word}: 1x4 f32 -> 1x4 {word}"));
    }
    let image = || floats("x", &["1", "3", "8", "8"]);
    let pair = || floats("x", &["1", "4"]);
    let order = AttributeProto { name: "perm".to_owned(), ints: vec![1, 0], r#type: 7, ..AttributeProto::default() };
    let class = info("y", DataType::Int64, &["1", "8", "8"]);
    let arguments = vec![number("axis", 1), number("keepdims", 0)];
    for (name, content, told) in [
        ("classes", one_operator(image(), class, "ArgMax", arguments), "1x3x8x8 f32 -> 1x8x8 i64"),
        ("turned", one_operator(pair(), float(&["4", "1"]), "Transpose", vec![order]), "1x4 f32 -> 4x1 f32"),
        ("vector", one_operator(pair(), float(&["4"]), "Squeeze", Vec::new()), "1x4 f32 -> 4 f32"),
        ("sum", one_operator(pair(), float(&[]), "ReduceSum", vec![number("keepdims", 0)]), "1x4 f32 -> scalar f32"),
        ("large", large(), "1x17x1x1 f32 -> 1x17x1024x1024 f32"),
        // A convolution says that its first dimension is the batch.
        ("eight", convolution(&["8", "3", "8", "8"]), "8x3x8x8 f32 -> 8x8x8x8 f32"),
    ] {
        files.push((name.to_owned(), content));
        expected.push(format!("{name}: {told}"));
    }
    let files: Vec<(String, Vec<u8>)> =
        files.into_iter().map(|(name, content)| (format!("{name}.onnx"), content)).collect();
    let entries: Vec<(String, String)> =
        files.iter().map(|(file, _)| (file.trim_end_matches(".onnx").to_owned(), path(file))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let entries: Vec<(&str, &str)> = entries.iter().map(|(name, entry)| (name.as_str(), entry.as_str())).collect();
    let lab = lab(&files, &entries, "batch: [1, 8]\n");
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    let rows = lab.rows();
    let ok: Vec<_> = rows.iter().filter(|row| row["status"] == "ok").collect();
    let told: Vec<String> =
        ok.iter().map(|row| format!("{}: {} -> {}", row["model"], row["input"], row["output"])).collect();
    assert_eq!(told, expected);
    assert!(rows.iter().all(|row| matches!(row["status"].as_str(), "ok" | "skipped")), "{rows:?}");
    let of = |name: &str| ok.iter().find(|row| row["model"] == name).unwrap();
    // Times of a network without multiply-adds say nothing of how fast they are done.
    assert_eq!((of("turned")["macs"].as_str(), of("turned")["gmacs_per_s"].as_str()), ("0", ""));
    assert_eq!((of("eight")["macs"].as_str(), of("eight")["batch"].as_str()), ("13824", "8"));
    let large = of("large");
    assert!(large["remarks"].contains("outputs are left out") && large["output_sha256"].is_empty(), "{large:?}");
}

/// A file as NumPy writes it.
fn npy(element: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), numbers].concat()
}

#[test]
fn an_input_is_given_the_values_of_a_file() {
    let sum = model(
        vec![floats("x", &["N", "W"]), floats("z", &["1", "3"])],
        floats("y", &["N", "W"]),
        vec![node("Add", &["x", "z"], "y")],
        Vec::new(),
    );
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let files = [
        ("sum.onnx", sum),
        ("x.npy", npy("<f4", "(1, 3)", &bytes(&[1.0, -2.0, 1e6]))),
        ("z.bin", bytes(&[0.5, 0.25, 1.0])),
        ("doubles.npy", npy("<f8", "(1, 3)", &[0; 24])),
        ("page.npy", b"<!DOCTYPE html>".to_vec()),
    ];
    let entry = |x: &str| format!("inputs: {{ x: {{ values: {x} }}, z: {{ values: z.bin }} }}, {}", path("sum.onnx"));
    let entries = [("given", entry("x.npy")), ("doubles", entry("doubles.npy")), ("page", entry("page.npy"))];
    let entries: Vec<(&str, &str)> = entries.iter().map(|(name, entry)| (*name, entry.as_str())).collect();
    let lab = lab(&files, &entries, "");
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows[0]["input"], "1x3 f32; 1x3 f32");
    let answer = std::fs::read(lab.path(&format!(".farm/outputs/{}.f32", rows[0]["output_sha256"]))).unwrap();
    assert_eq!(answer, bytes(&[1.5, -1.75, 1_000_001.0]));
    for (row, part) in rows[1..].iter().zip(["are f64, input x is f32: save them as f32", "it is no file of NumPy's"]) {
        assert!(row["status"] == "skipped" && row["failure"].contains(part), "{row:?}");
    }
    // Other values are another job.
    let id = rows[0]["job_id"].clone();
    std::fs::write(lab.path("configs/z.bin"), bytes(&[0.0, 0.0, 0.0])).unwrap();
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    assert_ne!(lab.rows()[0]["job_id"], id);
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
    let circle = vec![node("Add", &["x", "b"], "a"), node("Relu", &["a"], "b"), node("Relu", &["b"], "y")];
    let files = [
        ("cut.onnx", whole[..whole.len() / 2].to_vec()),
        ("empty.onnx", Vec::new()),
        ("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec()),
        ("page.tflite", b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n".to_vec()),
        ("text.onnx", model(text, floats("y", &["1"]), vec![node("Identity", &["t"], "y")], Vec::new())),
        ("hostile.onnx", model(image(), floats("y", &["1", "8", "6", "6"]), conv(), vec![outside])),
        ("circle.onnx", model(image(), floats("y", &["1", "3", "8", "8"]), circle, Vec::new())),
        ("fp32.onnx", whole),
    ];
    let entries = [
        ("cut", path("cut.onnx")),
        ("empty", path("empty.onnx")),
        ("lfs", path("lfs.onnx")),
        ("page", path("page.tflite")),
        ("text", path("text.onnx")),
        ("hostile", path("hostile.onnx")),
        ("circle", path("circle.onnx")),
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
        ("circle", "(Relu) read from each other in a circle; get it anew, or export it again"),
        ("absent", "absent.onnx could not be read: No such file"),
        ("called_int8", "calls the file of called_int8 int8, and it holds fp32"),
    ] {
        let own: Vec<&String> = rows.iter().filter(|row| row.starts_with(&format!("{name} x1 skipped: "))).collect();
        // The same for each engine.
        assert!(own.len() == 2 && own[0] == own[1] && own[0].contains(part), "{name}: {own:?}");
    }
    assert_eq!(rows.len(), 18, "{rows:?}");
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
    let more = "  - { name: pipe, weights: { trained: { path: pipe.onnx } } }\n  \
                - { name: secret, weights: { trained: { path: secret.onnx } } }\n";
    lab.write("configs/models.yaml", &format!("{models}{more}"));
    assert_eq!(planned(&lab), ["net x1: 1x3x8x8 f32, 13824 macs"]);
    assert_eq!(accessed(&secret), before, "a file that no cell names was read");
}

fn accessed(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().accessed().unwrap()
}
