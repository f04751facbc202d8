use super::*;
use crate::domain::{Arithmetic, InputRange, InputValues, Precision, WeightsKind, WeightsSource, sample};

fn tensor(name: &str, element: ElementType, dims: &[&str]) -> TensorSignature {
    let dim = |word: &&str| match word.parse() {
        Ok(size) => Dimension::Fixed(size),
        Err(_) => Dimension::Open(Some((*word).to_owned()).filter(|symbol| symbol != "?")),
    };
    let dims = Some(dims.iter().map(dim).collect());
    let element = TensorElement::Number(element);
    TensorSignature {
        name: name.to_owned(),
        element,
        dims,
        is_quantised: false,
        is_probability: false,
        first_dimension: None,
    }
}

fn file_of(inputs: Vec<TensorSignature>) -> WeightsFile {
    let signature = ModelSignature {
        inputs,
        outputs: Vec::new(),
        arithmetic: Arithmetic { precision: Some(Precision::Float32), words: "fp32".to_owned(), partly: Vec::new() },
        data_files: Vec::new(),
        foreign_operators: Vec::new(),
        operators: Vec::new(),
        ir_version: None,
        doubt: None,
        foreign_elements: Vec::new(),
    };
    WeightsFile { signature: Some(Ok(signature)), ..unread("onnx") }
}

fn unread(format: &str) -> WeightsFile {
    WeightsFile {
        weights: WeightsKind::Trained,
        format: format.to_owned(),
        declared_precision: None,
        layout: WeightsFile::usual_layout(format),
        artifact: None,
        source: WeightsSource::Path("net".into()),
        parts: Vec::new(),
        signature: None,
        macs: None,
    }
}

/// A file with one float input.
fn floats(dims: &[&str]) -> WeightsFile {
    file_of(vec![tensor("x", ElementType::Float32, dims)])
}

fn model() -> CatalogModel {
    sample::model("net")
}

fn shaped(shape: &[u64]) -> CatalogModel {
    CatalogModel { input_shape: Some(shape.to_vec()), ..model() }
}

fn entry(name: &str, shape: Option<&[u64]>, range: Option<[f32; 2]>) -> CatalogInput {
    let range = range.map(|[low, high]| InputRange { low, high });
    let shape = shape.map(<[u64]>::to_vec);
    CatalogInput { name: name.to_owned(), shape, range, element: None, values: None }
}

/// Shapes that are measured, or why not.
fn shapes(model: &CatalogModel, file: &WeightsFile, batch: u32) -> Result<Vec<Vec<u64>>, String> {
    Ok(inputs(model, file, batch)?.into_iter().map(|input| input.shape).collect())
}

fn refusal(model: &CatalogModel, file: &WeightsFile, batch: u32) -> String {
    inputs(model, file, batch).unwrap_err()
}

#[test]
fn an_open_first_dimension_is_the_batch() {
    let file = floats(&["N", "3", "8", "8"]);
    assert_eq!(shapes(&model(), &file, 4), Ok(vec![vec![4, 3, 8, 8]]));
    assert_eq!(shapes(&shaped(&[1, 3, 8, 8]), &file, 4), Ok(vec![vec![4, 3, 8, 8]]));
    // The entry gives it a size of its own: it is no batch then.
    let sequence = floats(&["T", "1", "40"]);
    assert_eq!(shapes(&shaped(&[50, 1, 40]), &sequence, 1), Ok(vec![vec![50, 1, 40]]));
    assert!(refusal(&shaped(&[50, 1, 40]), &sequence, 2).contains("so that it is no batch, and batch 2 is asked"));
}

#[test]
fn a_fixed_first_dimension_stays_what_it_is() {
    for dims in [&["64", "256"][..], &["50", "1", "40"], &["3", "512", "512"], &["1000000"], &["1", "3", "8", "8"]] {
        let expected = dims.iter().map(|size| size.parse().unwrap()).collect();
        assert_eq!(shapes(&model(), &floats(dims), 1), Ok(vec![expected]));
    }
    let several = file_of(vec![
        tensor("x", ElementType::Float32, &["1", "1", "128"]),
        tensor("state", ElementType::Float32, &["2", "1", "128"]),
    ]);
    assert_eq!(shapes(&model(), &several, 1), Ok(vec![vec![1, 1, 128], vec![2, 1, 128]]));
    // Nobody has said that these are images.
    let message = refusal(&model(), &floats(&["64", "256"]), 64);
    assert!(message.contains("is fixed in the file, and batch 64 is asked"), "{message}");
    assert!(message.contains("`input_shape: [1, 256]`"), "{message}");
    assert!(refusal(&shaped(&[64, 256]), &floats(&["64", "256"]), 64).contains("`batch: 1`"));
    assert!(refusal(&shaped(&[1, 3, 8, 8]), &floats(&["1", "3", "8", "8"]), 4).contains("open batch"));
    assert!(refusal(&model(), &file_of(Vec::new()), 2).contains("it has no input"));
}

