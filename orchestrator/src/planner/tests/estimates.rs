//! How long jobs may take.

use super::*;

#[test]
fn estimates() {
    let (sweep, mut inventory, catalog) = (sweep(), inventory(), catalog());
    inventory.devices[1].transport = sample::board("slow").transport;
    let mut plan = plan(&sweep, &inventory, &catalog);
    // 1 s of warm-up, 3 s of timed loop, 2 s beside them.
    assert_eq!(job_seconds(&plan.jobs[0], None), 6.0);
    let mut huge = plan.jobs[0].clone();
    huge.model.macs = Some(20_000_000_000);
    // 3 inferences of 2 s, then 10, then what stands beside them.
    assert_eq!(job_seconds(&huge, None), 6.0 + 20.0 + 2.0);
    huge.run_seconds = 7.0;
    assert_eq!(job_seconds(&huge, None), 7.0);
    assert_eq!(job_seconds(&huge, Some(Duration::from_secs(40))), 40.0);
    // The longest of the devices counts.
    plan.jobs[0].run_seconds = 1.0;
    let estimated = estimate(&plan, &inventory, None);
    let devices: Vec<_> = estimated.devices.iter().map(|d| (d.device.as_str(), d.jobs, d.seconds)).collect();
    assert_eq!(devices, [("host", 2, 7.0), ("slow", 2, 12.0)]);
    assert_eq!((estimated.seconds, estimated.longest_seconds), (12.0, 12.0));
    // Two jobs on each device, and a wait before each of them.
    let cooldown = Cooldown { min_seconds: 3.0, pause_seconds: 5.0, max_seconds: 100.0, start_temp_c: None };
    let estimated = estimate(&plan, &inventory, Some(&cooldown));
    assert_eq!((estimated.seconds, estimated.longest_seconds), (18.0, 212.0));
    let by_pause = estimate(&plan, &inventory, Some(&Cooldown { max_seconds: 1.0, ..cooldown }));
    assert_eq!(by_pause.longest_seconds, 22.0, "the pause of a device without a sensor is longer");
    let empty = Plan { sweep: String::new(), jobs: Vec::new(), skipped: Vec::new() };
    assert_eq!(estimate(&empty, &inventory, None).seconds, 0.0);
}

#[test]
fn devices_that_share_are_estimated_one_after_the_other() {
    let job = |device: &str, seconds: f64| Job { run_seconds: seconds, ..sample::job(device, "mobilenet_v2") };
    let on = |name: &str, exclusive: Option<&str>, max_parallel: Option<u32>| Device {
        exclusive: exclusive.map(str::to_owned),
        max_parallel,
        farm: if max_parallel.is_some() { "small".to_owned() } else { "large".to_owned() },
        ..sample::board(name)
    };
    let seconds = |devices: Vec<Device>| {
        let jobs = devices.iter().zip([1.0, 2.0, 1.0, 0.5]).map(|(device, seconds)| job(&device.name, seconds));
        let plan = Plan { sweep: String::new(), jobs: jobs.collect(), skipped: Vec::new() };
        let estimated = estimate(&plan, &Inventory { devices, host_target: None }, None);
        (estimated.seconds, estimated.devices.len())
    };
    let bench = Some("bench-pc");
    assert_eq!(seconds(vec![on("a", None, None), on("b", None, None), on("c", None, None)]), (2.0, 3));
    assert_eq!(seconds(vec![on("a", bench, None), on("b", bench, None), on("c", bench, None)]), (4.0, 3));
    // Another machine is another one's, and whoever shares nothing waits for nobody.
    assert_eq!(seconds(vec![on("a", bench, None), on("b", Some("other"), None), on("c", bench, None)]), (2.0, 3));
    // Two places: the third begins when the first is done, the fourth when the others are.
    let four = ["a", "b", "c", "d"].map(|name| on(name, None, Some(2)));
    assert_eq!(seconds(four.to_vec()), (2.5, 4));
    let one_by_one = ["a", "b", "c", "d"].map(|name| on(name, None, Some(1)));
    assert_eq!(seconds(one_by_one.to_vec()), (4.5, 4));
    // This host is one machine, whatever its names are.
    let [here, there] = ["a", "b"].map(sample::device);
    assert_eq!(seconds(vec![here, there]), (3.0, 2));
    // A device that no farm file has any more is nobody's to wait for.
    let plan = Plan { sweep: String::new(), jobs: vec![job("gone", 1.5)], skipped: Vec::new() };
    assert_eq!(estimate(&plan, &Inventory { devices: Vec::new(), host_target: None }, None).seconds, 1.5);
}

#[test]
fn sustained_load_has_a_length_of_its_own_and_the_device_is_not_warm() {
    let limits = Limits { steady_percent: Some(3.0), interval_percent: Some(2.0), ..sweep().limits };
    let sweep = Sweep {
        scenarios: vec![Scenario::SingleStream, Scenario::Sustained],
        models: models(&["small"]),
        limits,
        sustained_seconds: 120.0,
        ..sweep()
    };
    let plan = plan(&sweep, &inventory(), &catalog());
    let of = |scenario| plan.jobs.iter().find(|job| job.scenario == scenario).unwrap();
    assert_eq!(of(Scenario::SingleStream).limits, limits);
    let sustained = of(Scenario::Sustained);
    assert_eq!((sustained.limits.min_seconds, sustained.limits.max_seconds), (120.0, 120.0));
    assert_eq!((sustained.limits.min_runs, sustained.limits.max_runs), (1, 1_000_000));
    assert_eq!((sustained.limits.warmup_min_runs, sustained.limits.warmup_max_seconds), (3, 0.0));
    assert_eq!((sustained.limits.steady_percent, sustained.limits.interval_percent), (None, None));
    assert!(job_seconds(sustained, None) >= 120.0);
}

#[test]
fn loops_that_are_looked_at_take_as_long_as_the_fewest_looks() {
    let job = |limits: Limits| {
        let sweep = Sweep { models: models(&["big"]), limits, ..sweep() };
        plan(&sweep, &inventory(), &catalog()).jobs.swap_remove(0)
    };
    let brief = Limits { min_runs: 1, min_seconds: 0.0, warmup_min_runs: 1, warmup_min_seconds: 0.0, ..sweep().limits };
    let (plain, looked_at) = (job(brief), job(Limits { interval_percent: Some(2.0), ..brief }));
    let one = plain.model.macs.unwrap() as f64 / 10e9;
    assert!((job_seconds(&looked_at, None) - job_seconds(&plain, None) - 199.0 * one).abs() < 1e-9);
    assert_ne!(plain.id, looked_at.id, "another length is another job");
}
