#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;
use crate::domain::sample;
use crate::report::ReportInput;

/// Whether it is true of a run of mobilenet_v2 on rk3588-1 by tract, 2 threads, p50 of 19.5 ms.
fn is_true(text: &str) -> bool {
    let (sweep, records) = (sample::sweep(), [sample::record("rk3588-1", "mobilenet_v2")]);
    let outputs = HashMap::new();
    let input = ReportInput::new(&sweep, &records, &outputs);
    let filter = Filter::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    filter.is_true_of(&input.rows()[0])
}

#[test]
fn conditions_are_true_of_what_they_say() {
    for text in [
        "model=mobilenet_v2",
        "model = MobileNet_V2 and device~RK and status=ok",
        "model=resnet50 or backend=tract",
        "model=resnet50 or device~rk and threads=2",
        "(model=resnet50 or device~rk) and p50_ms>=19.5",
        "not model=resnet50",
        "model!=resnet50 and device!~pixel",
        "p50_ms<19.6 and p50_ms > 19.4 and batch<=1",
        "finished_at>2020-01-01 and finished_at<\"2100-01-01T00:00:00Z\"",
        "os='Debian GNU/Linux 12 (bookworm)'",
        "failure_kind=\"\"",
        "failure_kind!=timeout",
        "verdict=too_few",
        "dataset=''",
    ] {
        assert!(is_true(text), "{text}");
    }
    for text in [
        "model=mobilenet",
        "model=resnet50 and backend=tract",
        "(model=resnet50 or device~rk) and threads=4",
        "not (model=mobilenet_v2 and threads=2)",
        "p50_ms<19.5",
        "status=\"\"",
        "failure_kind=timeout",
        "failure_kind~x",
        "finished_at<2020-01-01",
        "temp_max_c>0",
        "temp_max_c<=0",
    ] {
        assert!(!is_true(text), "{text}");
    }
}

#[test]
fn and_binds_more_than_or() {
    assert!(is_true("model=mobilenet_v2 or model=x and model=y"));
    assert!(!is_true("(model=mobilenet_v2 or model=x) and model=y"));
}

#[test]
fn faults_say_where_and_what() {
    let long = "x".repeat(5000);
    let deep = format!("{}model=a", "(".repeat(40));
    let cases = [
        ("", "column 1, at its end: a column is missing here"),
        ("modle=a", "column 1, at \"modle=a\": there is no column \"modle\""),
        ("model=a and ", "column 13, at its end: a column is missing here"),
        ("model a", "column 7, at \"a\": a sign is missing after model"),
        ("model=", "column 7, at its end: a value is missing for model"),
        ("model=a device=b", "column 9, at \"device=b\": `and` or `or` is missing before this"),
        ("(model=a", "column 9, at its end: `)` is missing here"),
        ("model=a)", "column 8, at \")\": this bracket was not opened"),
        ("model='a", "column 7, at \"'a\": the quote ' is not closed"),
        ("p50_ms<fast", "column 8, at \"fast\": p50_ms is a number, and \"fast\" is none"),
        ("p50_ms<nan", "column 8, at \"nan\": p50_ms is a number, and \"nan\" is none"),
        ("model<a", "column 6, at \"<a\": model is a text, and has no order"),
        ("finished_at>soon", "column 13, at \"soon\": finished_at is a time"),
        ("model!a", "column 6, at \"!a\": `!` stands before"),
        ("ünder=a", "column 1, at \"ünder=a\": there is no column"),
        (&long, "it is longer than 4096 bytes"),
        (&deep, "nested more than 32 deep"),
    ];
    for (text, expected) in cases {
        let fault = Filter::parse(text).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains(expected), "{text}: {fault}");
    }
    let hint = |text: &str| Filter::parse(text).map(|_| ()).unwrap_err().hint().map(str::to_owned);
    assert_eq!(hint("modle=a").as_deref(), Some("did you mean `model`?"));
    assert_eq!(hint("zzzzzz=a").as_deref(), Some("`farmctl report --columns` lists them"));
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,40}|[a-z=~<>!()'\" ]{0,60}") {
        let _ = Filter::parse(&text).map(|_| ()).map_err(|fault| fault.to_string());
    }
}