#[test]
fn a_file_may_fix_the_batch_of_images() {
    let (model, file) = (shaped(&[1, 16, 32, 32]), floats(&["8", "16", "32", "32"]));
    assert_eq!(shapes(&model, &file, 8), Ok(vec![vec![8, 16, 32, 32]]));
    assert_eq!(least_batch(&model, &file), 8);
    assert!(refusal(&model, &file, 1).contains("ask for `batch: 8`"));
    assert_eq!(least_batch(&self::model(), &file), 1);
}

#[test]
fn open_dimensions_are_what_the_entry_says() {
    let file = floats(&["N", "3", "H", "W"]);
    assert_eq!(shapes(&shaped(&[1, 3, 48, 192]), &file, 2), Ok(vec![vec![2, 3, 48, 192]]));
    assert_eq!(
        refusal(&model(), &file, 1),
        "dimension 2 (H) of input x [N, 3, H, W] is open in the file: add `input_shape: [1, 3, …, …]` to its entry in \
         models.yaml"
    );
    let message = refusal(&shaped(&[1, 3, 224, 224]), &floats(&["1", "3", "96", "96"]), 1);
    assert_eq!(
        message,
        "models.yaml says [1, 3, 224, 224] for input x, and the file has [1, 3, 96, 96]: correct models.yaml, or the \
         file"
    );
    assert!(refusal(&shaped(&[1, 3, 48]), &file, 1).contains("models.yaml says [1, 3, 48] for input x"));
    let any = TensorSignature { dims: None, ..tensor("x", ElementType::Float32, &[]) };
    assert!(refusal(&model(), &file_of(vec![any.clone()]), 1).contains("does not fix how many dimensions"));
    assert_eq!(shapes(&shaped(&[1, 7]), &file_of(vec![any]), 3), Ok(vec![vec![3, 7]]));
}

#[test]
fn images_are_turned_into_the_order_of_the_file() {
    let nhwc = |dims: &[&str]| WeightsFile { layout: Layout::Nhwc, ..floats(dims) };
    assert_eq!(shapes(&shaped(&[1, 3, 48, 64]), &nhwc(&["N", "48", "64", "3"]), 1), Ok(vec![vec![1, 48, 64, 3]]));
    assert_eq!(shapes(&shaped(&[1, 3, 48, 64]), &nhwc(&["N", "H", "W", "3"]), 2), Ok(vec![vec![2, 48, 64, 3]]));
    assert_eq!(shapes(&model(), &nhwc(&["N", "48", "64", "3"]), 1), Ok(vec![vec![1, 48, 64, 3]]));
    let message = refusal(&shaped(&[1, 48, 64, 3]), &nhwc(&["N", "48", "64", "3"]), 1);
    assert!(message.starts_with("models.yaml says [1, 48, 64, 3], in nhwc [1, 64, 3, 48], for input x"), "{message}");
    assert!(refusal(&model(), &nhwc(&["N", "H", "W", "3"]), 1).contains("add `input_shape: [1, 3, …, …]`"));
    // What a name is given to is written as the file has it.
    let named = CatalogModel { inputs: vec![entry("x", Some(&[1, 48, 64, 3]), None)], ..model() };
    assert_eq!(shapes(&named, &nhwc(&["N", "H", "W", "3"]), 1), Ok(vec![vec![1, 48, 64, 3]]));
}

#[test]
fn what_has_one_name_has_one_size() {
    let tokens = |name| tensor(name, ElementType::Int64, &["batch", "sequence"]);
    let state = tensor("state", ElementType::Float32, &["2", "batch", "128"]);
    let file = file_of(vec![tokens("ids"), tokens("mask"), state, tensor("sr", ElementType::Int64, &[])]);
    let one = CatalogModel { inputs: vec![entry("ids", Some(&[1, 128]), None)], ..model() };
    assert_eq!(shapes(&one, &file, 2), Ok(vec![vec![2, 128], vec![2, 128], vec![2, 2, 128], vec![]]));
    assert!(refusal(&model(), &file, 1).contains("add `inputs: { ids: { shape: [1, …] } }`"));
    // One word for all that is open means nothing.
    let vague = floats(&["None", "None", "None", "3"]);
    assert!(refusal(&model(), &vague, 1).contains("dimension 1 (None)"));
    let unknown = CatalogModel { inputs: vec![entry("idz", None, None)], ..model() };
    assert_eq!(refusal(&unknown, &file, 1), "models.yaml tells of an input idz, and the file has ids, mask, state, sr");
    let twice = CatalogModel { inputs: vec![entry("ids", Some(&[1, 128]), None)], ..shaped(&[1, 64]) };
    assert!(refusal(&twice, &file, 1).contains("two shapes of input ids"));
}

