use std::fs::File;
use std::time::{Duration, SystemTime};

use prost::Message;

use super::*;
use crate::catalog::DownloadSettings;
use crate::catalog::onnx::{
    DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};
use crate::domain::{Dimension, ElementType, InputRange, WeightsKind, sample};

struct Host {
    folder: tempfile::TempDir,
    cache: ArtifactCache,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        Host { cache: ArtifactCache::new(folder.path().join("cache"), DownloadSettings::default()), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that is there for a day.
    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let then = SystemTime::now() - Duration::from_secs(86_400);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    }

    /// The user's own file of that name, looked at.
    fn looked_at(&self, name: &str) -> WeightsFile {
        self.looked_at_with(own(&self.path(name)))
    }

    fn looked_at_with(&self, mut file: WeightsFile) -> WeightsFile {
        self.cache.look_at("net", &mut file, Instant::now() + Duration::from_secs(60));
        file
    }
}

fn own(path: &Path) -> WeightsFile {
    let format = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    WeightsFile {
        weights: WeightsKind::Trained,
        declared_precision: None,
        layout: WeightsFile::usual_layout(&format),
        format,
        artifact: None,
        source: WeightsSource::Path(path.to_owned()),
        parts: Vec::new(),
        signature: None,
        macs: None,
    }
}

fn model() -> CatalogModel {
    sample::model("net")
}

fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&size| DimensionProto { value: Some(DimensionValue::DimValue(size)) }).collect();
    let tensor = TensorTypeProto { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}

