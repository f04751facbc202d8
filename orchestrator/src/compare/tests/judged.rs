//! What a gate judges, what it can't tell, and what it has nothing to look at.

use super::*;

fn outcome(text: &str, comparison: &Comparison, unclear: Unclear) -> GateOutcome {
    judge(&text.parse::<Gate>().unwrap(), comparison, unclear)
}

/// Ten runs of a network.
fn ten(name: &str, model: &str, factor: f64) -> Vec<RunFacts> {
    STEADY.iter().enumerate().map(|(number, time_s)| run(model, name, number, time_s * factor)).collect()
}

fn ended(mut facts: RunFacts, status: RunStatus, failure: &str) -> RunFacts {
    (facts.scored.status, facts.median_s, facts.scored.latency_s) = (status, None, None);
    facts.scored.failure = Some(failure.into());
    facts.scored.failure_kind = failure.split(':').next().and_then(|word| word.parse().ok());
    facts
}

fn with_top1(mut facts: RunFacts, top1: f64, dataset: &str, n_images: u64) -> RunFacts {
    facts.scored.accuracy = Some(RunAccuracy { top1: Some(top1), top5: None, n_images: Some(n_images) });
    facts.scored.dataset = dataset.into();
    facts
}

fn whys(places: &[(String, String)]) -> Vec<&str> {
    places.iter().map(|(_, why)| why.as_str()).collect()
}

#[test]
fn a_gate_with_nothing_to_look_at_has_not_passed() {
    let comparison = compared(&medians("a", &STEADY), &medians("b", &STEADY));
    let none = outcome("top1 < -0.5", &comparison, Unclear::Pass);
    assert_eq!((none.judged, none.nothing.as_deref(), none.is_passed()), (0, Some("no cell has top1"), true));
    assert_eq!(none.untold, [("all cells".to_owned(), "nothing to judge: no cell has top1".to_owned())]);
    assert_eq!(whys(&none.passed_over), ["no top1 in either"]);
    assert!(!outcome("top1 < -0.5", &comparison, Unclear::Fail).is_passed());
    assert!(!outcome("top5 < 0", &comparison, Unclear::Rerun).is_passed());
    let time = outcome("slower > 3%", &comparison, Unclear::Fail);
    assert_eq!((time.judged, time.nothing, time.failures.len()), (1, None, 0));
    // One network of two has labels: the other has nothing to be judged by.
    let both =
        |name: &str| side(name, [with_top1(run("net", name, 0, 1.0), 0.5, "digits", 100), run("other", name, 0, 1.0)]);
    let one = outcome("top1 < -0.5", &compared(&both("a"), &both("b")), Unclear::Fail);
    assert_eq!((one.judged, one.untold.len(), one.passed_over.len(), one.is_passed()), (1, 0, 1, true));
}

#[test]
fn accuracies_of_other_images_are_not_compared() {
    let of = |dataset: &str, n_images: u64| {
        let a = side("a", [with_top1(run("net", "a", 0, 1.0), 0.9, "digits", 1797)]);
        let b = side("b", [with_top1(run("net", "b", 0, 1.0), 0.7, dataset, n_images)]);
        outcome("top1 < -0.5", &compared(&a, &b), Unclear::Pass)
    };
    let other = of("imagenet", 1000);
    assert_eq!(whys(&other.untold), ["top1 is of digits (1797 images) in A, and of imagenet (1000 images) in B"]);
    assert_eq!((other.judged, other.is_passed()), (0, true));
    assert_eq!(of("digits", 100).untold.len(), 1, "fewer of them are others");
    assert_eq!(of("digits", 1797).failures.len(), 1);
    assert_eq!(of("", 1797).failures.len(), 1, "what is not told is no difference");
}

