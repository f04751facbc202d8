use super::*;

fn only(comparison: &Comparison) -> &ComparedCell {
    assert_eq!(comparison.cells.len(), 1);
    &comparison.cells[0]
}

#[test]
fn four_answers() {
    let a = medians("a", &STEADY);
    let verdict = |factor: f64| compared(&a, &medians("b", &times(&STEADY, factor))).cells[0].verdict;
    assert_eq!(verdict(1.05), Verdict::Slower);
    assert_eq!(verdict(0.95), Verdict::Faster);
    assert_eq!(verdict(1.01), Verdict::Same);
    assert_eq!(verdict(1.028), Verdict::Unclear, "about the threshold");
    let noisy = [1.0, 1.2, 0.8, 1.1, 0.9, 1.3, 0.7, 1.15, 0.85, 1.0];
    let comparison = compared(&medians("a", &noisy), &medians("b", &times(&noisy, 1.04)));
    let cell = only(&comparison);
    assert_eq!(cell.verdict, Verdict::Unclear);
    assert_eq!(cell.why.as_deref(), Some(&*format!("{} more runs a side settle 3 %", cell.more_runs.unwrap())));
    assert!(cell.more_runs.unwrap() > 100, "{cell:?}");
    // A threshold that is met by all of that.
    let options = Options { threshold_percent: 30.0, ..Options::default() };
    let coarse = compare(&medians("a", &noisy), &medians("b", &noisy.map(|value| value * 1.04)), &options).unwrap();
    assert_eq!(only(&coarse).verdict, Verdict::Same);
}

#[test]
fn one_run_a_side_tells_nothing_unless_the_spread_is_known() {
    let (a, b) = (medians("a", &[1.0]), medians("b", &[2.0]));
    let comparison = compared(&a, &b);
    let cell = only(&comparison);
    assert_eq!((cell.verdict, cell.p_adjusted), (Verdict::Unclear, None));
    assert_eq!(cell.why.as_deref(), Some("one run a side tells nothing of the next: 5 more and 6 in all begin to"));
    let with = |device: &str, percent: f64| {
        let options = Options { spreads: vec![(device.into(), percent)], ..Options::default() };
        compare(&a, &b, &options).unwrap()
    };
    let known = with("pixel-6", 1.5);
    assert_eq!((only(&known).verdict, only(&known).change.unwrap().method), (Verdict::Slower, Method::KnownSpread));
    assert!(known.notes[0].contains("--spread"), "{:?}", known.notes);
    assert_eq!(only(&with("*", 1.5)).verdict, Verdict::Slower);
    assert_eq!(only(&with("another", 1.5)).verdict, Verdict::Unclear);
    assert_eq!(only(&with("pixel-6", 60.0)).verdict, Verdict::Unclear, "so large a spread explains it");
}

#[test]
fn each_cell_has_more_to_show_the_more_there_are() {
    let cells = |count: usize, name: &str, factor: f64| {
        let of_cell = move |cell: usize| {
            let factor = if cell == 0 { factor } else { 1.0 };
            let name = name.to_owned();
            STEADY.iter().enumerate().map(move |(number, median_s)| {
                // Each cell's runs in another order, so that no two cells are alike.
                let noise = STEADY[(number * 3 + cell) % 10];
                run(&format!("net-{cell}"), &name, number, median_s * noise.powi(4) * factor)
            })
        };
        side(name, (0..count).flat_map(of_cell))
    };
    // Two cells lend each other nothing: Holm's factor alone is between them and one.
    let p_adjusted = |count: usize| {
        let comparison = compared(&cells(count, "a", 1.0), &cells(count, "b", 1.05));
        comparison.cells.iter().find(|cell| cell.key.model == "net-0").unwrap().p_adjusted.unwrap()
    };
    let (one, two) = (p_adjusted(1), p_adjusted(2));
    assert!((two / one - 2.0).abs() < 1e-6, "{one} {two}");
    // A test by ranks alone could find none of forty cells: it says 2 / 2^10 at least, in pairs.
    let forty = compared(&cells(40, "a", 1.0), &cells(40, "b", 1.3));
    assert_eq!(forty.cells.iter().filter(|cell| cell.verdict == Verdict::Slower).count(), 1);
}

