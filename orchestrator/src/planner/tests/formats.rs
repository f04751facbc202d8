//! Which of a model's files a job takes.

use super::*;

/// A catalogue with one network in several formats, and an engine for each.
pub(super) fn catalog_of_formats() -> Catalog {
    let synthetic = |format, digit| file(WeightsKind::Synthetic, format, Some(digit));
    let init = |digit: Option<char>| {
        let source = WeightsSource::Path(PathBuf::from("init_net.pb"));
        vec![FilePart { name: "init".to_owned(), artifact: digit.map(artifact), source }]
    };
    let engine = |name: &str, formats: &[&str], precisions: &[Precision]| Backend {
        name: name.to_owned(),
        version: "1".to_owned(),
        formats: models(formats),
        precisions: precisions.to_vec(),
        converts_to: Vec::new(),
        operator_domains: Vec::new(),
        multi_threaded: true,
        program: None,
    };
    let float = [Precision::Float32];
    let files = vec![
        synthetic("onnx", 'a'),
        WeightsFile { declared_precision: Some(Precision::Int8), ..synthetic("tflite", 'b') },
        synthetic("tflite", 'c'),
        WeightsFile { parts: init(Some('e')), ..synthetic("caffe2", 'd') },
    ];
    let broken = vec![WeightsFile { parts: init(None), ..synthetic("caffe2", 'd') }];
    Catalog {
        models: vec![
            CatalogModel { input_shape: Some(vec![1, 3, 8, 8]), ..model("net", files) },
            model("broken", broken),
            model("plain", vec![synthetic("tflite", 'f')]),
        ],
        backends: vec![
            engine("tract", &["onnx"], &float),
            engine("litert", &["tflite"], &[Precision::Float32, Precision::Float16, Precision::Int8]),
            engine("caffe2", &["caffe2"], &float),
            engine("any", &["caffe2", "onnx"], &float),
            engine("other", &["mnn"], &float),
        ],
        datasets: Vec::new(),
    }
}

#[test]
fn a_job_takes_the_file_that_its_engine_loads() {
    let sweep = Sweep {
        devices: vec![DeviceSelector::Name("host".to_owned())],
        models: models(&["net", "broken", "plain"]),
        backends: models(&["tract", "litert", "caffe2", "any", "other"]),
        precisions: vec![Precision::Float32, Precision::Float16, Precision::Int8],
        ..sweep()
    };
    let plan = plan(&sweep, &inventory(), &catalog_of_formats());
    let mut text = String::new();
    let files = |job: &Job| {
        let parts = job.model.parts.iter().map(|part| format!(" {}={}", part.name, &part.artifact.sha256[..1]));
        let own = job.model.artifact.as_ref().map_or("-", |artifact| &artifact.sha256[..1]);
        format!("{} {own}{}", job.model.format, parts.collect::<String>())
    };
    for job in &plan.jobs {
        writeln!(text, "run  {} {} {}: {}", job.model.name, job.backend, job.precision, files(job)).unwrap();
    }
    for Skipped { job, reason, .. } in &plan.skipped {
        writeln!(text, "skip {} {} {}: {reason}", job.model.name, job.backend, job.precision).unwrap();
    }
    insta::assert_snapshot!("formats", text);
    // A shape is said once: by the inputs of a format that is known, else as the catalogue has it.
    for job in &plan.jobs {
        let inputs: Vec<&[u64]> = job.model.inputs.iter().map(|input| &input.shape[..]).collect();
        let one_image = job.model.input_shape.as_deref();
        match (job.model.name.as_str(), job.model.format.as_str()) {
            ("net", "caffe2") => assert_eq!((&inputs[..], one_image), (&[&[1, 3, 8, 8][..]][..], None)),
            ("net", _) => assert_eq!((&inputs[..], one_image), (&[][..], Some(&[1, 3, 8, 8][..]))),
            _ => assert_eq!((&inputs[..], one_image), (&[][..], None)),
        }
    }
}

#[test]
fn a_further_file_changes_the_identifier() {
    let id = |change: &dyn Fn(&mut Vec<FilePart>)| {
        let mut catalog = catalog_of_formats();
        change(&mut catalog.models[0].files[3].parts);
        let sweep = Sweep { models: models(&["net"]), backends: models(&["caffe2"]), ..sweep() };
        plan(&sweep, &inventory(), &catalog).jobs[0].id.clone()
    };
    let ids = [id(&|_| {}), id(&|parts| parts[0].artifact = Some(artifact('f'))), id(&|parts| parts.clear())];
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_job_takes_the_file_of_exactly_its_precision() {
    let held = |digit, precision: Option<Precision>, words: &str| WeightsFile {
        declared_precision: None,
        signature: Some(Ok(ModelSignature {
            inputs: Vec::new(),
            outputs: Vec::new(),
            arithmetic: Arithmetic { precision, words: words.to_owned(), partly: Vec::new() },
            data_files: Vec::new(),
            foreign_operators: Vec::new(),
            operators: Vec::new(),
            ir_version: None,
            doubt: None,
            foreign_elements: Vec::new(),
        })),
        ..file(WeightsKind::Synthetic, "onnx", Some(digit))
    };
    let fp32 = held('a', Some(Precision::Float32), "fp32");
    let fp16 = held('b', Some(Precision::Float16), "fp16");
    let wrong =
        WeightsFile { declared_precision: Some(Precision::Int8), ..held('c', Some(Precision::Float32), "fp32") };
    let engine = |name: &str, converts_to: &[Precision]| Backend {
        name: name.to_owned(),
        precisions: Precision::ALL.to_vec(),
        converts_to: converts_to.to_vec(),
        ..catalog().backends[0].clone()
    };
    let catalog = Catalog {
        models: vec![
            model("both", vec![fp32.clone(), fp16.clone()]),
            model("turned", vec![fp16, fp32.clone()]),
            model("one", vec![fp32.clone()]),
            model("double", vec![held('d', None, "fp64")]),
            model("wrong", vec![wrong]),
            model("twice", vec![fp32.clone(), fp32]),
        ],
        backends: vec![engine("cpu", &[]), engine("gpu", &[Precision::Float16])],
        datasets: Vec::new(),
    };
    let sweep = Sweep {
        models: models(&["both", "turned", "one", "double", "wrong", "twice"]),
        backends: models(&["cpu", "gpu"]),
        precisions: Precision::ALL.to_vec(),
        ..sweep()
    };
    let plan = plan(&sweep, &Inventory { devices: vec![device("host", &[])], host_target: None }, &catalog);
    let mut text = String::new();
    for job in &plan.jobs {
        let digit = &job.model.artifact.as_ref().unwrap().sha256[..1];
        writeln!(text, "run  {} {} {}: {digit}", job.model.name, job.backend, job.precision).unwrap();
    }
    for Skipped { job, reason, .. } in &plan.skipped {
        writeln!(text, "skip {} {} {}: {reason}", job.model.name, job.backend, job.precision).unwrap();
    }
    insta::assert_snapshot!("precisions", text);
}