#[test]
fn a_baseline_without_results_tells_nothing() {
    let failed = |name: &str, status| {
        let facts = ten(name, "net", 1.0).into_iter().map(|facts| ended(facts, status, "crashed: signal 9"));
        side(name, facts.collect::<Vec<_>>())
    };
    for (status, word) in [(RunStatus::Failed, "failed"), (RunStatus::Skipped, "skipped")] {
        let comparison = compared(&failed("a", status), &medians("b", &STEADY));
        for gate in ["slower > 3%", "faster > 50%", "geomean > 1%"] {
            let told = outcome(gate, &comparison, Unclear::Pass);
            assert_eq!(whys(&told.untold), [format!("no time in A: {word}: crashed: signal 9")], "{gate}");
            assert_eq!((told.judged, told.is_passed()), (0, true));
            assert!(!outcome(gate, &comparison, Unclear::Fail).is_passed(), "{gate}");
        }
    }
    // What nobody asked A for is new, and what both left out is nobody's loss.
    let a =
        side("a", ten("a", "net", 1.0).into_iter().chain([ended(run("out", "a", 0, 1.0), RunStatus::Skipped, "x")]));
    let b = [ended(run("out", "b", 0, 1.0), RunStatus::Skipped, "x"), run("new", "b", 0, 1.0)];
    let comparison = compared(&a, &side("b", ten("b", "net", 1.0).into_iter().chain(b)));
    let told = outcome("slower > 3%", &comparison, Unclear::Fail);
    assert_eq!((told.is_passed(), told.judged), (true, 1));
    assert_eq!(whys(&told.passed_over), ["A has no such cell", "neither has a time"]);
}

#[test]
fn a_geometric_mean_does_not_hide_what_is_no_part_of_it() {
    let a = side("a", ["net", "gone", "lost", "once"].into_iter().flat_map(|model| ten("a", model, 1.0)));
    let lost = ten("b", "lost", 1.0).into_iter().map(|facts| ended(facts, RunStatus::Failed, "timeout: 60 s"));
    let b = side("b", ten("b", "net", 1.0).into_iter().chain(lost).chain([run("once", "b", 0, 1.0)]));
    let comparison = compared(&a, &b);
    let told = outcome("geomean > 1%", &comparison, Unclear::Pass);
    assert_eq!(whys(&told.failures), ["A has a time, B has none: failed: timeout: 60 s"]);
    assert_eq!(told.untold.len(), 2, "{:?}", told.untold);
    assert_eq!((told.untold[0].1.as_str(), told.judged), ("not measured in B", 1));
    assert!(told.untold[1].0.contains("once"), "one run tells nothing of the next");
    // A whole device that failed, beside one that did not.
    let on = |name: &str, device: &str| {
        let mut facts = ten(name, "net", 1.0);
        facts.iter_mut().for_each(|facts| {
            facts.scored.device = device.into();
            facts.scored.run_id = facts.scored.run_id.take().map(|id| format!("{id}-{device}"));
        });
        facts
    };
    let both = side("a", on("a", "pixel").into_iter().chain(on("a", "board")));
    let one = |name: &str| compared(&both, &side(name, on(name, "pixel")));
    assert!(outcome("geomean > 1%", &one("b"), Unclear::Pass).is_passed());
    assert_eq!(outcome("geomean > 1%", &one("b"), Unclear::Fail).failures.len(), 1, "the board is missing");
    let failed = on("b", "board").into_iter().map(|facts| ended(facts, RunStatus::Failed, "gone"));
    let failed = compared(&both, &side("b", on("b", "pixel").into_iter().chain(failed)));
    assert_eq!(outcome("geomean > 1%", &failed, Unclear::Pass).failures.len(), 1);
}

