//! Devices, jobs and records for tests.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use farmctl_protocol::{
    ArtifactRef, BatteryState, Conditions, CoreState, DeviceState, Energy, FrequencyRange, HottestSensor, Moment,
    Phase, Pressure, ThrottleSign, Throttled,
};
use jiff::Timestamp;

use super::{
    Against, AndroidOptions, CatalogModel, Device, DeviceFacts, DeviceLimits, DeviceSelector, EndedBy, Failure,
    FailureKind, HistoryCell, InputRange, Job, JobId, JobModel, Layout, Limits, Measurement, OnFailure, Order,
    OutputRef, Precision, Record, Recovery, Regression, RegressionId, RegressionState, RetryPolicy, RunId, RunStatus,
    Scenario, SshEndpoint, Steady, Sweep, SweepId, SweepRow, SweepState, Tag, ThreadCount, Timeouts, TransportConfig,
    WeightsKind,
};

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_474_800 + seconds).unwrap()
}

pub fn sweep() -> SweepRow {
    SweepRow {
        id: SweepId("20261123-230000-all-7f3a".into()),
        name: "all".into(),
        started_at: at(0),
        finished_at: Some(at(95)),
        farmctl_version: "0.1.0 (abc1234)".into(),
        state: SweepState::Finished,
    }
}

pub fn sweep_definition() -> Sweep {
    Sweep {
        name: "all".into(),
        devices: vec![DeviceSelector::Name("*".into())],
        models: vec!["mobilenet_v2".into()],
        weights: vec![WeightsKind::Synthetic],
        backends: vec!["tract".into()],
        precisions: vec![Precision::Float32],
        threads: vec![ThreadCount::Count(2)],
        batches: vec![1],
        scenarios: vec![Scenario::SingleStream],
        repeats: 1,
        order: Order::Shuffled,
        include: vec![],
        exclude: vec![],
        limits: job("a", "mobilenet_v2").limits,
        sustained_seconds: super::DEFAULT_SUSTAINED_SECONDS,
        timeouts: Timeouts::default(),
        cooldown: None,
        on_failure: OnFailure::Continue,
        retry: RetryPolicy::default(),
        seed: 42,
        dataset: None,
        trust: super::TrustPolicy::default(),
        side_by_side: None,
    }
}

pub fn device(name: &str) -> Device {
    Device {
        name: name.into(),
        farm: "lab".into(),
        tags: Default::default(),
        transport: TransportConfig::Local,
        workdir: "~/.farmctl".into(),
        notes: None,
        limits: DeviceLimits::default(),
        price_per_hour: None,
        delegates: Default::default(),
        android: AndroidOptions::default(),
        recovery: Recovery::default(),
        exclusive: None,
        max_parallel: None,
        preferred_hosts: Vec::new(),
        disabled: None,
        declared_at: "farms/lab.yaml:1".into(),
        is_elsewhere: false,
    }
}

/// A device that is a machine of its own.
pub fn board(name: &str) -> Device {
    let endpoint = SshEndpoint { host: name.to_owned(), ..SshEndpoint::default() };
    Device { transport: TransportConfig::Ssh(endpoint), ..device(name) }
}

pub fn job(device: &str, model: &str) -> Job {
    Job {
        id: JobId("00112233445566aa".into()),
        device: device.into(),
        model: JobModel {
            name: model.into(),
            weights: WeightsKind::Synthetic,
            format: "onnx".into(),
            artifact: Some(ArtifactRef { sha256: "ab".repeat(32), size_bytes: 14_000_000 }),
            parts: Vec::new(),
            layout: Layout::default(),
            input_shape: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            macs: Some(300_774_272),
            input_range: InputRange { low: -1.0, high: 1.0 },
        },
        backend: "tract".into(),
        backend_version: "0.23.9".into(),
        options: BTreeMap::new(),
        precision: Precision::Float32,
        threads: ThreadCount::Count(2),
        batch: 1,
        scenario: Scenario::SingleStream,
        repeat: 1,
        position: None,
        rerun: None,
        side: None,
        limits: Limits {
            warmup_min_runs: 1,
            warmup_min_seconds: 0.1,
            warmup_max_seconds: 1.0,
            min_runs: 4,
            max_runs: 100,
            min_seconds: 0.5,
            max_seconds: 5.0,
            steady_percent: None,
            interval_percent: None,
        },
        seed: 42,
        dataset: None,
        remarks: Vec::new(),
        run_seconds: 120.0,
    }
}

/// A model of which nothing is said, without files.
pub fn model(name: &str) -> CatalogModel {
    CatalogModel::unknown(name, name)
}

pub fn output(name: &str, sha256: &str) -> OutputRef {
    OutputRef { name: name.into(), shape: vec![1], sha256: sha256.into() }
}

