//! What a file says of itself, and what its plan says of that.

use super::*;
use crate::domain::{
    Dimension, ElementType, FirstDimension, Layout, Operator, Peculiarity, TensorElement, TensorSignature,
};

fn tensor(name: &str, dims: &[&str]) -> TensorSignature {
    let dim = |word: &&str| match word.parse() {
        Ok(size) => Dimension::Fixed(size),
        Err(_) => Dimension::Open(Some((*word).to_owned())),
    };
    TensorSignature {
        name: name.to_owned(),
        element: TensorElement::Number(ElementType::Float32),
        dims: Some(dims.iter().map(dim).collect()),
        is_quantised: false,
        is_probability: false,
        first_dimension: Some(FirstDimension::Batch),
    }
}

/// A file's signature with that output.
fn signature(output: &[&str]) -> ModelSignature {
    let words = "fp32".to_owned();
    ModelSignature {
        inputs: vec![tensor("x", &["N", "1", "8", "8"])],
        outputs: vec![tensor("y", output)],
        arithmetic: Arithmetic { precision: Some(Precision::Float32), words, partly: Vec::new() },
        data_files: Vec::new(),
        foreign_operators: Vec::new(),
        operators: Vec::new(),
        ir_version: None,
        doubt: None,
        foreign_elements: Vec::new(),
    }
}

fn job_of(change: impl Fn(&mut WeightsFile)) -> Job {
    let mut catalog = catalog_of_digits();
    change(&mut catalog.models.last_mut().unwrap().files[0]);
    plan(&sweep_of_digits(), &inventory(), &catalog).jobs.remove(0)
}

#[test]
fn an_output_that_does_not_begin_with_the_batch_has_no_accuracy() {
    for (output, is_measured) in [
        (&["N", "10"][..], true),
        (&["M", "10"], true),
        (&["1", "M"], true),
        (&["10", "N"], false),
        (&["10", "M"], false),
        (&["M", "N"], false),
    ] {
        let job = job_of(|file| file.signature = Some(Ok(signature(output))));
        assert_eq!(job.dataset.is_some(), is_measured, "{output:?}: {:?}", job.remarks);
        assert!(
            is_measured || job.remarks[0].contains("y [") && job.remarks[0].contains("does not begin with the batch")
        );
        assert_eq!(job.model.outputs.len(), 1);
    }
}

#[test]
fn a_file_that_computes_in_several_ways_or_is_doubtful_says_so_in_its_rows() {
    let job = job_of(|file| {
        let mut mixed = signature(&["N", "10"]);
        mixed.arithmetic.words = "fp32, partly int8".to_owned();
        mixed.arithmetic.partly = vec!["int8".to_owned()];
        mixed.doubt = Some("a branch is too large".to_owned());
        file.signature = Some(Ok(mixed));
    });
    assert_eq!(job.remarks, ["the network computes in fp32, partly int8", "a branch is too large"]);
}

#[test]
fn multiply_adds_of_models_yaml_that_are_another_networks_are_told() {
    let said = |macs: u64| {
        let mut catalog = catalog_of_digits();
        let digits = catalog.models.last_mut().unwrap();
        (digits.macs, digits.files[0].macs) = (Some(macs), Some(Ok(73_728)));
        let job = plan(&sweep_of_digits(), &inventory(), &catalog).jobs.remove(0);
        assert_eq!(job.model.macs, Some(73_728));
        job.remarks
    };
    assert_eq!(said(999), ["models.yaml says 999 macs, and the file has 73728 an image, which stand"]);
    assert_eq!(said(74_000), [""; 0]);
}

#[test]
fn an_operator_of_ones_own_is_skipped_where_the_engine_has_none() {
    let skipped = |operator: &str, dialect: Dialect| {
        let mut catalog = catalog_of_formats();
        catalog.backends[1].program = Some(BackendProgram {
            licence: None,
            dialect,
            command: Vec::new(),
            options: BTreeMap::new(),
            targets: Vec::new(),
        });
        let mut own = signature(&["N", "10"]);
        own.foreign_operators = vec![operator.to_owned()];
        let mut tflite = file(WeightsKind::Synthetic, "tflite", Some('a'));
        tflite.signature = Some(Ok(own));
        catalog.models = vec![model("net", vec![tflite])];
        let sweep = Sweep { models: models(&["net"]), backends: models(&["litert"]), ..sweep() };
        let plan = plan(&sweep, &inventory(), &catalog);
        plan.skipped.into_iter().map(|it| it.reason).find(|reason| reason.contains("custom operator"))
    };
    assert!(skipped("MyOp", Dialect::Engine).unwrap().contains("has no custom operator \"MyOp\", which net needs"));
    assert_eq!(skipped("TFLite_Detection_PostProcess", Dialect::Engine), None);
    assert_eq!(skipped("MyOp", Dialect::TfliteBenchmarkModel), None);
}

