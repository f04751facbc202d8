//! Sweeps of two sides: each cell is there for both, in pairs of one way and the other.

use std::collections::BTreeMap;

use crate::domain::{CellPattern, FailureKind, Job, PairSide, Plan, SideBySide, Skipped, sha256_hex};

use super::matrix::Cell;
use super::{id, order};

/// Begins the reason of a job that is left out for what its other side can't do.
pub const OTHER_SIDE: &str = "its other side can't run: ";

/// The same cell for A and for B, which has other values where the sides differ.
pub(super) fn both<'a>(cell: Cell<'a>, sides: &'a SideBySide) -> [Cell<'a>; 2] {
    let CellPattern { models, weights, backends, precisions, threads, batches, scenarios, .. } = &sides.b;
    let b = Cell {
        model: models.first().map_or(cell.model, String::as_str),
        weights: weights.first().copied().unwrap_or(cell.weights),
        backend: backends.first().map_or(cell.backend, String::as_str),
        precision: precisions.first().copied().unwrap_or(cell.precision),
        threads: threads.first().unwrap_or(cell.threads),
        batch: batches.first().copied().unwrap_or(cell.batch),
        scenario: scenarios.first().copied().unwrap_or(cell.scenario),
        side: Some(PairSide::B),
    };
    [Cell { side: Some(PairSide::A), ..cell }, b]
}

/// The place of a job in its device's order: repeat after repeat, in each the cells shuffled by the seed, and of each
/// cell one side right after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairPlace {
    repeat: u32,
    cell: String,
    is_second: bool,
}

impl PairPlace {
    pub(super) fn of(job: &Job, sides: &SideBySide) -> PairPlace {
        let Job { seed, device, repeat, .. } = job;
        let cell = sides.cell(job);
        let hash =
            |what: &str, number: u32| sha256_hex(format!("{what}\n{seed}\n{device}\n{number}\n{cell}").as_bytes());
        // Of each two repeats one begins with A and one with B.
        let block = repeat.saturating_sub(1) / 2;
        let is_drawn = hash("pair", block).bytes().next_back().is_some_and(|digit| digit % 2 == 0);
        let begins_with_a = is_drawn == (repeat % 2 == 0);
        let is_second = (job.side == Some(PairSide::A)) != begins_with_a;
        PairPlace { repeat: *repeat, cell: hash("order", *repeat), is_second }
    }
}

/// The same cell as it was measured once for A and once for B.
#[derive(Debug, Clone)]
pub struct JobPair {
    /// A's.
    pub a: Job,
    /// B's.
    pub b: Job,
}

/// The plan of a sweep that measures cells again, so often, in pairs: for their times alone, and both sides as long as
/// B was.
pub fn pairs_again(sweep: &str, pairs: &[JobPair], repeats: u32, sides: &SideBySide) -> Plan {
    let again = |job: &Job, b: &Job, side: PairSide, repeat: u32| {
        let Job { limits, seed, run_seconds, .. } = *b;
        let (side, position, rerun, dataset, remarks) = (Some(side), None, None, None, Vec::new());
        let mut job = Job { side, position, rerun, dataset, remarks, repeat, limits, seed, run_seconds, ..job.clone() };
        job.id = id::of(&job);
        job
    };
    let of_repeat = |repeat: u32| {
        let both =
            move |JobPair { a, b }: &JobPair| [again(a, b, PairSide::A, repeat), again(b, b, PairSide::B, repeat)];
        pairs.iter().flat_map(both)
    };
    let mut jobs: Vec<Job> = (1..=repeats).flat_map(of_repeat).collect();
    order::number_in_pairs(&mut jobs, sides);
    Plan { sweep: sweep.to_owned(), jobs, skipped: Vec::new() }
}

