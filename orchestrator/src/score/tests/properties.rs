//! What is true of every table.

use super::*;

/// Random tables: some devices, networks and settings, some cells failed, some repeated, none complete for sure.
fn tables() -> impl Strategy<Value = Vec<ScoredRun>> {
    let row = (0..4usize, 0..5usize, 1e-4..10.0f64, 0.0..=1.0f64, 0..10u32, 0..3u32);
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let models = ["resnet50", "mobilenet_v2", "inception_v3", "mnasnet1_0", "mine"];
        let with_id =
            |(index, (device, model, seconds, top1, outcome, threads)): (usize, (usize, usize, f64, f64, u32, u32))| {
                let device = ["a", "b", "c", "ref"][device];
                let mut one = if outcome == 0 {
                    failed(device, models[model])
                } else {
                    run(device, models[model], seconds, top1)
                };
                one.settings.threads = threads.to_string();
                one.macs = Some(1_000_000 * (model as u64 + 1));
                one.price_per_hour = Some(top1 + 0.1);
                one.run_id = Some(format!("run-{index}"));
                one
            };
        let mut runs: Vec<ScoredRun> = rows.into_iter().enumerate().map(with_id).collect();
        // Every score has something to rank by.
        runs.push(run("ref", "resnet50", 1.0, 0.9));
        runs
    })
}

/// Device, settings, workload, rank and values of a row.
type Values = (String, Settings, Option<Workload>, Option<usize>, Vec<Option<f64>>);

/// The values of all rows, whatever their order.
fn values(ranking: &Ranking) -> Vec<Values> {
    let rows = ranking.result.rows.iter();
    let mut values: Vec<_> = rows
        .map(|row| (row.device.clone(), row.settings.clone(), row.workload.clone(), row.rank, row.values.clone()))
        .collect();
    values.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
    values
}

fn all_options(published: &[PublishedNetwork]) -> Options<'_> {
    Options { reference: Some("ref"), published, ..Options::default() }
}

proptest! {
    #[test]
    fn order_of_rows_does_not_matter(runs in tables(), moves in prop::collection::vec(any::<(Index, Index)>(), 0..40)) {
        let published = published();
        let options = all_options(&published);
        let mut moved = runs.clone();
        for (from, to) in moves {
            let (from, to) = (from.index(moved.len()), to.index(moved.len()));
            moved.swap(from, to);
        }
        for score in SCORES {
            prop_assert_eq!(ranked(score.name(), &runs, &options), ranked(score.name(), &moved, &options));
        }
    }

    #[test]
    fn k_times_the_time_is_a_kth_of_the_score(runs in tables(), exponent in -8i32..8) {
        // A power of two, so that nothing is rounded.
        let k = 2f64.powi(exponent);
        let slower: Vec<ScoredRun> = runs
            .iter()
            .map(|run| ScoredRun { latency_s: run.latency_s.map(|latency_s| latency_s * k), ..run.clone() })
            .collect();
        let options = Options::default();
        let (before, after) = (ranked("aiotbench", &runs, &options), ranked("aiotbench", &slower, &options));
        for (before, after) in values(&before).into_iter().zip(values(&after)) {
            prop_assert_eq!((&before.0, before.3), (&after.0, after.3), "ranks stay");
            let scaled: Vec<_> = before.4.iter().map(|value| value.map(|value| value / k)).collect();
            prop_assert_eq!(scaled, after.4);
        }
        let geomean = Options { reference: Some("ref"), ..options };
        let (before, after) = (ranked("geomean", &runs, &geomean), ranked("geomean", &slower, &geomean));
        prop_assert_eq!(values(&before), values(&after), "the reference is k times as slow as well");
    }

    #[test]
    fn a_failed_workload_changes_nothing_but_the_mark(runs in tables(), which: Index, tried_before: bool) {
        let system = &runs[which.index(runs.len())];
        let mut more = failed(&system.device, if tried_before { "resnet50" } else { "never_seen" });
        more.settings = system.settings.clone();
        more.run_id = None;
        let with_it = [runs.clone(), vec![more]].concat();
        for name in ["aiotbench", "geomean"] {
            let options = Options { reference: Some("ref"), ..Options::default() };
            let (before, after) = (ranked(name, &runs, &options), ranked(name, &with_it, &options));
            for (before, after) in values(&before).into_iter().zip(values(&after)) {
                prop_assert_eq!((&before.0, before.4), (&after.0, after.4));
                prop_assert!(tried_before || before.3 == after.3, "what failed wherever it was tried is in no set");
            }
        }
    }

    #[test]
    fn a_complete_entrant_is_never_beside_an_incomplete_one(runs in tables()) {
        let published = published();
        for score in SCORES {
            for row in ranked(score.name(), &runs, &all_options(&published)).result.rows {
                let complete = row.terms.iter().all(|term| term.not_counted.is_none());
                prop_assert!(row.rank.is_none() || complete);
                prop_assert_eq!(row.rank.is_none(), row.unranked.is_some());
                for term in row.terms.iter().filter(|term| term.not_counted.is_none()) {
                    let run = runs.iter().find(|run| run.run_id == term.run_id).unwrap();
                    prop_assert_eq!((&run.workload, run.status), (&term.workload, RunStatus::Ok), "traceable");
                }
            }
        }
    }

    #[test]
    fn ranks_follow_the_values(runs in tables()) {
        for row in ranked("aiotbench", &runs, &Options::default()).result.rows.windows(2) {
            if let (Some(first), Some(second)) = (row[0].rank, row[1].rank) {
                prop_assert!(first <= second && row[0].values[0] >= row[1].values[0]);
            }
        }
    }
}