#[test]
fn runs_that_were_measured_in_turn_are_pairs() {
    // The device grows hot: the runs differ by 20 %, the two of each pair by 5.
    let warm: Vec<f64> = (0..10).map(|number| 1.0 + 0.02 * f64::from(number)).collect();
    let started = |name: &str, factor: f64, offset: i64| {
        side(
            name,
            warm.iter().enumerate().map(|(number, level)| {
                let noise = STEADY[(number * 7) % 10].powf(offset as f64);
                let mut facts = run("net", name, number, level * factor * noise);
                facts.started_at = Some(at(20 * number as i64 + offset));
                facts
            }),
        )
    };
    let in_turn = compared(&started("a", 1.0, 0), &started("b", 1.05, 1));
    let change = only(&in_turn).change.unwrap();
    assert_eq!((only(&in_turn).verdict, change.method), (Verdict::Slower, Method::Pairs));
    assert!((change.percent - 5.0).abs() < 0.5 && change.p.unwrap() < 0.01, "{change:?}");
    // AB, BA: still two by two. One after the other as wholes: no pairs.
    assert_eq!(compared(&started("a", 1.0, 0), &started("b", 1.05, -1)).cells[0].change.unwrap().method, Method::Pairs);
    let apart = compared(&started("a", 1.0, 0), &started("b", 1.05, 500));
    assert_eq!((only(&apart).change.unwrap().method, only(&apart).verdict), (Method::Samples, Verdict::Unclear));
}

#[test]
fn conditions_that_move_time_are_in_the_way() {
    let with = |name: &str, factor: f64, change: &dyn Fn(&mut RunFacts)| {
        side(
            name,
            times(&STEADY, factor).iter().enumerate().map(|(number, median_s)| {
                let mut facts = run("net", name, number, *median_s);
                for (column, value) in [("kernel", "6.1"), ("governor", "performance"), ("verdict", "ok")] {
                    set(&mut facts, column, value);
                }
                facts.temp_start_c = Some(30.0);
                change(&mut facts);
                facts
            }),
        )
    };
    let a = with("a", 1.0, &|_| {});
    let kernel = with("b", 1.1, &|facts| set(facts, "kernel", "6.6"));
    let comparison = compared(&a, &kernel);
    let cell = only(&comparison);
    assert_eq!((cell.verdict, cell.why.as_deref()), (Verdict::NotComparable, Some("differs: kernel")));
    let expected = Difference {
        is_in_the_way: true,
        what: "kernel",
        a: "6.1".into(),
        b: "6.6".into(),
        devices: vec!["pixel-6".into()],
        cells: 1,
    };
    assert_eq!(comparison.differences, [expected]);
    assert!(comparison.geomeans.is_empty() && cell.p_adjusted.is_none());
    let anyway = compare(&a, &kernel, &Options { anyway: true, ..Options::default() }).unwrap();
    assert_eq!((only(&anyway).verdict, anyway.differences.len()), (Verdict::Slower, 1));
    // What people compare is told, and no obstacle; nor is heat that throttled nothing.
    let runner = with("b", 1.1, &|facts| {
        set(facts, "backend_version", "2");
        facts.temp_start_c = Some(45.0);
    });
    let comparison = compared(&with("a", 1.0, &|facts| set(facts, "backend_version", "1")), &runner);
    assert_eq!(only(&comparison).verdict, Verdict::Slower);
    let told: Vec<&str> = comparison.differences.iter().map(|it| it.what).collect();
    assert_eq!(told, ["engine's version", "temperature before the runs"]);
    // A table that does not tell is no difference.
    assert!(compared(&a, &with("b", 1.0, &|facts| set(facts, "kernel", ""))).differences.is_empty());
    let disturbed = |name: &str, from: usize| {
        let number = move |facts: &RunFacts| facts.scored.run_id.as_ref().unwrap().rsplit('-').next().unwrap().parse();
        with(name, 1.0, &move |facts| {
            if number(facts).is_ok_and(|number: usize| number >= from) {
                set(facts, "verdict", "disturbed");
            }
        })
    };
    let some = compared(&a, &disturbed("b", 7));
    assert_eq!((only(&some).verdict, &*some.differences[0].b), (Verdict::Same, "3 disturbed, 7 ok"));
    assert_eq!(only(&compared(&a, &disturbed("b", 4))).verdict, Verdict::NotComparable);
}

