//! Files that are odd, and right or wrong: each is measured as it is, or refused with what is wrong with it.

use std::collections::HashMap;
use std::os::unix::fs::symlink;

use farmctl::catalog::onnx::{
    DataType, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
};
use prost::Message as _;

use super::models::{lab, path, planned};
use super::networks::{floats, info, model, node, number, weights};
use super::support::Lab;

/// ONNX's number for whole numbers of four bits.
const INT4: i32 = 22;

type Files = Vec<(&'static str, Vec<u8>)>;

fn relu() -> Vec<NodeProto> {
    vec![node("Relu", &["x"], "y")]
}

/// A network of these nodes from `x` to `y`, of four numbers each.
fn of_four(nodes: Vec<NodeProto>, held: Vec<TensorProto>) -> Vec<u8> {
    model(vec![floats("x", &["1", "4"])], floats("y", &["1", "4"]), nodes, held)
}

/// A file with something else in it.
fn changed(content: &[u8], change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(content).unwrap();
    change(&mut model);
    model.encode_to_vec()
}

fn with_opsets(sets: &[(&str, i64)]) -> Vec<u8> {
    let set = |&(domain, version): &(&str, i64)| OperatorSetIdProto { domain: domain.to_owned(), version };
    changed(&of_four(relu(), Vec::new()), |model| model.opset_import = sets.iter().map(set).collect())
}

/// A network whose input has that name.
fn named(name: &str) -> Vec<u8> {
    model(vec![floats(name, &["1", "4"])], floats("y", &["1", "4"]), vec![node("Relu", &[name], "y")], Vec::new())
}

/// Weights that lie in a folder of their own, whose name has to be quoted.
fn beside(location: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let external_data = vec![entry("location", location), entry("offset", "0"), entry("length", "16")];
    let held = TensorProto { data_location: 1, external_data, raw_data: Default::default(), ..weights("w", &[4]) };
    of_four(vec![node("Add", &["x", "w"], "y")], vec![held])
}

/// An operator of before opset 7, which adds a number to each channel.
fn old_addition() -> Vec<u8> {
    let attribute = vec![number("axis", 1), number("broadcast", 1)];
    let nodes = vec![NodeProto { attribute, ..node("Add", &["x", "w"], "y") }];
    let square = |name| floats(name, &["1", "3", "3"]);
    changed(&model(vec![square("x")], square("y"), nodes, vec![weights("w", &[3])]), |model| {
        model.opset_import[0].version = 6;
    })
}

/// Files that are right, however odd.
fn right() -> Files {
    let pair = |second: &[&str]| {
        let inputs = vec![floats("x", &["N", "4"]), floats("z", second)];
        model(inputs, floats("y", &["N", "4"]), vec![node("Add", &["x", "z"], "y")], Vec::new())
    };
    let nothing = TensorProto { raw_data: Default::default(), ..weights("w", &[1, 0]) };
    let joined = NodeProto { attribute: vec![number("axis", 1)], ..node("Concat", &["x", "w"], "y") };
    let inner = "i".repeat(50_000);
    let long =
        vec![node("Relu", &["x"], &inner), NodeProto { name: "n".repeat(50_000), ..node("Relu", &[&inner], "y") }];
    let no_dims = |name| floats(name, &[]);
    let unused = vec![floats("x", &["1", "4"]), floats("unread", &["1", "2"])];
    let kept: fn(&mut ModelProto) = |model| model.graph.as_mut().unwrap().output.push(floats("w", &["4"]));
    vec![
        ("deep/net.onnx", beside("we ights ü/w.data")),
        ("disagree.onnx", pair(&["1", "4"])),
        ("fixed_output.onnx", model(vec![floats("x", &["N", "4"])], floats("y", &["1", "4"]), relu(), Vec::new())),
        ("scalar.onnx", model(vec![no_dims("x")], no_dims("y"), relu(), Vec::new())),
        ("nothing_held.onnx", of_four(vec![joined], vec![nothing])),
        ("long_inner.onnx", of_four(long, Vec::new())),
        ("quoted.onnx", named("e i n \"ü\" <b>; 図")),
        ("unread.onnx", model(unused, floats("y", &["1", "4"]), relu(), Vec::new())),
        ("gives_weights.onnx", changed(&of_four(relu(), vec![weights("w", &[4])]), kept)),
        ("ne t\n図.onnx", of_four(relu(), Vec::new())),
    ]
}

/// Files that no engine should run.
fn wrong() -> Files {
    let twice = |op: &str, output: &str| vec![node(op, &["x"], output), node("Relu", &["x"], "y")];
    let square = |name| vec![floats(name, &["1", "1", "4", "4"])];
    let large = vec![weights("w", &[1, 1, 9, 9])];
    let again = |model: &mut ModelProto| model.graph.as_mut().unwrap().output.push(floats("y", &["1", "4"]));
    vec![
        ("two_outputs.onnx", changed(&of_four(relu(), Vec::new()), again)),
        ("two_makers.onnx", of_four(twice("Neg", "y"), Vec::new())),
        ("over_input.onnx", of_four(twice("Neg", "x"), Vec::new())),
        ("over_weights.onnx", of_four(twice("Neg", "w"), vec![weights("w", &[4])])),
        ("no_operator.onnx", of_four(vec![node("", &["x"], "y")], Vec::new())),
        ("no_opset.onnx", with_opsets(&[])),
        ("two_opsets.onnx", with_opsets(&[("", 11), ("ai.onnx", 13)])),
        ("below_zero.onnx", with_opsets(&[("", -3)])),
        ("newline.onnx", named("x\nz")),
        ("long_name.onnx", named(&"x".repeat(5000))),
        ("window.onnx", model(square("x"), square("y").remove(0), vec![node("Conv", &["x", "w"], "y")], large)),
        ("unfit.onnx", of_four(vec![node("Add", &["x", "w"], "y")], vec![weights("w", &[5])])),
        ("untyped.onnx", model(vec![info("x", DataType::Undefined, &["1"])], floats("y", &["1"]), relu(), Vec::new())),
    ]
}

fn entries(files: &[(&str, Vec<u8>)]) -> Vec<(String, String)> {
    let entry = |(file, _): &(&str, Vec<u8>)| {
        let name: String =
            file.replace(".onnx", "").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        (name, path(&format!("{file:?}")))
    };
    files.iter().map(entry).collect()
}

/// A lab with these files, and more entries that name no file of theirs.
fn lab_of(files: &Files, more: &[&str], sweep: &str) -> Lab {
    let mut entries = entries(files);
    entries.extend(more.iter().map(|name| ((*name).to_owned(), path(&format!("{name}.onnx")))));
    let entries: Vec<(&str, &str)> = entries.iter().map(|(name, entry)| (name.as_str(), entry.as_str())).collect();
    let lab = lab(&[], &entries, sweep);
    std::fs::create_dir_all(lab.path("configs/deep/we ights ü")).unwrap();
    std::fs::write(lab.path("configs/deep/we ights ü/w.data"), 1f32.to_le_bytes().repeat(4)).unwrap();
    for (name, content) in files {
        std::fs::write(lab.path("configs").join(name), content).unwrap();
    }
    lab
}

#[test]
fn odd_files_that_are_right_are_measured_as_they_are() {
    let lab = lab_of(&right(), &["link"], "backends: [tract, onnxruntime]\nbatch: [1, 8]\n");
    symlink("ne t\n図.onnx", lab.path("configs/link.onnx")).unwrap();
    // As an editor of another system writes it.
    let catalog = std::fs::read_to_string(lab.path("configs/models.yaml")).unwrap();
    lab.write("configs/models.yaml", &format!("\u{feff}{}", catalog.replace('\n', "\r\n")));
    lab.sweep(&["configs/own.yaml"]).expect_code(0);
    let rows = lab.rows();
    let told = |row: &HashMap<String, String>| {
        format!("{} x{}: {} -> {}", row["model"], row["batch"], row["input"], row["output"])
    };
    let measured = |engine: &str| {
        let own = rows.iter().filter(|row| row["status"] == "ok" && row["backend"] == engine);
        own.map(told).collect::<Vec<String>>()
    };
    let expected = [
        "deep_net x1: 1x4 f32 -> 1x4 f32",
        "disagree x1: 1x4 f32; 1x4 f32 -> 1x4 f32",
        "disagree x8: 8x4 f32; 1x4 f32 -> 8x4 f32",
        "fixed_output x1: 1x4 f32 -> 1x4 f32",
        "fixed_output x8: 8x4 f32 -> 8x4 f32",
        "scalar x1: scalar f32 -> scalar f32",
        "nothing_held x1: 1x4 f32 -> 1x4 f32",
        "long_inner x1: 1x4 f32 -> 1x4 f32",
        "quoted x1: 1x4 f32 -> 1x4 f32",
        "unread x1: 1x4 f32; 1x2 f32 -> 1x4 f32",
        "gives_weights x1: 1x4 f32 -> 1x4 f32; 4 f32",
        "ne_t__ x1: 1x4 f32 -> 1x4 f32",
        "link x1: 1x4 f32 -> 1x4 f32",
    ];
    assert_eq!(measured("tract"), expected);
    assert_eq!(measured("onnxruntime"), expected);
    assert!(rows.iter().all(|row| row["status"] != "failed"), "{rows:?}");
}

#[test]
fn odd_files_that_are_wrong_are_refused_for_every_engine_with_what_is_wrong() {
    let files = wrong();
    let lab = lab_of(&files, &["loop", "gone", "folder"], "backends: [tract, onnxruntime]\n");
    symlink("loop.onnx", lab.path("configs/loop.onnx")).unwrap();
    symlink("nothing.onnx", lab.path("configs/gone.onnx")).unwrap();
    std::fs::create_dir(lab.path("configs/folder.onnx")).unwrap();
    let rows = planned(&lab);
    for (name, part) in [
        ("two_outputs", "its graph has two outputs \"y\""),
        ("two_makers", "its graph makes \"y\" more than once"),
        ("over_input", "its graph makes \"x\" more than once"),
        ("over_weights", "its graph makes \"w\" more than once"),
        ("no_operator", "the node that makes \"y\" has no operator"),
        ("no_opset", "it does not say which opset its operators are of"),
        ("two_opsets", "of ai.onnx in two versions, 11 and 13"),
        ("below_zero", "of ai.onnx in version -3, which there is none of"),
        ("newline", "has a name of 3 bytes, \"x\\nz\""),
        ("long_name", "has a name of 5000 bytes"),
        ("window", "its window is larger than the padded input of 4"),
        ("unfit", "its inputs [1, 4] and [5] don't fit"),
        ("untyped", "its input x is a value of unknown type"),
        ("loop", "loop.onnx could not be read: Too many levels of symbolic links"),
        ("gone", "gone.onnx could not be read: No such file"),
        ("folder", "folder.onnx could not be read: it is no regular file"),
    ] {
        let own: Vec<&String> = rows.iter().filter(|row| row.starts_with(&format!("{name} x1 skipped: "))).collect();
        // The same for each engine.
        assert!(own.len() == 2 && own[0] == own[1] && own[0].contains(part), "{name}: {own:?}");
    }
    assert_eq!(rows.len(), 2 * (files.len() + 3), "{rows:?}");
}

#[test]
fn what_an_engine_can_not_run_of_a_right_file_is_told_by_the_plan() {
    let sizes = |name| info(name, DataType::Int64, &["2"]);
    let widened = model(
        vec![floats("x", &["1", "3", "1"]), sizes("sizes")],
        floats("y", &["1", "3", "4"]),
        vec![node("Expand", &["x", "sizes"], "y")],
        Vec::new(),
    );
    let whole = |element: DataType, op: &str| {
        let pair = |name| info(name, element, &["1", "4"]);
        model(vec![pair("x")], pair("y"), vec![node(op, &["x", "x"], "y")], Vec::new())
    };
    let list = |model: &mut ModelProto| {
        model.graph.as_mut().unwrap().output = vec![ValueInfoProto { name: "y".to_owned(), r#type: None }];
    };
    let split = NodeProto { attribute: vec![number("axis", 1)], ..node("SplitToSequence", &["x"], "y") };
    let few_bits = TensorProto { name: "w".to_owned(), data_type: INT4, dims: vec![4], ..TensorProto::default() };
    let few_bits = TensorProto { raw_data: vec![0x21, 0x43].into(), ..few_bits };
    let nodes = vec![node("DequantizeLinear", &["w", "s"], "d"), node("Add", &["x", "d"], "y")];
    let dequantised = changed(&of_four(nodes, vec![few_bits, weights("s", &[])]), |model| {
        (model.ir_version, model.opset_import[0].version) = (10, 21);
    });
    let files = vec![
        ("few_bits.onnx", dequantised),
        ("old_addition.onnx", old_addition()),
        ("widened.onnx", widened),
        ("bytes.onnx", whole(DataType::Uint8, "Add")),
        ("newest.onnx", with_opsets(&[("", 99)])),
        ("format.onnx", changed(&of_four(relu(), Vec::new()), |model| model.ir_version = 99)),
        ("list.onnx", changed(&of_four(vec![split], Vec::new()), list)),
    ];
    let lab = lab_of(&files, &[], "backends: [tract, onnxruntime]\n");
    let rows = planned(&lab);
    let is =
        |name: &str, index: usize| rows.iter().filter(|row| row.starts_with(&format!("{name} x1"))).nth(index).unwrap();
    // Jobs stand before what is skipped.
    let skipped = |name: &str, engine: &str| {
        let own = rows.iter().filter(|row| row.starts_with(&format!("{name} x1 skipped: {engine}")));
        own.cloned().collect::<Vec<_>>().join(" | ")
    };
    assert!(skipped("old_addition", "tract").contains("lays the second input of Add (ai.onnx, opset 6)"), "{rows:?}");
    assert!(skipped("old_addition", "onnxruntime").contains("has no kernel of Add (ai.onnx, opset 6)"), "{rows:?}");
    assert!(skipped("widened", "tract").contains("takes that of Expand (ai.onnx, opset 13) from the"), "{rows:?}");
    assert!(is("widened", 0).starts_with("widened x1: 1x3x1 f32; 2 i64"), "{rows:?}");
    assert!(skipped("bytes", "onnxruntime").contains("has no kernel of Add (ai.onnx, opset 13) for u8"), "{rows:?}");
    assert!(skipped("newest", "onnxruntime").contains("up to opset 28, and newest has opset 99"), "{rows:?}");
    assert!(skipped("format", "onnxruntime").contains("the file of format has version 99"), "{rows:?}");
    assert!(skipped("few_bits", "tract").contains("reads no numbers of type i4, of which few_bits has"), "{rows:?}");
    assert!(is("few_bits", 0).starts_with("few_bits x1: 1x4 f32"), "{rows:?}");
    assert!(skipped("list", "tract").contains("has no operator SplitToSequence"), "{rows:?}");
}