#[test]
fn what_can_not_be_fed_is_said() {
    let text = TensorSignature {
        element: TensorElement::Other("string".to_owned()),
        ..tensor("t", ElementType::Bool, &["1"])
    };
    assert!(refusal(&model(), &file_of(vec![text.clone()]), 1).contains("its input t is a string"));
    let list = TensorSignature { dims: None, element: TensorElement::Other("sequence".to_owned()), ..text };
    assert!(refusal(&model(), &file_of(vec![list]), 1).contains("its input t is a sequence"));
    let many = file_of((0..1025).map(|number| tensor(&format!("x{number}"), ElementType::Float32, &["1"])).collect());
    assert!(refusal(&model(), &many, 1).contains("1025 inputs"));
    assert!(refusal(&model(), &floats(&["1"; 65]), 1).contains("65 dimensions"));
    for name in ["", "x\ny", &"x".repeat(1025)] {
        assert!(refusal(&model(), &file_of(vec![tensor(name, ElementType::Float32, &["1"])]), 1).contains("name"));
    }
    assert!(refusal(&model(), &floats(&["1", "300000000"]), 1).contains("more than 1073741824 bytes"));
    assert!(refusal(&model(), &floats(&["4611686018427387904", "4611686018427387904"]), 1).contains("bytes"));
    let broken = WeightsFile { signature: Some(Err("it is empty".to_owned())), ..floats(&["1"]) };
    assert_eq!(refusal(&model(), &broken, 1), "it is empty");
}

#[test]
fn formats_that_tell_no_shape_have_the_catalogues() {
    let file = unread("torchscript_lite");
    assert!(refusal(&model(), &file, 1).contains("add `input_shape` to models.yaml"));
    let image = inputs(&shaped(&[1, 3, 8, 8]), &file, 4).unwrap();
    assert_eq!(
        (image[0].name.as_str(), image[0].element, &image[0].shape[..]),
        ("input", ElementType::Float32, &[4, 3, 8, 8][..])
    );
    let ids = CatalogInput { element: Some(ElementType::Int64), ..entry("ids", Some(&[1, 128]), None) };
    let named = CatalogModel { inputs: vec![ids, entry("scale", Some(&[2]), None)], ..model() };
    let found = inputs(&named, &file, 2).unwrap();
    assert_eq!(
        (found[0].element, &found[0].shape[..], &found[1].shape[..]),
        (ElementType::Int64, &[2, 128][..], &[2][..])
    );
    assert!(refusal(&shaped(&[8, 3]), &file, 2).contains("batch 2 is asked"));
    assert_eq!(inputs(&shaped(&[1, 3]), &unread("ncnn"), 2), Ok(Vec::new()));
}

#[test]
fn ranges_suit_what_they_are_of() {
    let range = |model: &CatalogModel, element| {
        let range = inputs(model, &file_of(vec![tensor("x", element, &["4"])]), 1)?.remove(0).range;
        Ok::<_, String>([range.low, range.high])
    };
    let with = |low, high| CatalogModel { input_range: Some(InputRange { low, high }), ..model() };
    assert_eq!(range(&model(), ElementType::Float16), Ok([0.0, 1.0]));
    assert_eq!(range(&model(), ElementType::Int64), Ok([0.0, 2.0]));
    assert_eq!(range(&model(), ElementType::Uint8), Ok([0.0, 256.0]));
    assert_eq!(range(&with(-2.1, 2.6), ElementType::Float32), Ok([-2.1, 2.6]));
    // What is meant for floats says nothing of bytes.
    assert_eq!(range(&with(-2.1, 2.6), ElementType::Int8), Ok([-128.0, 128.0]));
    assert_eq!(range(&with(0.0, 30_521.0), ElementType::Int32), Ok([0.0, 30_521.0]));
    let own = |low, high| CatalogModel { inputs: vec![entry("x", None, Some([low, high]))], ..with(0.0, 9.0) };
    assert_eq!(range(&own(16_000.0, 16_001.0), ElementType::Int64), Ok([16_000.0, 16_001.0]));
    assert!(range(&own(0.2, 0.8), ElementType::Int64).unwrap_err().contains("holds no i64"));
    assert!(range(&own(0.0, 300.0), ElementType::Uint8).unwrap_err().contains("holds no u8"));
    let quantised = TensorSignature { is_quantised: true, ..tensor("x", ElementType::Int8, &["4"]) };
    let found = inputs(&with(-2.1, 2.6), &file_of(vec![quantised]), 1).unwrap().remove(0).range;
    assert_eq!([found.low, found.high], [-2.1, 2.6]);
    let other = CatalogInput { element: Some(ElementType::Int32), ..entry("x", None, None) };
    let other = CatalogModel { inputs: vec![other], ..model() };
    assert_eq!(range(&other, ElementType::Int64), Err("models.yaml says i32 for input x, the file has i64".to_owned()));
}

