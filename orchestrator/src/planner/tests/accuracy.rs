//! Jobs that are shown images.

use super::*;

#[test]
fn trained_weights_are_shown_the_images_of_the_dataset() {
    let (inventory, catalog) = (inventory(), catalog_of_digits());
    let of = |catalog: &Catalog, sweep: &Sweep| plan(sweep, &inventory, catalog).jobs.remove(0);
    let job = of(&catalog, &sweep_of_digits());
    let dataset = job.dataset.clone().unwrap();
    assert_eq!((dataset.images, dataset.classes, dataset.shape), (360, 10, [8, 8, 1]));
    // Another dataset, list or preprocessing is another job; no dataset is what it always was.
    let mut other_list = catalog.clone();
    other_list.datasets[0].list.as_mut().unwrap().as_mut().unwrap().sha256 = "d".repeat(64);
    let mut other_std = catalog.clone();
    other_std.models.last_mut().unwrap().preprocessing.as_mut().unwrap().std = vec![8.0];
    let none = of(&catalog, &Sweep { dataset: None, ..sweep_of_digits() });
    assert!(none.dataset.is_none());
    let ids = [job.id, of(&other_list, &sweep_of_digits()).id, of(&other_std, &sweep_of_digits()).id, none.id];
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    // What lets one doubt the classes is told with each accuracy, and makes no other job of it.
    let mut doubted = catalog.clone();
    doubted.datasets[0].list.as_mut().unwrap().as_mut().unwrap().doubts = vec!["class 0 has no image".to_owned()];
    let told = of(&doubted, &sweep_of_digits());
    let remark = "accuracy may be wrong: of the dataset digits, class 0 has no image";
    assert_eq!((told.remarks, &told.id), (vec![remark.to_owned()], &ids[0]));
    // Synthetic weights have no accuracy, and are measured all the same.
    let synthetic = Sweep { weights: vec![WeightsKind::Synthetic], ..sweep_of_digits() };
    let synthetic = of(&doubted, &synthetic);
    assert!(synthetic.dataset.is_none() && synthetic.remarks.is_empty());
}

#[test]
fn what_could_have_an_accuracy_and_has_none_is_measured_with_the_reason() {
    type Change = fn(&mut Catalog);
    let cases: [(Change, &str); 7] = [
        (|it| it.models.last_mut().unwrap().classes = None, "how many `classes`"),
        (
            |it| it.models.last_mut().unwrap().classes = Some(1000),
            "tells 1000 classes apart, the dataset digits has 10",
        ),
        (|it| it.models.last_mut().unwrap().classes = Some(11), "is «background», write `label_offset: 1`"),
        (|it| it.models.last_mut().unwrap().preprocessing = None, "the `preprocessing` of digits"),
        (|it| it.models.last_mut().unwrap().input_shape = None, "the `input_shape` of digits"),
        (|it| it.datasets[0].list = Some(Err("failed to find x".to_owned())), "can't be had: failed to find x"),
        (|it| it.datasets.clear(), "has no dataset digits"),
    ];
    for (change, part) in cases {
        let mut catalog = catalog_of_digits();
        change(&mut catalog);
        let plan = plan(&sweep_of_digits(), &inventory(), &catalog);
        assert!(plan.skipped.iter().all(|it| it.kind == FailureKind::Disabled), "{:?}", plan.skipped);
        let job = &plan.jobs[0];
        assert!(job.dataset.is_none() && job.remarks.len() == 1 && job.remarks[0].contains(part), "{:?}", job.remarks);
    }
}

#[test]
fn a_file_that_was_replaced_since_the_plan_is_told() {
    let mut catalog = catalog_of_digits();
    let job = plan(&sweep_of_digits(), &inventory(), &catalog).jobs.remove(0);
    assert_eq!(replaced_file(&job, &catalog), None);
    let file = &mut catalog.models.last_mut().unwrap().files[0];
    file.artifact = Some(ArtifactRef { sha256: "e".repeat(64), size_bytes: 1 });
    file.source = WeightsSource::Path("models/mine.onnx".into());
    let reason = replaced_file(&job, &catalog).unwrap();
    assert_eq!(reason, "models/mine.onnx is another file than in that sweep: start the sweep anew");
    catalog.models.clear();
    assert_eq!(replaced_file(&job, &catalog), None, "a model that is gone has a reason of its own");
}

#[test]
fn answers_before_the_first_class_are_told() {
    for classes in [10, 11] {
        let mut catalog = catalog_of_digits();
        let model = catalog.models.last_mut().unwrap();
        (model.classes, model.label_offset, model.scores) = (Some(classes), 1, Some("y".to_owned()));
        let job = plan(&sweep_of_digits(), &inventory(), &catalog).jobs.remove(0);
        let dataset = job.dataset.unwrap();
        assert_eq!((dataset.classes, dataset.answers()), (10, 11));
        assert!(dataset.text().ends_with("; answer 1 is class 0; ranked: y"), "{}", dataset.text());
        assert_ne!(job.id, plan(&sweep_of_digits(), &inventory(), &catalog_of_digits()).jobs[0].id);
    }
}