/// Takes jobs out of a plan whose other side can't run: alone they say nothing.
pub fn leave_halves_out(plan: &mut Plan, sides: &SideBySide) {
    let name = |job: &Job| (job.device.clone(), sides.cell(job));
    let reasons: BTreeMap<(String, String), (FailureKind, String)> = plan
        .skipped
        .iter()
        .filter(|skipped| skipped.job.side.is_some())
        .map(|skipped| (name(&skipped.job), (skipped.kind, skipped.reason.clone())))
        .collect();
    let (halves, whole) = std::mem::take(&mut plan.jobs).into_iter().partition(|job| reasons.contains_key(&name(job)));
    plan.jobs = whole;
    let halves: Vec<Job> = halves;
    plan.skipped.extend(halves.into_iter().filter_map(|job| {
        let (kind, reason) = reasons.get(&name(&job)).cloned()?;
        Some(Skipped { job: Job { position: None, ..job }, kind, reason: format!("{OTHER_SIDE}{reason}") })
    }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::sample;

    fn sides() -> SideBySide {
        SideBySide { b: CellPattern { backends: vec!["b".into()], ..CellPattern::default() }, ..SideBySide::sample() }
    }

    /// Three cells of both sides, so often, on two devices.
    fn jobs(repeats: u32, seed: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for device in ["x", "y"] {
            for repeat in 1..=repeats {
                for batch in 1..=3 {
                    for (side, backend) in [(PairSide::A, "a"), (PairSide::B, "b")] {
                        let backend = backend.to_owned();
                        let (side, job) = (Some(side), sample::job(device, "net"));
                        jobs.push(Job { repeat, batch, backend, side, seed, ..job });
                    }
                }
            }
        }
        crate::planner::order::number_in_pairs(&mut jobs, &sides());
        jobs.sort_by_key(|job| (job.device.clone(), job.position));
        jobs
    }

    #[test]
    fn the_two_of_a_pair_follow_each_other_and_each_two_repeats_are_one_way_and_the_other() {
        let jobs = jobs(8, 1);
        let mut firsts: BTreeMap<(String, u32), Vec<PairSide>> = BTreeMap::new();
        for pair in jobs.chunks(2) {
            let same =
                (pair[0].repeat, pair[0].batch, &pair[0].device) == (pair[1].repeat, pair[1].batch, &pair[1].device);
            assert!(same && pair[0].side != pair[1].side, "{pair:?}");
            firsts.entry((pair[0].device.clone(), pair[0].batch)).or_default().push(pair[0].side.unwrap());
        }
        let places: Vec<Option<u32>> = jobs.iter().filter(|job| job.device == "x").map(|job| job.position).collect();
        assert_eq!(places, (1..=48).map(Some).collect::<Vec<_>>());
        for (cell, firsts) in &firsts {
            assert!(firsts.chunks(2).all(|two| two[0] != two[1]), "balanced: {cell:?} {firsts:?}");
        }
        let different: std::collections::BTreeSet<&Vec<PairSide>> = firsts.values().collect();
        assert!(different.len() > 1, "and drawn: {firsts:?}");
    }

    #[test]
    fn what_is_measured_again_is_so_in_pairs_as_long_as_b_was() {
        let a = Job { seed: 1, remarks: vec!["old".into()], repeat: 3, ..sample::job("x", "net") };
        let limits = crate::domain::Limits { max_runs: 77, ..a.limits };
        let b = Job { limits, seed: 2, backend_version: "2".into(), ..sample::job("x", "net") };
        let plan = pairs_again("s", &[JobPair { a, b }], 2, &SideBySide::sample());
        let ids: std::collections::BTreeSet<&str> = plan.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!((plan.jobs.len(), ids.len()), (4, 4));
        for (index, job) in plan.jobs.iter().enumerate() {
            assert_eq!((job.repeat as usize, job.seed, job.limits.max_runs), (index / 2 + 1, 2, 77));
            let version = if job.side == Some(PairSide::B) { "2" } else { &*sample::job("x", "net").backend_version };
            assert_eq!((&*job.backend_version, job.remarks.len()), (version, 0));
        }
        let places: std::collections::BTreeSet<_> = plan.jobs.iter().map(|job| job.position).collect();
        assert_eq!(places.len(), 4, "each has its place");
    }

    #[test]
    fn over_many_seeds_either_side_begins_alike() {
        let is_a_first = |seed: &u64| jobs(1, *seed)[0].side == Some(PairSide::A);
        let times = (0..400).filter(is_a_first).count();
        assert!((150..=250).contains(&times), "five standard deviations are 50: {times}");
    }

    #[test]
    fn a_side_that_cannot_run_takes_the_other_with_it() {
        let mut plan = Plan { sweep: "s".into(), jobs: jobs(2, 1), skipped: Vec::new() };
        let is_half = |job: &Job| job.device == "x" && job.batch == 2 && job.side == Some(PairSide::B);
        let (gone, left): (Vec<Job>, Vec<Job>) = std::mem::take(&mut plan.jobs).into_iter().partition(is_half);
        plan.jobs = left;
        let skipped = |job| Skipped { job, kind: FailureKind::BackendUnsupported, reason: "no".into() };
        plan.skipped = gone.into_iter().map(skipped).collect();
        leave_halves_out(&mut plan, &sides());
        assert_eq!((plan.jobs.len(), plan.skipped.len()), (20, 4));
        assert!(plan.jobs.iter().all(|job| job.device == "y" || job.batch != 2));
        assert_eq!(plan.skipped[3].reason, "its other side can't run: no");
    }
}