fn operator(domain: &str, name: &str) -> Operator {
    Operator {
        name: name.to_owned(),
        domain: domain.to_owned(),
        opset: Some(17),
        is_defined: false,
        elements: Vec::new(),
        peculiarities: Vec::new(),
    }
}

/// Why a file with these operators is skipped on tract, and on a program that has those of ONNX and Microsoft.
fn operator_reasons(operators: &[Operator]) -> [Option<String>; 2] {
    let known = ModelSignature { operators: operators.to_vec(), ..signature(&["N", "10"]) };
    reasons_of("single", known)
}

/// The same of a file with that signature, and of a program of that name.
fn reasons_of(program: &str, known: ModelSignature) -> [Option<String>; 2] {
    let mut catalog = catalog();
    (catalog.backends[1].name, catalog.backends[1].version) = (program.to_owned(), "1.32.0".to_owned());
    catalog.backends[1].operator_domains = models(&["ai.onnx", "com.microsoft"]);
    catalog.backends[1].program = Some(BackendProgram {
        licence: None,
        dialect: Dialect::Engine,
        command: Vec::new(),
        options: BTreeMap::new(),
        targets: vec![BackendTarget { target: "x-static-musl".to_owned(), needs: None, files: Vec::new() }],
    });
    let mut onnx = file(WeightsKind::Synthetic, "onnx", Some('a'));
    onnx.signature = Some(Ok(known));
    catalog.models = vec![model("net", vec![onnx])];
    ["tract", program].map(|backend| {
        let sweep = Sweep { models: models(&["net"]), backends: models(&[backend]), ..sweep() };
        let plan = plan(&sweep, &inventory(), &catalog);
        let is_of_file = |reason: &String| {
            ["which net needs", "and net ", "file of net", "which net has"].iter().any(|it| reason.contains(it))
        };
        plan.skipped.into_iter().map(|it| it.reason).find(is_of_file)
    })
}

#[test]
fn what_onnx_runtime_has_no_kernel_of_is_skipped_when_planned() {
    let reason = |operators: &[Operator]| {
        reasons_of("onnxruntime", ModelSignature { operators: operators.to_vec(), ..signature(&["N", "10"]) })[1]
            .clone()
    };
    let old = |name: &str, opset| Operator { opset: Some(opset), ..operator("ai.onnx", name) };
    assert_eq!(
        reason(&[old("Add", 6), old("Gemm", 6), old("Relu", 6)]).unwrap(),
        "onnxruntime 1.32.0 has no kernel of Add (ai.onnx, opset 6) and 1 more, which net needs: convert it to opset 7 \
         with `onnx.version_converter`, or run it on another engine"
    );
    assert!(reason(&[old("RoiAlign", 22)]).unwrap().contains("export it with an older opset"));
    let bytes = Operator { elements: vec![ElementType::Uint8], ..old("Add", 13) };
    assert!(reason(&[bytes]).unwrap().contains("has no kernel of Add (ai.onnx, opset 13) for u8, which net needs"));
    assert!(reason(&[old("Invented", 17)]).unwrap().contains("has no operator Invented (ai.onnx, opset 17)"));
    assert!(reason(&[old("Relu", 99)]).unwrap().contains("up to opset 28, and net has opset 99"));
    assert_eq!(reason(&[old("Relu", 28)]), None);
    let newer = ModelSignature { ir_version: Some(15), ..signature(&["N", "10"]) };
    let [tract, newer] = reasons_of("onnxruntime", newer);
    assert!(newer.unwrap().contains("reads version 14 of ONNX's file format, and the file of net has version 15"));
    assert_eq!(tract, None);
    // Another program has kernels of its own.
    assert_eq!(operator_reasons(&[old("Add", 6)])[1], None);
}

