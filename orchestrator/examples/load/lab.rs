//! A lab of simulated devices, and the sweep that it carries out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use farmctl::agent::{HostFiles, LabelFiles, OutputFiles, SweepFiles};
use farmctl::device::{EngineProgram, EngineProvider, RunnerFile, RunnerProvider};
use farmctl::domain::{
    ArtifactRef, Backend, Catalog, CatalogModel, DEFAULT_SUSTAINED_SECONDS, Device, DeviceSelector, Failure, Inventory,
    Job, Layout, Limits, OnFailure, Order, Precision, RetryPolicy, Scenario, SshEndpoint, Sweep, SweepDefinition,
    SweepId, SweepRow, SweepState, ThreadCount, Timeouts, TransportConfig, TrustPolicy, WeightsFile, WeightsKind,
    WeightsSource, sha256_hex,
};
use farmctl::planner;
use farmctl::store::{NewSweep, Store};
use jiff::Timestamp;
use tempfile::TempDir;

use super::device::WORKDIR;
use super::{Size, Trouble};

const MOST_MODELS: usize = 10;

/// The files of a lab, its devices, and its one sweep. Each host makes the same by itself.
pub struct Lab {
    folder: TempDir,
    models: Vec<(String, ArtifactRef)>,
    paths: HashMap<String, PathBuf>,
    runner: RunnerFile,
    pub inventory: Inventory,
    pub sweep: Sweep,
}

impl Lab {
    /// With at most so many networks; each device measures each as often.
    pub fn new(size: Size, most_models: usize) -> Result<Lab, Trouble> {
        let jobs_a_device = (size.jobs / size.devices.max(1)).max(1);
        let count = (1..=most_models.min(MOST_MODELS)).rev().find(|count| jobs_a_device.is_multiple_of(*count));
        let count = count.unwrap_or(1);
        let folder = tempfile::tempdir()?;
        let write = |name: &str, size_bytes: usize| -> Result<(ArtifactRef, PathBuf), Trouble> {
            let bytes: Vec<u8> = name.bytes().cycle().take(size_bytes).collect();
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes)?;
            Ok((ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: size_bytes as u64 }, path))
        };
        let (mut models, mut paths) = (Vec::new(), HashMap::new());
        for number in 0..count {
            let name = format!("model-{number}");
            let (artifact, path) = write(&name, 500)?;
            paths.insert(artifact.sha256.clone(), path);
            models.push((name, artifact));
        }
        let (artifact, path) = write("runner", 2_000)?;
        let runner = RunnerFile::new(path, artifact, "x86_64-unknown-linux-gnu".to_owned());
        let names = models.iter().map(|(name, _)| name.clone()).collect();
        let sweep = sweep(names, u32::try_from(jobs_a_device / count)?);
        let devices = (0..size.devices).map(device).collect();
        let inventory = Inventory { devices, host_target: None };
        Ok(Lab { folder, models, paths, runner, inventory, sweep })
    }

    /// Plans its sweep, and hands it to the store.
    pub fn add_sweep(&self, store: &dyn Store, now: Timestamp) -> Result<SweepRow, Trouble> {
        let plan = planner::plan(&self.sweep, &self.inventory, &self.catalog());
        let row = SweepRow {
            id: SweepId("20270101-000000-load-0000".to_owned()),
            name: self.sweep.name.clone(),
            started_at: now,
            finished_at: None,
            farmctl_version: "0".to_owned(),
            state: SweepState::Open,
        };
        let definition = SweepDefinition {
            config: self.sweep.name.clone(),
            sweep: self.sweep.clone(),
            retry_of: None,
            due: None,
            ordered: None,
            max_parallel: None,
        };
        store.create_sweep(&NewSweep::new(&row, &definition, &plan))?;
        Ok(row)
    }

    /// What a host takes to devices.
    pub fn files(&self) -> SweepFiles {
        let mut models = HostFiles::default();
        self.paths.iter().for_each(|(sha256, path)| models.add(sha256.clone(), path.clone()));
        SweepFiles {
            models,
            runners: Arc::new(Built(self.runner.clone())),
            b_runners: None,
            engines: Arc::new(NoPrograms),
            outputs: OutputFiles::new(self.folder.path().join("outputs")),
            labels: LabelFiles::new(self.folder.path().join("labels")),
        }
    }

    fn catalog(&self) -> Catalog {
        let model = |(name, artifact): &(String, ArtifactRef)| CatalogModel {
            files: vec![WeightsFile {
                weights: WeightsKind::Synthetic,
                format: "onnx".to_owned(),
                declared_precision: Some(Precision::Float32),
                layout: Layout::Nchw,
                artifact: Some(artifact.clone()),
                parts: Vec::new(),
                signature: None,
                macs: None,
                source: WeightsSource::Path(self.paths[&artifact.sha256].clone()),
            }],
            ..CatalogModel::unknown(name, name)
        };
        let backend = Backend {
            name: "tract".to_owned(),
            version: "1".to_owned(),
            formats: vec!["onnx".to_owned()],
            precisions: vec![Precision::Float32],
            converts_to: Vec::new(),
            operator_domains: Vec::new(),
            multi_threaded: false,
            program: None,
        };
        Catalog { models: self.models.iter().map(model).collect(), backends: vec![backend], datasets: Vec::new() }
    }
}

