//! In what order a device's jobs are run: pure.

use std::collections::BTreeMap;

use crate::domain::{Job, Order, SideBySide, sha256_hex};

use super::sides::PairPlace;

/// Gives each job its place among those of its device. All of a repeat come before any of the next; within it they are
/// as listed, or shuffled by their seed.
///
/// Shuffled means sorted by a hash of the seed and of what names the job's cell. So the same sweep has the same order
/// everywhere, each device and each repeat has another, and neither a new version of an engine nor a further cell
/// changes the order of the rest.
pub(super) fn number(jobs: &mut [Job], order: Order) {
    place(jobs, |job| match order {
        Order::Listed => (job.repeat, String::new()),
        Order::Shuffled => (job.repeat, hash(job)),
    });
}

/// The same of a sweep that measures two sides: in pairs.
pub(super) fn number_in_pairs(jobs: &mut [Job], sides: &SideBySide) {
    place(jobs, |job| PairPlace::of(job, sides));
}

/// Numbers jobs anew that are left of a sweep, in the order that they had in it.
pub fn renumber(jobs: &mut [Job]) {
    place(jobs, |job| job.position.unwrap_or(u32::MAX));
}

/// Jobs with the same key are in the order in which they are given.
fn place<K: Ord>(jobs: &mut [Job], key: impl Fn(&Job) -> K) {
    let mut of_devices: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        of_devices.entry(job.device.clone()).or_default().push(index);
    }
    for mut indices in of_devices.into_values() {
        indices.sort_by_cached_key(|index| key(&jobs[*index]));
        for (position, index) in (1..).zip(indices) {
            jobs[index].position = Some(position);
        }
    }
}

fn hash(job: &Job) -> String {
    let Job { seed, device, repeat, model, backend, precision, threads, batch, scenario, .. } = job;
    let (name, weights) = (&model.name, model.weights);
    let cell = format!("{name}\n{weights}\n{backend}\n{precision}\n{threads}\n{batch}\n{scenario}");
    sha256_hex(format!("order\n{seed}\n{device}\n{repeat}\n{cell}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    /// Twelve cells on each of two devices, three times.
    fn jobs(seed: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for device in ["a", "b"] {
            for repeat in 1..=3 {
                for batch in 1..=12 {
                    jobs.push(Job { repeat, batch, seed, ..sample::job(device, "net") });
                }
            }
        }
        jobs
    }

    /// The batches of a repeat on a device, in the order in which they are run.
    fn batches(jobs: &[Job], device: &str, repeat: u32) -> Vec<u32> {
        let mut of_repeat: Vec<&Job> = jobs.iter().filter(|job| job.device == device && job.repeat == repeat).collect();
        of_repeat.sort_by_key(|job| job.position);
        of_repeat.iter().map(|job| job.batch).collect()
    }

    fn numbered(mut jobs: Vec<Job>, order: Order) -> Vec<Job> {
        number(&mut jobs, order);
        jobs
    }

    #[test]
    fn each_repeat_of_each_device_is_shuffled_and_comes_whole_before_the_next() {
        let jobs = numbered(jobs(1), Order::Shuffled);
        let mut orders = Vec::new();
        for device in ["a", "b"] {
            for repeat in 1..=3 {
                let places = jobs.iter().filter(|job| job.device == device && job.repeat == repeat);
                let places: Vec<u32> = places.filter_map(|job| job.position).collect();
                let expected = (repeat - 1) * 12 + 1..=repeat * 12;
                assert!(places.len() == 12 && places.iter().all(|place| expected.contains(place)), "{places:?}");
                orders.push(batches(&jobs, device, repeat));
            }
        }
        let listed: Vec<u32> = (1..=12).collect();
        let mut sorted = orders.clone();
        sorted.iter_mut().for_each(|order| order.sort_unstable());
        assert!(sorted.iter().all(|order| *order == listed), "each cell once");
        orders.push(listed);
        let different: std::collections::BTreeSet<_> = orders.iter().collect();
        assert_eq!(different.len(), 7, "{orders:?}");
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let first = numbered(jobs(1), Order::Shuffled);
        assert_eq!(first, numbered(jobs(1), Order::Shuffled));
        assert_ne!(batches(&first, "a", 1), batches(&numbered(jobs(2), Order::Shuffled), "a", 1));
        let mut changed = jobs(1);
        changed.reverse();
        changed.retain(|job| job.batch != 5);
        changed.iter_mut().for_each(|job| job.backend_version = "next".to_owned());
        let mut rest = batches(&first, "a", 2);
        rest.retain(|batch| *batch != 5);
        assert_eq!(batches(&numbered(changed, Order::Shuffled), "a", 2), rest);
    }

    #[test]
    fn over_many_seeds_each_cell_has_each_place_alike() {
        let mut times_first = [0; 12];
        for seed in 0..1200 {
            let mut jobs: Vec<Job> = (1..=12).map(|batch| Job { batch, seed, ..sample::job("a", "net") }).collect();
            number(&mut jobs, Order::Shuffled);
            let first = jobs.iter().position(|job| job.position == Some(1)).expect("one is the first");
            times_first[first] += 1;
        }
        // A hundred each; five standard deviations are 48.
        assert!(times_first.iter().all(|times| (52..=148).contains(times)), "{times_first:?}");
    }

    #[test]
    fn as_listed_and_what_is_left_of_it() {
        let mut listed = numbered(jobs(1), Order::Listed);
        assert_eq!(batches(&listed, "b", 3), (1..=12).collect::<Vec<_>>());
        listed.retain(|job| job.batch % 5 == 0);
        renumber(&mut listed);
        let places: Vec<Option<u32>> = listed.iter().map(|job| job.position).collect();
        assert_eq!(places, [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6].map(Some));
    }
}
