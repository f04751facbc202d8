use super::*;

fn gate(text: &str) -> Gate {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    text.parse::<Gate>().unwrap_err().to_string()
}

#[test]
fn gates_are_read_or_refused_with_what_to_write() {
    for (text, read) in [
        ("slower > 3%", "slower > 3%"),
        (" slower>=3 ", "slower >= 3%"),
        ("top1 < -0.5", "top1 < -0.5"),
        ("geomean > 1.5 %", "geomean > 1.5%"),
        ("faster > 50%", "faster > 50%"),
    ] {
        assert_eq!(gate(text).to_string(), read);
    }
    let said = [
        "",
        "> 3",
        "slow > 3%",
        "slower",
        "slower 3%",
        "slower => 3%",
        "slower > three",
        "slower > 3%%",
        "slower > inf",
        "slower < 3%",
        "slower > -3",
        "top1 < -1%",
        "slower > 3% or top1 < 0",
    ];
    insta::assert_snapshot!(said.map(|text| format!("{text:?}: {}", refused(text))).join("\n"));
}

#[test]
fn a_gate_fails_by_what_is_sure_and_says_what_is_not() {
    let a = medians("a", &STEADY);
    let of = |text: &str, b: &Runs, unclear| judge(&gate(text), &compared(&a, b), unclear);
    let slower = medians("b", &times(&STEADY, 1.05));
    let outcome = of("slower > 3%", &slower, Unclear::Pass);
    let name = "pixel-6: net tract fp32 trained threads 4 batch 1 single_stream";
    assert_eq!(outcome.failures, [(name.to_owned(), "slower by 5.0 %".to_owned())]);
    assert!(!outcome.is_passed());
    assert!(of("slower > 6%", &slower, Unclear::Pass).is_passed());
    assert!(of("faster > 0", &slower, Unclear::Fail).is_passed());
    assert_eq!(of("geomean > 4", &slower, Unclear::Pass).failures.len(), 1);
    assert!(of("geomean > 5.1", &slower, Unclear::Pass).is_passed());
    let one = medians("b", &[9.0]);
    let passed = of("slower > 3%", &one, Unclear::Pass);
    assert_eq!((passed.is_passed(), passed.untold.len()), (true, 1));
    assert!(!of("slower > 3%", &one, Unclear::Fail).is_passed());
}

#[test]
fn what_worked_and_fails_now_fails_each_gate() {
    let failed = |status| {
        let mut facts = run("net", "b", 0, 1.0);
        (facts.scored.status, facts.median_s, facts.scored.failure) = (status, None, Some("out_of_memory: oom".into()));
        side("b", [facts, run("other", "b", 0, 1.0)])
    };
    let a = side("a", [run("net", "a", 0, 1.0), run("other", "a", 0, 1.0)]);
    let of = |text: &str, status| judge(&gate(text), &compared(&a, &failed(status)), Unclear::Pass);
    let outcome = of("slower > 3%", RunStatus::Failed);
    assert_eq!(outcome.failures[0].1, "A has a time, B has none: failed: out_of_memory: oom");
    assert!(!of("top1 < -1", RunStatus::Failed).is_passed());
    assert!(of("slower > 3%", RunStatus::Skipped).is_passed(), "nobody tried");
}

#[test]
fn accuracy_is_counted_in_points() {
    let with = |name: &str, top1: Option<f64>| {
        let mut facts = run("net", name, 0, 1.0);
        facts.scored.accuracy = Some(RunAccuracy { top1, top5: Some(0.9), n_images: Some(1000) });
        side(name, [facts])
    };
    let of = |text: &str, b: Option<f64>| {
        judge(&gate(text), &compared(&with("a", Some(0.761)), &with("b", b)), Unclear::Pass)
    };
    let outcome = of("top1 < -0.5", Some(0.755));
    assert_eq!(outcome.failures[0].1, "top1 76.10 % → 75.50 %: -0.60 points");
    assert!(of("top1 < -0.6", Some(0.755)).is_passed(), "exactly so much is not more");
    assert!(!of("top1 <= -0.6", Some(0.755)).is_passed());
    assert!(of("top5 < 0", Some(0.755)).is_passed());
    let lost = of("top1 < -0.5", None);
    assert_eq!((lost.is_passed(), lost.untold[0].1.as_str()), (true, "no top1 in B"));
}

#[test]
fn what_was_measured_again_stands_in_the_place_of_what_was_unclear() {
    let two = |name: &str, factor: f64| {
        let times = |model: &str| STEADY.iter().take(if model == "once" { 1 } else { 10 }).enumerate();
        let runs = |model: &'static str| times(model).map(|(at, time_s)| (model, at, *time_s)).collect::<Vec<_>>();
        let all = [runs("once"), runs("often")].concat();
        side(name, all.into_iter().map(|(model, at, time_s)| run(model, name, at, time_s * factor)))
    };
    let mut comparison = compared(&two("a", 1.0), &two("b", 1.0));
    let verdict = |comparison: &Comparison, model: &str| {
        comparison.cells.iter().find(|cell| cell.key.model == model).map(|cell| cell.verdict).unwrap()
    };
    assert_eq!((verdict(&comparison, "once"), verdict(&comparison, "often")), (Verdict::Unclear, Verdict::Same));
    let fails = |comparison: &Comparison| judge(&gate("slower > 3%"), comparison, Unclear::Rerun).failures.len();
    assert_eq!(fails(&comparison), 1, "what is unclear fails, as long as it is");

    let again = |factor: f64| {
        let runs = |name: &str, factor: f64| {
            side(name, (0..10).map(|at| run("once", name, at, STEADY[at] * factor)).collect::<Vec<_>>())
        };
        let comparison = compared(&runs("again-a", 1.0), &runs("again-b", factor));
        MeasuredAgain { comparison, sweep: "20270115-again".to_owned(), across: None }
    };
    let mut slower = comparison.clone();
    slower.take_over(again(1.1));
    assert_eq!((verdict(&slower, "once"), fails(&slower)), (Verdict::Slower, 1));
    assert!((slower.geomeans[0].percent - (1.1_f64.sqrt() - 1.0) * 100.0).abs() < 0.01, "{:?}", slower.geomeans);
    comparison.take_over(again(1.0));
    assert_eq!((verdict(&comparison, "once"), fails(&comparison)), (Verdict::Same, 0));
    assert_eq!(comparison.cells[0].a.times_s.len(), 10, "its times are those of then");
    assert!(comparison.notes.iter().any(|note| note.contains("in sweep 20270115-again")), "{:?}", comparison.notes);
    // What was told stays as it was.
    comparison.take_over(again(2.0));
    assert_eq!(verdict(&comparison, "once"), Verdict::Same);
}