/// A product of rows and 4×4 weights.
fn product(rows: i64, op: &str, weights: TensorProto) -> Vec<u8> {
    let node = NodeProto {
        op_type: op.to_owned(),
        input: vec!["x".to_owned(), "w".to_owned()],
        output: vec!["y".to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        input: vec![info("x", &[rows, 4])],
        output: vec![info("y", &[rows, 4])],
        node: vec![node],
        initializer: vec![weights],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
}

fn weights() -> TensorProto {
    let (name, data_type) = ("w".to_owned(), DataType::Float.into());
    TensorProto { name, data_type, dims: vec![4, 4], raw_data: vec![0; 64].into(), ..TensorProto::default() }
}

/// Weights of 64 bytes that lie in another file.
fn outside(location: &str) -> TensorProto {
    let entry = |(key, value): (&str, &str)| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
    let external_data = [("location", location), ("length", "64")].map(entry).to_vec();
    TensorProto { data_location: 1, external_data, raw_data: Default::default(), ..weights() }
}

fn why(file: &WeightsFile) -> &str {
    file.signature.as_ref().unwrap().as_ref().unwrap_err()
}

#[test]
fn weights_in_other_files_become_parts_of_the_model() {
    let host = Host::new();
    host.write("x.onnx", &product(1, "MatMul", outside("x.onnx.data")));
    assert!(why(&host.looked_at("x.onnx")).contains("another file, x.onnx.data, which must be beside it"));
    host.write("x.onnx.data", &[1; 10]);
    assert!(why(&host.looked_at("x.onnx")).contains("10 bytes of the 64"));
    host.write("x.onnx.data", &[1; 64]);
    let found = host.looked_at("x.onnx");
    assert_eq!(found.parts.len(), 1);
    let part = &found.parts[0];
    assert_eq!((part.name.as_str(), part.artifact.as_ref().unwrap().size_bytes), ("x.onnx.data", 64));
    assert_eq!(part.source, WeightsSource::Path(host.path("x.onnx.data")));
    // Looked at again, it is what it was.
    assert_eq!(host.looked_at_with(found.clone()), found);
    // What stands in its place is told, and that it is the model itself.
    host.write("x.onnx.data", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 64\n");
    assert!(why(&host.looked_at("x.onnx")).contains("x.onnx.data: it is a Git LFS pointer, not the file itself"));
    host.write("self.onnx", &product(1, "MatMul", outside("self.onnx")));
    assert!(why(&host.looked_at("self.onnx")).contains("in self.onnx, which is the model's own file"));
    host.write("x.onnx.data", &[1; 64]);
    // An entry may say that it is elsewhere.
    host.write("elsewhere/weights", &[2; 70]);
    let source = WeightsSource::Path(host.path("elsewhere/weights"));
    let part = FilePart { name: "x.onnx.data".to_owned(), artifact: None, source };
    let told = host.looked_at_with(WeightsFile { parts: vec![part], ..own(&host.path("x.onnx")) });
    assert_eq!((told.parts.len(), told.parts[0].artifact.as_ref().unwrap().size_bytes), (1, 70));
    host.write("deep.onnx", &product(1, "MatMul", outside("data/w.bin")));
    host.write("data/w.bin", &[1; 64]);
    assert_eq!(host.looked_at("deep.onnx").parts[0].name, "data/w.bin");
}

#[test]
fn no_file_leads_out_of_its_folder() {
    let host = Host::new();
    host.write("secret", &[1; 64]);
    let absolute = host.path("secret").display().to_string();
    for location in
        ["", "/etc/passwd", "../secret", "a/../../secret", "a/./b", "a\nb", "a\\b", &absolute, &"a".repeat(1025)]
    {
        host.write("folder/x.onnx", &product(1, "MatMul", outside(location)));
        let found = host.looked_at("folder/x.onnx");
        assert!(why(&found).contains("only a path below the model's folder"), "{location:?}: {}", why(&found));
        assert!(found.parts.is_empty());
    }
}

#[test]
fn what_can_not_be_read_says_why() {
    let host = Host::new();
    assert!(why(&host.looked_at("absent.onnx")).contains("absent.onnx could not be read: No such file"));
    fs::create_dir(host.path("folder.onnx")).unwrap();
    assert!(why(&host.looked_at("folder.onnx")).contains("it is no regular file"));
    nix::unistd::mkfifo(&host.path("pipe.tflite"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(why(&host.looked_at("pipe.tflite")).contains("it is no regular file"));
    host.write("empty.onnx", b"");
    assert!(why(&host.looked_at("empty.onnx")).contains("it is nothing, not the model itself"));
    host.write("net.ncnn", b"7767517");
    let unread = host.looked_at("net.ncnn");
    assert!(unread.signature.is_none() && unread.artifact.is_some());
    let remote = WeightsFile { source: WeightsSource::Urls(Vec::new()), ..own(Path::new("x.onnx")) };
    assert_eq!(host.looked_at_with(remote.clone()), remote);
}

#[test]
fn what_was_found_is_remembered_by_content() {
    let host = Host::new();
    host.write("x.onnx", &product(1, "MatMul", weights()));
    let found = host.looked_at("x.onnx");
    let memory = host.path("cache/found/onnx").join(&found.artifact.as_ref().unwrap().sha256);
    let text = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, text.replace("\"x\"", "\"remembered\"")).unwrap();
    let again = host.looked_at("x.onnx");
    assert_eq!(again.signature.unwrap().unwrap().inputs[0].name, "remembered");
    // An older reader's findings count for nothing, nor does what is no finding.
    for other in [text.replace(&format!("\"reader_version\":{READER_VERSION}"), "\"reader_version\":0"), "{".to_owned()]
    {
        fs::write(&memory, other).unwrap();
        assert_eq!(host.looked_at("x.onnx"), found);
    }
}

fn macs_of(host: &Host, file: &WeightsFile, inputs: &[InputSpec], images: u32) -> Option<Result<u64, String>> {
    Some(host.cache.count(&model(), file, inputs, images)?.macs)
}

#[test]
fn multiply_adds_are_those_of_one_image() {
    let host = Host::new();
    host.write("x.onnx", &product(8, "MatMul", weights()));
    let file = host.looked_at("x.onnx");
    let range = InputRange { low: 0.0, high: 1.0 };
    let input =
        InputSpec { name: "x".to_owned(), element: ElementType::Float32, shape: vec![8, 4], range, values: None };
    let inputs = std::slice::from_ref(&input);
    assert_eq!(macs_of(&host, &file, inputs, 8), Some(Ok(16)));
    assert_eq!(macs_of(&host, &file, inputs, 1), Some(Ok(128)));
    host.write("odd.onnx", &product(8, "Unheard", weights()));
    let counted = macs_of(&host, &host.looked_at("odd.onnx"), inputs, 1).unwrap();
    assert_eq!(counted, Err("not counted: operator Unheard (1×)".to_owned()));
    let counted = host.cache.count(&model(), &file, inputs, 1).unwrap();
    assert_eq!((counted.too_large, host.cache.count(&model(), &file, inputs, 1).unwrap().macs), (None, Ok(128)));
    assert_eq!(host.cache.count(&model(), &file, inputs, 1).unwrap().contradiction, None);
    let other = InputSpec { shape: vec![9, 4], ..input };
    let counted = macs_of(&host, &file, std::slice::from_ref(&other), 1).unwrap();
    assert!(counted.unwrap_err().contains("has shape [8, 4], which [9, 4] does not fit"));
}

#[test]
fn the_networks_of_farmctl_have_an_open_batch_without_a_file() {
    let host = Host::new();
    for mut file in formats::builtin_files("squeezenet1_0", WeightsKind::Synthetic) {
        file = host.looked_at_with(file);
        let signature = file.signature.clone().unwrap().unwrap();
        assert_eq!(signature.arithmetic.precision, file.declared_precision, "{}", file.format);
        let dims = signature.inputs[0].dims.as_deref().unwrap();
        assert!(matches!(dims, [Dimension::Open(Some(_)), ..]), "{dims:?}");
        let range = InputRange { low: 0.0, high: 1.0 };
        let shape = if file.format == "tflite" { vec![1, 224, 224, 3] } else { vec![1, 3, 224, 224] };
        let input = InputSpec { name: "input".to_owned(), element: ElementType::Float32, shape, range, values: None };
        assert_eq!(macs_of(&host, &file, &[input], 1), Some(Ok(818_924_576)), "{}", file.format);
    }
}