#[test]
fn given_values_are_of_the_type_and_shape_that_is_measured() {
    let values = |element, shape: Option<&[u64]>, size_bytes| {
        let artifact = ArtifactRef { sha256: "ab".repeat(32), size_bytes };
        let found = Some(Ok(GivenValues { element, shape: shape.map(<[u64]>::to_vec), artifact }));
        let values = Some(InputValues { path: "x.npy".into(), found });
        CatalogModel { inputs: vec![CatalogInput { values, ..entry("x", None, None) }], ..model() }
    };
    let float = Some(ElementType::Float32);
    let open = floats(&["N", "3", "H"]);
    // They set what is open, and are the batch where they begin with 1.
    let one = values(float, Some(&[1, 3, 5]), 60);
    assert_eq!(shapes(&one, &open, 1), Ok(vec![vec![1, 3, 5]]));
    assert!(inputs(&one, &open, 1).unwrap()[0].values.is_some());
    assert!(refusal(&one, &open, 2).contains("are [1, 3, 5], input x is measured as [2, 3, 5]"));
    assert_eq!(shapes(&values(float, Some(&[4, 3, 5]), 240), &open, 1), Ok(vec![vec![4, 3, 5]]));
    assert!(refusal(&values(float, Some(&[0, 3, 5]), 0), &open, 1).contains("that is of no image"));
    assert_eq!(shapes(&values(None, None, 16), &floats(&["4"]), 1), Ok(vec![vec![4]]));
    assert!(refusal(&values(None, None, 15), &floats(&["4"]), 1).contains("15 bytes, which are not f32 [4]"));
    assert!(refusal(&values(float, Some(&[5]), 20), &floats(&["4"]), 1).contains("says [5] by its values for input x"));
    let double = values(Some(ElementType::Float64), Some(&[4]), 32);
    assert!(refusal(&double, &floats(&["4"]), 1).contains("are f64, input x is f32: save them as f32"));
    let broken = InputValues { path: "x.npy".into(), found: Some(Err("it is cut off".to_owned())) };
    let broken = CatalogInput { values: Some(broken), ..entry("x", None, None) };
    let broken = CatalogModel { inputs: vec![broken], ..model() };
    assert_eq!(refusal(&broken, &floats(&["4"]), 1), "it is cut off");
}

#[test]
fn a_first_dimension_that_an_operator_reads_as_the_batch_is_one() {
    let images = |dims: &[&str]| {
        let input =
            TensorSignature { first_dimension: Some(FirstDimension::Batch), ..tensor("x", ElementType::Float32, dims) };
        file_of(vec![input])
    };
    let eight = images(&["8", "3", "8", "8"]);
    assert_eq!(shapes(&model(), &eight, 8), Ok(vec![vec![8, 3, 8, 8]]));
    assert_eq!(least_batch(&model(), &eight), 8);
    assert!(refusal(&model(), &eight, 1).contains("ask for `batch: 8`"));
    assert!(refusal(&shaped(&[8, 3, 8, 8]), &eight, 1).contains("ask for `batch: 8`"));
    // The entry's shape is of one image.
    for batch in [1, 8] {
        assert_eq!(
            refusal(&shaped(&[8, 3, 8, 8]), &images(&["N", "3", "8", "8"]), batch),
            "models.yaml says [8, 3, 8, 8] for input x [N, 3, 8, 8], whose first dimension is the batch: the shape \
             there is of one image, so begin it with 1, and ask for `batch: 8`"
        );
    }
    assert_eq!(shapes(&shaped(&[1, 3, 8, 8]), &images(&["N", "3", "8", "8"]), 8), Ok(vec![vec![8, 3, 8, 8]]));
    assert_eq!(shapes(&model(), &images(&["1", "3", "8", "8"]), 1), Ok(vec![vec![1, 3, 8, 8]]));
}