/// A run that ended well.
pub fn record(device: &str, model: &str) -> Record {
    Record {
        sweep_id: sweep().id,
        job: job(device, model),
        run_id: Some(RunId("20261123-230000-all-7f3a-00112233445566aa-1".into())),
        attempt: 1,
        farm: "lab".into(),
        tags: [Tag { key: "soc".into(), value: Some("rk3588".into()) }, Tag { key: "desk".into(), value: None }].into(),
        transport: "ssh".into(),
        device: Some(DeviceFacts {
            target: "aarch64-unknown-linux-musl".into(),
            soc: Some("Rockchip RK3588".into()),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "Linux 6.1.0".into(),
            boot_id: None,
            cpus: 8,
            memory_total_bytes: 8 << 30,
            android: None,
            battery: None,
            clock_off_ms: None,
        }),
        condition: None,
        cooldown: None,
        status: RunStatus::Ok,
        failure: None,
        measurement: Measurement {
            load_ns: Some(182_500_000),
            first_ns: Some(21_000_001),
            warmup_runs: Some(5),
            steady: Some(Steady::Yes),
            ended_by: Some(EndedBy::Minima),
            samples_ns: vec![20_000_000, 19_000_000, 22_000_000, 19_500_001],
            wall_ns: Some(80_600_000),
            cpu_user_ns: Some(150_000_000),
            cpu_system_ns: Some(1_000_000),
            peak_rss_bytes: Some(61_865_984),
            threads: Some(2),
            cpus: vec![4, 5],
            inputs: vec![],
            output_tensors: vec![],
            outputs: vec![],
            engine: None,
            reported: None,
            accuracy: None,
            conditions: None,
            remarks: vec![],
        },
        judged: None,
        price_per_hour: None,
        started_at: Some(at(10)),
        finished_at: at(12),
        farmctl_version: "0.1.0 (abc1234)".into(),
        runner_sha256: Some("cd".repeat(32)),
        engine_files: Vec::new(),
    }
}

/// A phone that grew hot.
pub fn conditions() -> Conditions {
    let core = |index, governor: &str| CoreState {
        index,
        online: true,
        governor: Some(governor.into()),
        ..CoreState::default()
    };
    let battery = BatteryState { status: Some("Discharging".into()), ..BatteryState::default() };
    Conditions {
        boot_id: Some("b5a2777c-3cd2-4e09-b4b8-523759b67da0".into()),
        watched_from: Phase::Measure,
        watched_ns: 10_000_000_000,
        looks: 12,
        before: DeviceState {
            cores: vec![core(0, "powersave"), core(4, "schedutil"), core(5, "performance")],
            battery: Some(battery.clone()),
            ..DeviceState::default()
        },
        after: DeviceState { battery: Some(battery), ..DeviceState::default() },
        cpus: vec![4, 5],
        temperature: Some(HottestSensor { sensor: "BIG".into(), start_c: 41.0, max_c: 70.5 }),
        frequency: Some(FrequencyRange { mean_khz: 2_601_000, min_khz: 2_400_000 }),
        throttled: Throttled::Yes,
        throttled_by: vec![ThrottleSign::LimitLowered, ThrottleSign::Cooling],
        throttled_after_ms: Some(4_200),
        other_ns: Some(1_000_000_000),
        stolen_ns: None,
        major_faults: Some(2),
        involuntary_switches: Some(150),
        pressure: Pressure { cpu: Some(0.5), ..Pressure::default() },
        energy: Some(Energy { sensor: "power_supply battery".into(), energy_uj: 20_541_440 }),
        cpuset: Some("/foreground".into()),
        went_offline: vec![5],
        was_stopped: false,
        series: vec![Moment { celsius: Some(41.0), ..Moment::default() }],
    }
}

/// A run that failed after two samples.
pub fn failed(device: &str, model: &str, message: &str) -> Record {
    let mut record = record(device, model);
    record.status = RunStatus::Failed;
    record.failure = Some(Failure {
        stderr_tail: vec!["thread panicked".into(), "=2+3".into()],
        ..Failure::new(FailureKind::Crashed, message)
    });
    record.measurement = Measurement { samples_ns: vec![5, 6], load_ns: Some(1_000_000), ..Measurement::default() };
    record
}

/// A cell that never started.
pub fn skipped(device: &str, model: &str, reason: &str) -> Record {
    let mut record = record(device, model);
    record.status = RunStatus::Skipped;
    record.failure = Some(Failure::new(FailureKind::BackendUnsupported, reason));
    record.measurement = Measurement::default();
    (record.run_id, record.attempt, record.device, record.started_at) = (None, 0, None, None);
    record.runner_sha256 = None;
    record
}

/// A cell of a device that got 10 % slower.
pub fn regression(device: &str) -> Regression {
    Regression {
        id: RegressionId("r123456789".into()),
        schedule: "nightly".into(),
        against: Against::History,
        device: device.into(),
        cell: format!("{device}: m tract"),
        since: SweepId("night-12".into()),
        reference: SweepId("night-11".into()),
        before_ns: 1e6,
        after_ns: 1.1e6,
        percent: 10.0,
        low_percent: 9.0,
        high_percent: 11.0,
        p_value: 1e-9,
        changed: String::new(),
        found_in: SweepId("night-15".into()),
        found_at: at(0),
        seen_in: SweepId("night-15".into()),
        state: RegressionState::Open,
        end: None,
    }
}

/// The cell of a device's history that its job of a model is of.
pub fn history_cell(device: &str, model: &str) -> HistoryCell {
    let job = job(device, model);
    HistoryCell {
        device: job.device,
        weights: job.model.weights,
        format: job.model.format,
        backend: job.backend,
        options: job.options,
        precision: job.precision,
        threads: job.threads,
        batch: job.batch,
        scenario: job.scenario,
    }
}