struct Built(RunnerFile);

#[async_trait]
impl RunnerProvider for Built {
    async fn runner(&self, _: &str) -> Result<RunnerFile, Failure> {
        Ok(self.0.clone())
    }
}

/// Simulated runners carry their engine themselves.
struct NoPrograms;

#[async_trait]
impl EngineProvider for NoPrograms {
    async fn engine(&self, _: &Job, _: &str) -> Result<Option<EngineProgram>, Failure> {
        Ok(None)
    }
}

fn device(number: usize) -> Device {
    let name = format!("d{number}");
    Device {
        transport: TransportConfig::Ssh(SshEndpoint { host: name.clone(), ..SshEndpoint::default() }),
        name,
        farm: "sim".to_owned(),
        tags: Default::default(),
        workdir: WORKDIR.to_owned(),
        notes: None,
        limits: Default::default(),
        price_per_hour: None,
        delegates: Default::default(),
        android: Default::default(),
        recovery: Default::default(),
        exclusive: None,
        max_parallel: None,
        disabled: None,
        preferred_hosts: Vec::new(),
        declared_at: "sim".to_owned(),
        is_elsewhere: false,
    }
}

/// Without cooling down and without measuring again: what is measured is the lab, not the wait for cool devices.
fn sweep(models: Vec<String>, repeats: u32) -> Sweep {
    Sweep {
        name: "load".to_owned(),
        devices: vec![DeviceSelector::Name("*".to_owned())],
        models,
        weights: vec![WeightsKind::Synthetic],
        backends: vec!["tract".to_owned()],
        precisions: vec![Precision::Float32],
        threads: vec![ThreadCount::Count(1)],
        batches: vec![1],
        scenarios: vec![Scenario::SingleStream],
        repeats,
        order: Order::Shuffled,
        include: vec![],
        exclude: vec![],
        limits: Limits {
            warmup_min_runs: 1,
            warmup_min_seconds: 0.0,
            warmup_max_seconds: 1.0,
            min_runs: 1,
            max_runs: 30,
            min_seconds: 0.0,
            max_seconds: 10.0,
            steady_percent: None,
            interval_percent: None,
        },
        sustained_seconds: DEFAULT_SUSTAINED_SECONDS,
        timeouts: Timeouts::default(),
        cooldown: None,
        on_failure: OnFailure::Continue,
        retry: RetryPolicy::default(),
        seed: 1,
        dataset: None,
        side_by_side: None,
        trust: TrustPolicy { max_reruns: 0, ..TrustPolicy::default() },
    }
}