#[test]
fn no_cell_is_left_out_and_no_run_counts_twice() {
    let mut failed = run("lost", "b", 0, 1.0);
    (failed.scored.status, failed.median_s) = (RunStatus::Failed, None);
    failed.scored.failure = Some("crashed: signal 9".into());
    let a = side(
        "a",
        [run("net", "a", 0, 1.0), run("net", "a", 0, 1.0), run("lost", "a", 0, 1.0), run("old", "a", 0, 1.0)],
    );
    let mut other = run("net", "b", 1, 9.0);
    other.counts = false;
    let b = side("b", [run("net", "b", 0, 1.0), other, failed, run("new", "b", 0, 1.0)]);
    let comparison = compared(&a, &b);
    let said: Vec<_> = comparison.cells.iter().map(|cell| (&*cell.key.model, cell.why.as_deref().unwrap())).collect();
    let one = "one run a side tells nothing of the next: 5 more and 6 in all begin to";
    let expected = [
        ("lost", "no time in B: failed: crashed: signal 9"),
        ("net", one),
        ("new", "not measured in A"),
        ("old", "not measured in B"),
    ];
    assert_eq!(said, expected);
    let net = &comparison.cells[1];
    assert_eq!((net.a.times_s.len(), &*net.b.times_s, net.b.not_counting), (1, [1.0].as_slice(), 1));
    assert_eq!(comparison.notes, ["1 run of a is there twice; it counts once."]);
    assert_eq!(compare(&a, &a, &Options::default()), Err(CompareError::SameRuns { a: "a".into(), b: "a".into() }));
    assert!(
        matches!(compare(&a, &side("b", []), &Options::default()), Err(CompareError::NoRuns { name }) if name == "b")
    );
    let nothing = compare(&medians("a", &[1.0]), &side("b", [run("x", "b", 0, 1.0)]), &Options::default());
    assert!(matches!(nothing, Err(CompareError::NothingInCommon { .. })));
}

#[test]
fn a_table_that_tells_less_is_met_halfway() {
    let bare = |facts: RunFacts| {
        let mut facts = facts;
        (facts.scored.settings.weights, facts.scored.settings.threads) = (String::new(), String::new());
        facts.median_s = None;
        facts
    };
    let b = side("b.csv", (0..2).map(|number| bare(run("net", "b", number, 1.0))));
    let comparison = compared(&medians("a", &[1.0, 1.1]), &b);
    assert!(only(&comparison).by_mean && only(&comparison).change.is_some());
    assert_eq!(comparison.notes.len(), 3, "{:?}", comparison.notes);
    assert!(comparison.notes[0].starts_with("b.csv does not tell its weights"));
    // Two kinds of weights here, none told there: which would it be?
    let mut synthetic = run("net", "a", 9, 1.0);
    synthetic.scored.settings.weights = "synthetic".into();
    let a = side("a", [run("net", "a", 0, 1.0), synthetic]);
    assert!(matches!(compare(&a, &b, &Options::default()), Err(CompareError::NothingInCommon { .. })));
}

#[test]
fn along_an_axis_of_one_sweep() {
    let on = |threads: &str, factor: f64| {
        let threads = threads.to_owned();
        STEADY.iter().enumerate().map(move |(number, median_s)| {
            let mut facts = run("net", &format!("t{threads}"), number, median_s * factor);
            facts.scored.settings.threads = threads.clone();
            set(&mut facts, "cpus", &threads);
            facts
        })
    };
    let sweep = side("sweep", on("1", 1.0).chain(on("2", 0.6)).chain(on("10", 0.601)));
    let across = |axis, base| compare_across(&sweep, axis, base, &Options::default());
    let comparison = across(Axis::Threads, None).unwrap();
    let said: Vec<_> = comparison.cells.iter().map(|cell| (cell.across.clone().unwrap(), cell.verdict)).collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(said, [(pair("1", "10"), Verdict::Faster), (pair("1", "2"), Verdict::Faster)]);
    assert!(comparison.differences.is_empty(), "other processors are what more threads are");
    let from_two = across(Axis::Threads, Some("2")).unwrap();
    assert_eq!(from_two.cells.iter().filter(|cell| cell.verdict == Verdict::Same).count(), 1);
    let unknown = across(Axis::Threads, Some("3")).unwrap_err();
    assert_eq!(unknown.to_string(), "compare: no run of sweep has the threads 3");
    let one = across(Axis::Backends, None).unwrap_err();
    assert_eq!(one.to_string(), "compare: all runs of sweep have the same engine: tract");
}

#[test]
fn what_is_left_out_is_no_cell() {
    let all = |name: &str| side(name, [run("net", name, 0, 1.0), run("other", name, 0, 1.0)]);
    let (mut a, mut b) = (all("a"), all("b"));
    for runs in [&mut a, &mut b] {
        runs.retain(|cell| cell.model == "net");
    }
    assert_eq!(only(&compared(&a, &b)).key.model, "net");
}

#[test]
fn devices_with_one_chip_are_one_kind() {
    let on = |device: &str, name: &str| {
        let mut runs = Runs::new(name, DeviceName::Chip);
        for (number, median_s) in STEADY.iter().enumerate() {
            let mut facts = run("net", name, number, *median_s);
            facts.scored.device = device.into();
            set(&mut facts, "soc", "Tensor G1");
            runs.push(facts);
        }
        runs
    };
    let options = Options { device: DeviceName::Chip, ..Options::default() };
    let comparison = compare(&on("pixel-6-a", "a"), &on("pixel-6-b", "b"), &options).unwrap();
    assert_eq!((only(&comparison).device(), only(&comparison).verdict), ("Tensor G1", Verdict::Same));
}