#[test]
fn runs_that_b_lost_are_told_and_pass_no_gate() {
    let losing = |name: &str, count: usize, status, failure: &'static str| {
        let facts = ten(name, "net", 1.0).into_iter().enumerate();
        let ended = facts.map(move |(at, facts)| if at < count { ended(facts, status, failure) } else { facts });
        side(name, ended.collect::<Vec<_>>())
    };
    let failing = |name: &str, count: usize| losing(name, count, RunStatus::Failed, "crashed: signal 9");
    let a = medians("a", &STEADY);
    let comparison = compared(&a, &failing("b", 4));
    let cell = &comparison.cells[0];
    assert_eq!((cell.verdict, cell.why.as_deref()), (Verdict::Same, None));
    let said = "4 of 10 runs in B have no time: failed: crashed: signal 9";
    assert_eq!(cell.remark().as_deref(), Some(said));
    for gate in ["slower > 3%", "geomean > 1%"] {
        let told = outcome(gate, &comparison, Unclear::Pass);
        assert_eq!((told.is_passed(), whys(&told.untold)), (true, vec![said]), "{gate}");
        assert!(!outcome(gate, &comparison, Unclear::Fail).is_passed(), "{gate}");
    }
    assert!(cell.may_be_told(), "`--unclear rerun` measures it again");
    let lost = |a: &Runs, b: &Runs| compared(a, b).cells[0].lost();
    assert_eq!(lost(&a, &failing("b", 1)), None, "a tenth is not more than a tenth");
    assert!(lost(&a, &failing("b", 2)).is_some());
    assert_eq!(lost(&failing("a", 4), &failing("b", 5)), None, "A was not much better");
    let spared = losing("b", 4, RunStatus::Skipped, "not_needed: the cell is settled");
    assert_eq!(lost(&a, &spared), None, "nobody needed them");
    // What is slower fails, whatever was lost beside it.
    let slower = side(
        "b",
        ten("b", "net", 1.2).into_iter().enumerate().map(|(at, facts)| match at {
            0..3 => ended(facts, RunStatus::Failed, "crashed"),
            _ => facts,
        }),
    );
    assert!(!outcome("slower > 3%", &compared(&a, &slower), Unclear::Pass).is_passed());
}

#[test]
fn a_gate_below_the_threshold_goes_by_the_interval() {
    let by = |factor: f64| compared(&medians("a", &STEADY), &medians("b", &times(&STEADY, factor)));
    let small = by(1.019);
    assert_eq!(small.cells[0].verdict, Verdict::Same);
    let told = outcome("slower > 0%", &small, Unclear::Pass);
    assert!(whys(&told.failures)[0].starts_with("slower by 1.9 %, from 1."), "{told:?}");
    assert!(!outcome("slower >= 0", &small, Unclear::Pass).is_passed());
    assert!(outcome("faster > 0%", &small, Unclear::Fail).is_passed());
    assert!(!outcome("faster > 0%", &by(0.981), Unclear::Pass).is_passed());
    assert!(outcome("slower > 0%", &by(1.0), Unclear::Fail).is_passed(), "the same is not slower");
    // A gate that came after the threshold was set, as with `ab --show`.
    assert!(!outcome("slower > 1%", &small, Unclear::Pass).is_passed());
    assert_eq!(outcome("slower > 1.9%", &small, Unclear::Pass).untold.len(), 1);
    assert!(outcome("slower > 2.9%", &small, Unclear::Fail).is_passed());
}

#[test]
fn one_is_not_many() {
    let bare =
        |name: &str| side(name, (0..2).map(|number| RunFacts { median_s: None, ..run("net", name, number, 1.0) }));
    let options = Options { spreads: vec![("*".into(), 1.0)], ..Options::default() };
    let comparison = compare(&bare("a"), &bare("b"), &options).unwrap();
    assert!(comparison.notes[0].starts_with("1 of the cells is compared by the means of its runs"));
    assert!(comparison.notes[1].starts_with("1 of the cells has too few runs to speak for itself"));
    let slower = compared(&medians("a", &STEADY), &medians("b", &times(&STEADY, 1.1)));
    let told = outcome("geomean > 1%", &slower, Unclear::Pass);
    assert_eq!(whys(&told.failures), ["geometric mean +10.00 % over 1 cell"]);
}