#[test]
fn steps_of_a_sequence_are_no_batch() {
    let sequence = |name: &str, dims: &[&str]| TensorSignature {
        first_dimension: Some(FirstDimension::Steps),
        ..tensor(name, ElementType::Float32, dims)
    };
    let one = file_of(vec![sequence("x", &["seq", "1", "16"])]);
    let message = refusal(&model(), &one, 4);
    assert!(message.contains("reads it as steps of a sequence: add `input_shape: […, 1, 16]`"), "{message}");
    assert_eq!(shapes(&shaped(&[20, 1, 16]), &one, 1), Ok(vec![vec![20, 1, 16]]));
    // One step is one step, and not an image.
    assert_eq!(shapes(&shaped(&[1, 1, 16]), &one, 1), Ok(vec![vec![1, 1, 16]]));
    assert!(refusal(&shaped(&[1, 1, 16]), &one, 4).contains("steps of a sequence, which are no batch"));
    let fixed = file_of(vec![sequence("x", &["20", "1", "16"])]);
    assert_eq!(shapes(&model(), &fixed, 1), Ok(vec![vec![20, 1, 16]]));
    assert!(refusal(&model(), &fixed, 20).contains("steps of a sequence, which are no batch"));
    assert!(refusal(&shaped(&[1, 1, 16]), &fixed, 20).contains("correct models.yaml, or the file"));
    // Another input has as many.
    let two = file_of(vec![sequence("x", &["seq", "1", "16"]), tensor("mask", ElementType::Float32, &["seq", "1"])]);
    assert_eq!(shapes(&shaped(&[20, 1, 16]), &two, 1), Ok(vec![vec![20, 1, 16], vec![20, 1]]));
}

#[test]
fn advice_has_a_shape_where_the_file_has_none() {
    let any = TensorSignature { dims: None, ..tensor("x", ElementType::Float32, &[]) };
    assert!(refusal(&model(), &file_of(vec![any]), 1).contains("add `input_shape: [1, …]`"));
}

#[test]
fn a_batch_that_nobody_tells_is_doubted() {
    let doubt = |model: &CatalogModel, dims: &[&[&str]], batch: u32| {
        let names = ["x", "z"];
        let inputs = dims.iter().zip(names).map(|(dims, name)| tensor(name, ElementType::Float32, dims)).collect();
        batch_doubt(model, &file_of(inputs), batch)
    };
    let fixed = doubt(&model(), &[&["8", "1", "16"]], 1).unwrap();
    assert!(fixed.contains("the first dimension of input x [8, 1, 16] is the batch: an inference counts as one image"));
    assert!(fixed.contains(
        "if these are 8 images, add `input_shape: [1, 1, 16]` to its entry in models.yaml, and ask \
                            for `batch: 8`"
    ));
    let second = doubt(&model(), &[&["8", "16"], &["8", "4"]], 1).unwrap();
    assert!(second.contains("add `inputs: { x: { shape: [1, 16] } }`"), "{second}");
    let open = doubt(&model(), &[&["N", "16"]], 4).unwrap();
    assert!(open.contains("the open first dimension of input x [N, 16] is the batch: an inference counts as 4 images"));
    // Where it changes no number, where its entry tells, where another input or an operator shows the batch, and of
    // what nobody takes for images.
    assert_eq!(doubt(&model(), &[&["N", "16"]], 1), None);
    assert_eq!(doubt(&shaped(&[8, 1, 16]), &[&["8", "1", "16"]], 1), None);
    assert_eq!(doubt(&shaped(&[1, 16]), &[&["N", "16"]], 4), None);
    assert_eq!(doubt(&model(), &[&["1", "16"], &["100", "16"]], 1), None);
    assert_eq!(doubt(&model(), &[&["N", "16"], &["100", "16"]], 1), None);
    assert_eq!(doubt(&model(), &[&["16000"]], 1), None);
    for first in [FirstDimension::Batch, FirstDimension::Steps] {
        let read = TensorSignature { first_dimension: Some(first), ..tensor("x", ElementType::Float32, &["8", "16"]) };
        assert_eq!(batch_doubt(&model(), &file_of(vec![read]), 1), None);
    }
}
