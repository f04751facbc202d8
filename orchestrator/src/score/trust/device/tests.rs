#![allow(clippy::unwrap_used)]

use super::*;

fn run(cell: &'static str, p50_ns: u64) -> PastMeasurement<'static> {
    PastMeasurement { cell, p50_ns, judged: None }
}

fn said(trust: &DeviceTrust) -> Vec<String> {
    trust.stands_out.iter().map(ToString::to_string).collect()
}

fn judgement(verdict: Verdict, temp_max_c: f64, other_load_percent: f64) -> Judgement {
    let (temp_max_c, other_load_percent) = (Some(temp_max_c), Some(other_load_percent));
    Judgement { verdict, reason: String::new(), half_interval_percent: None, temp_max_c, other_load_percent }
}

#[test]
fn nine_of_ten_pairs_are_told() {
    // Ten pairs of one cell by 1 %, but for one by a half; between them those of another cell.
    let mut runs = Vec::new();
    let mut level = 1_000_000;
    for step in 0..11 {
        runs.extend([run("a", level), run("b", 500)]);
        level = if step == 4 { level * 3 / 2 } else { level * 101 / 100 };
    }
    runs.retain(|run| run.cell == "a");
    let trust = DeviceTrust::of(&runs, &[]);
    assert_eq!((trust.runs, trust.cells, trust.pairs, trust.pairs_within), (11, 1, 10, 9));
    assert_eq!(trust.repeats(), "within 1.0 % in 9 of 10 pairs");
    let few = DeviceTrust::of(&runs[4..6], &[]);
    assert_eq!(few.repeats(), "within 50.0 % in 1 of 1 pairs");
    let none = DeviceTrust::of(&[run("a", 5), run("b", 7), run("c", 0)], &[]);
    assert_eq!((none.cells, none.pairs, none.repeats(), none.slower_percent), (2, 0, String::new(), None));
}

#[test]
fn a_device_is_held_against_its_siblings_by_what_all_have_measured() {
    let own = [run("a", 1100), run("a", 1102), run("b", 2200), run("c", 9)];
    let like = vec![run("a", 1000), run("b", 2000), run("d", 1)];
    let slow = vec![run("a", 1500)];
    let trust = DeviceTrust::of(&own, &[like.clone(), slow, vec![run("e", 7)]]);
    // Cell a: 1101 by 1250; cell b: 2200 by 2000.
    let expected = ((1101.0_f64 / 1250.0 * 1.1).sqrt() - 1.0) * 100.0;
    assert_eq!(trust.siblings, 2, "one has measured nothing of the same");
    assert!((trust.slower_percent.unwrap() - expected).abs() < 1e-9, "{trust:?}");
    assert_eq!(said(&trust), Vec::<String>::new());
    let trust = DeviceTrust::of(&own, &[like]);
    assert_eq!(said(&trust), ["10.0 % slower than its sibling"]);
    // One that varies by as much can't be told from that.
    let unsteady = [run("a", 1000), run("a", 1200), run("a", 1100)];
    assert_eq!(said(&DeviceTrust::of(&unsteady, &[vec![run("a", 1000)]])), Vec::<String>::new());
}

#[test]
fn a_bad_cable_is_said_and_a_quiet_twin_is_not() {
    let link = |broke: usize, megabytes_per_s: &[f64]| LinkHistory {
        broke,
        push_bytes_per_s: megabytes_per_s.iter().map(|it| it * 1e6).collect(),
    };
    let runs: Vec<PastMeasurement<'_>> = (0..20).map(|_| run("a", 100)).collect();
    let trust = DeviceTrust::of(&runs, &[]);
    let (well, bad) = (link(1, &[38.0, 40.0, 41.0]), link(7, &[3.0, 4.0, 39.0, 3.5]));
    let told = said(&trust.clone().with_link(&bad, &[&well, &well]));
    let expected = [
        "its connection broke 7 times in 20 runs: look at its cable, port or network",
        "files reach it at 3.8 MB/s, its siblings at 40.0: look at its cable, port or network",
    ];
    assert_eq!(told, expected);
    assert_eq!(said(&trust.clone().with_link(&well, &[&bad, &well])), Vec::<String>::new());
    assert_eq!(said(&trust.clone().with_link(&link(2, &[3.0, 3.0]), &[&well])), Vec::<String>::new(), "too few");
    assert_eq!(said(&trust.with_link(&link(0, &[3.0; 5]), &[])), Vec::<String>::new(), "nobody to compare with");
}

#[test]
fn what_stands_out_is_said() {
    let (well, hot) = (judgement(Verdict::Ok, 40.0, 0.1), judgement(Verdict::Throttled, 52.0, 3.0));
    let of = |judged: &'static str, levels: &[u64], judgement: &'static Judgement| -> Vec<PastMeasurement<'static>> {
        levels.iter().map(|level| PastMeasurement { cell: judged, p50_ns: *level, judged: Some(judgement) }).collect()
    };
    let (well, hot): (&'static Judgement, &'static Judgement) = (Box::leak(Box::new(well)), Box::leak(Box::new(hot)));
    let siblings = vec![of("a", &[100, 100, 101, 100, 100, 101], well); 3];
    let own = of("a", &[100, 110, 100, 109, 100, 110], hot);
    let trust = DeviceTrust::of(&own, &siblings);
    let expected = [
        "12 °C hotter than its 3 siblings",
        "its runs lie 10.0 % apart, those of its siblings 1.0 %",
        "throttled in 6 of 6 runs",
        "something else uses 3.0 % of its processors' time",
    ];
    assert_eq!(said(&trust), expected);
    assert_eq!((trust.judged, trust.doubtful), (6, 6));
    assert_eq!(said(&DeviceTrust::of(&siblings[0], &siblings[1..])), Vec::<String>::new(), "a quiet twin is not told");
    assert_eq!(said(&DeviceTrust::of(&own[..2], &siblings)), Vec::<String>::new(), "two runs say nothing");
}
