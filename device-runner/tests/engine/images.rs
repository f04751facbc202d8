//! Images that are classified after the timed loop.

use std::fs;

use farmctl_protocol::{Evaluation, Layout, Message, Phase, RemarkKind, RunnerFailureKind, exit};

use super::lab::echo::{request, samples};
use super::lab::{Lab, QUICK};
use super::{answer, remark};

/// What the runner is asked of images of 2 × 2 pixels and three bytes, of which the echo engine gives back all twelve.
fn evaluation(lab: &Lab, images: &[u8]) -> Evaluation {
    Evaluation {
        images: lab.push(images),
        count: images.len() as u32 / 12,
        height: 2,
        width: 2,
        channels: 3,
        scores: None,
        classes: 12,
        mean: vec![0.0, 1.0, 127.0],
        std: vec![1.0, 2.0, 128.0],
    }
}

fn classified(messages: &[Message]) -> Vec<Vec<u32>> {
    let classified = messages.iter().filter_map(|message| match message {
        Message::Classified { best, .. } => Some(best.clone()),
        _ => None,
    });
    classified.flatten().collect()
}

/// Three images: the highest values of each are where its name says.
const IMAGES: [u8; 36] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, // last pixel
    200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9, // the first byte of the first pixel, the second of the second
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // all first bytes alike
];

#[test]
fn images_are_classified_after_the_timed_loop() {
    let lab = Lab::new();
    for (batch, layout) in [(1, Layout::Nhwc), (2, Layout::Nhwc), (5, Layout::Nhwc)] {
        let mut request = request(&lab, QUICK, &[("behave", "library")]);
        (request.run_id, request.job.batch, request.job.layout) = (format!("batch-{batch}"), batch, layout);
        request.job.evaluation = Some(evaluation(&lab, &IMAGES));
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!(code, 0, "{stderr}");
        let expected = [vec![9, 6, 10, 3, 7], vec![0, 4, 9, 10, 8], vec![0, 3, 6, 9, 1]];
        assert_eq!(classified(&messages), expected, "{messages:?}");
        let place = |wanted: fn(&Message) -> bool| messages.iter().position(wanted).unwrap();
        let evaluate = place(|message| *message == Message::Phase { phase: Phase::Evaluate });
        assert!(place(|message| matches!(message, Message::Output(_))) < evaluate);
        assert_eq!(answer(&messages).len() as u32, 12 * batch);
    }
}

#[test]
fn what_is_no_number_is_no_answer() {
    let lab = Lab::new();
    let mut request = request(&lab, QUICK, &[("behave", "no numbers")]);
    request.job.layout = Layout::Nhwc;
    request.job.evaluation = Some(evaluation(&lab, &IMAGES));
    let (messages, ..) = lab.start(&request).finish();
    assert_eq!(classified(&messages), [[9, 3, 7, 1, 11], [9, 3, 1, 7, 11], [3, 9, 1, 7, 5]], "{messages:?}");
}

#[test]
fn an_engine_inside_classifies_as_one_outside() {
    let lab = Lab::new();
    let mut inside = lab.request("inside", QUICK);
    let images: Vec<u8> = (0..3 * 32 * 32 * 5).map(|index: u32| (index * index % 251) as u8).collect();
    let evaluation = Evaluation { count: 5, height: 32, width: 32, classes: 8, ..evaluation(&lab, &images) };
    inside.job.evaluation = Some(evaluation.clone());
    let (one_by_one, ..) = lab.start(&inside).finish();
    (inside.run_id, inside.job.batch) = ("batched".to_owned(), 2);
    let (batched, ..) = lab.start(&inside).finish();
    assert_eq!((classified(&one_by_one).len(), classified(&one_by_one)[0].len()), (5, 5), "{one_by_one:?}");
    assert_eq!(classified(&batched), classified(&one_by_one));
    // The same network, in another language: values of the echo engine are ranked by the same rule.
    let mut wrong = inside;
    (wrong.run_id, wrong.job.evaluation) = ("wrong".to_owned(), Some(Evaluation { classes: 9, ..evaluation }));
    let (messages, ..) = lab.start(&wrong).finish();
    assert!(remark(&messages, RemarkKind::NoAccuracy).contains("9 classes"), "{messages:?}");
    assert!(samples(&messages).len() == 7 && matches!(messages.last(), Some(Message::Finished { .. })));
    assert_eq!(answer(&messages).len(), 16, "the answer is sent before");
}

#[test]
fn classes_are_ranked_by_the_output_that_the_job_names() {
    let lab = Lab::new();
    for (scores, wanted) in [("scores = x", 3), ("elsewhere", 0)] {
        let mut request = request(&lab, QUICK, &[("wide", "1"), ("name", "scores = x")]);
        (request.run_id, request.job.layout) = (format!("scores-{wanted}"), Layout::Nhwc);
        let scores = Some(scores.to_owned());
        request.job.evaluation = Some(Evaluation { scores, ..evaluation(&lab, &IMAGES) });
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!((code, classified(&messages).len()), (0, wanted), "{stderr} {:?}", messages.last());
        assert!(wanted > 0 || remark(&messages, RemarkKind::NoAccuracy).contains("no output \"elsewhere\""));
    }
}

#[test]
fn a_deadline_ends_a_classification_too() {
    let lab = Lab::new();
    let images = vec![1; 12 * 100_000];
    let mut request = request(&lab, QUICK, &[("sleep_ns", "10000000")]);
    (request.deadline_seconds, request.job.layout) = (1.5, Layout::Nhwc);
    request.job.evaluation = Some(evaluation(&lab, &images));
    let failure = lab.start(&request).failure();
    assert_eq!(failure.failure, RunnerFailureKind::Deadline);
    assert!(failure.message.contains("while images were being classified"), "{failure:?}");
}

#[test]
fn images_that_are_not_what_the_job_says_are_refused() {
    let lab = Lab::new();
    let mut request = request(&lab, QUICK, &[]);
    let good = evaluation(&lab, &IMAGES);
    for (evaluation, part) in [
        (Evaluation { count: 4, ..good.clone() }, "are not 36 bytes"),
        (Evaluation { count: 0, ..good.clone() }, "evaluation.count"),
        (Evaluation { height: u32::MAX, width: u32::MAX, channels: u32::MAX, ..good.clone() }, "an image has"),
        (Evaluation { std: vec![1.0, 0.0, 1.0], ..good.clone() }, "one number for each"),
        (Evaluation { mean: vec![1.0], ..good.clone() }, "one number for each"),
    ] {
        request.job.evaluation = Some(evaluation);
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!((messages.len(), code), (0, exit::USAGE));
        assert!(stderr.contains(part), "{stderr}");
    }
    fs::write(lab.path("store").join(&good.images.sha256), [0; 36]).unwrap();
    request.job.evaluation = Some(good);
    let failure = lab.start(&request).failure();
    assert_eq!(failure.failure, RunnerFailureKind::ArtifactCorrupt);
    assert!(failure.message.contains("the file of images"), "{failure:?}");
}