#[test]
fn what_tract_reads_otherwise_than_a_file_means_it_is_skipped_when_planned() {
    let reason = |peculiarity| {
        operator_reasons(&[Operator { peculiarities: vec![peculiarity], ..operator("ai.onnx", "Expand") }])[0].clone()
    };
    let shape = reason(Peculiarity::ShapeFromInput).unwrap();
    assert!(
        shape.starts_with("tract 1.2 must know every shape before it runs, and net takes that of Expand"),
        "{shape}"
    );
    let old = reason(Peculiarity::AlongOtherDimensions).unwrap();
    assert!(
        old.contains("along the last dimensions of the first, and net means others: convert it to opset 7"),
        "{old}"
    );
}

#[test]
fn an_operator_that_an_engine_can_not_have_is_skipped_when_planned() {
    let none = [None, None];
    assert_eq!(operator_reasons(&[operator("ai.onnx", "Conv"), operator("com.microsoft", "FastGelu")]), none);
    let [tract, program] = operator_reasons(&[operator("ai.onnx", "Conv"), operator("ai.onnx", "SequenceConstruct")]);
    assert!(tract.unwrap().starts_with("tract 1.2 has no operator SequenceConstruct (ai.onnx, opset 17), which net"));
    assert_eq!(program, None);
    let [tract, program] = operator_reasons(&[operator("own", "MyOp"), operator("own", "Other")]);
    assert!(tract.unwrap().contains("MyOp (own, opset 17) and 1 more, which net needs"));
    let program = program.unwrap();
    assert!(program.contains("single has no operator MyOp (own, opset 17) and 1 more, which net needs"), "{program}");
    assert!(program.contains("`operator_domains` of single"), "{program}");
}

#[test]
fn tract_does_not_run_an_operator_of_its_own_in_place_of_a_files_function() {
    let function = |domain, name| Operator { is_defined: true, ..operator(domain, name) };
    let skipped = |operator: Operator| {
        let job = |catalog: &Catalog| {
            let sweep = Sweep { models: models(&["small"]), backends: models(&["tract"]), ..sweep() };
            plan(&sweep, &inventory(), catalog).skipped.into_iter().map(|it| it.reason).next()
        };
        let mut catalog = catalog();
        let known = ModelSignature { operators: vec![operator], ..signature(&["N", "10"]) };
        catalog.models[1].files[0].signature = Some(Ok(known));
        job(&catalog).filter(|reason| reason.contains("functions that a file defines"))
    };
    // A function of the file's that tract would take for its own operator.
    assert!(skipped(function("own", "Relu")).unwrap().contains("small calls Relu (own, opset 17): write them out"));
    assert!(skipped(function("own", "Layer")).unwrap().contains("inline_local_functions"));
    // tract has these, and means Microsoft's.
    assert_eq!(skipped(function("com.microsoft", "FastGelu")), None);
}

#[test]
fn what_models_yaml_says_otherwise_than_when_a_job_was_planned_is_told() {
    let mut catalog = catalog_of_digits();
    catalog.models.last_mut().unwrap().files[0].signature = Some(Ok(signature(&["N", "10"])));
    let jobs = plan(&sweep_of_digits(), &inventory(), &catalog).jobs;
    let changed = |change: fn(&mut CatalogModel)| {
        let mut catalog = catalog.clone();
        change(catalog.models.last_mut().unwrap());
        changed_facts(&jobs[0], &catalog)
    };
    let what = |change: fn(&mut CatalogModel)| {
        let told = changed(change).unwrap();
        told.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned()
    };
    assert_eq!(changed(|_| {}), None);
    assert_eq!(changed(|model| model.title = "another".to_owned()), None);
    assert_eq!(what(|model| model.input_range = Some(InputRange { low: -3.0, high: 3.0 })), "inputs");
    assert_eq!(what(|model| model.label_offset = 1), "label_offset");
    assert_eq!(what(|model| model.input_shape = Some(vec![1, 1, 9, 9])), "inputs, input_shape");
    assert_eq!(what(|model| model.files[0].layout = Layout::Nhwc), "inputs, layout");
    // Another file is told otherwise; a model that is gone is, too.
    assert_eq!(changed(|model| model.files[0].artifact = Some(artifact('9'))), None);
    assert!(changed(|model| model.name = "gone".to_owned()).unwrap().contains("models.yaml has no digits any more"));
}
