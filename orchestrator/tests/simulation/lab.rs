//! A simulated lab: devices, a sweep, a store, and hosts that come and go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use farmctl::agent::{Agent, AgentMode, Assignment, HostFiles, LabelFiles, OutputFiles, SweepFiles, SweepRules};
use farmctl::device::{EngineProgram, EngineProvider, RunnerFile, RunnerProvider};
use farmctl::domain::{
    ArtifactRef, Backend, Catalog, CatalogModel, Cooldown, DEFAULT_SUSTAINED_SECONDS, Device, DeviceSelector, Event,
    Failure, Inventory, Job, Layout, Limits, OnFailure, Order, Plan, Precision, RetryPolicy, Scenario, SshEndpoint,
    Sweep, SweepDefinition, SweepId, SweepRow, SweepState, Tag, ThreadCount, Timeouts, TransportConfig, TrustPolicy,
    WeightsFile, WeightsKind, WeightsSource, sha256_hex,
};
use farmctl::lease::{Clock, LeaseError, LeaseKeeper};
use farmctl::planner;
use farmctl::store::sqlite::{SimulatedServer, SqliteStore};
use farmctl::store::{NewSweep, Store};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::chance::Chance;
use super::device::{Nature, SimDevice, WORKDIR, facts_of_before};
use super::ending;
use super::host::{Host, Moment, passed, set};
use super::run::BAD_MODEL_BYTES;
use super::transport::{Harshness, SimFarm};
use super::world::World;

/// Files that every simulation shares: models and a runner.
pub struct Files {
    folder: TempDir,
    pub models: Vec<(String, ArtifactRef)>,
    pub paths: HashMap<String, PathBuf>,
    runner: RunnerFile,
}

impl Files {
    pub fn new() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let mut models = Vec::new();
        let mut paths = HashMap::new();
        let write = |name: &str, size_bytes: u64| {
            let bytes: Vec<u8> = name.bytes().cycle().take(usize::try_from(size_bytes).unwrap()).collect();
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            (ArtifactRef { sha256: sha256_hex(&bytes), size_bytes }, path)
        };
        for number in 0..25 {
            let name = format!("model-{number}");
            let size_bytes = if number == 3 { BAD_MODEL_BYTES } else { 700 + number * 30 };
            let (artifact, path) = write(&name, size_bytes);
            paths.insert(artifact.sha256.clone(), path);
            models.push((name, artifact));
        }
        let (artifact, path) = write("runner", 2_000);
        let runner = RunnerFile::new(path, artifact, "x86_64-unknown-linux-gnu".to_owned());
        Files { folder, models, paths, runner }
    }

    fn of_host(&self) -> HostFiles {
        let mut files = HostFiles::default();
        self.paths.iter().for_each(|(sha256, path)| files.add(sha256.clone(), path.clone()));
        files
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

/// What a simulation is made of.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub devices: usize,
    pub jobs_a_device: usize,
    /// [`Harshness::moments`].
    pub moments: u64,
    /// That carry the sweep out at the same time.
    pub hosts: u64,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// When the simulated time begins.
const BEGAN: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub struct Lab<'f> {
    files: &'f Files,
    pub world: Arc<World>,
    pub store: Arc<dyn Store>,
    pub devices: HashMap<String, Arc<SimDevice>>,
    pub inventory: Inventory,
    pub harshness: Harshness,
    /// Whether events are printed.
    pub is_told: bool,
    /// Whether several hosts carry its sweep out at the same time.
    pub is_shared: bool,
    /// Whether these hosts have clocks that differ.
    pub has_clocks: bool,
    /// What hosts share, where there are several, and until when nobody reaches it.
    server: SimulatedServer,
    gone_until: Moment,
    began: Instant,
    hosts: Mutex<u64>,
}

impl<'f> Lab<'f> {
    pub fn new(files: &'f Files, seed: u64, size: Size, harshness: Harshness) -> Lab<'f> {
        let world = Arc::new(World::default());
        let mut chance = Chance::new(seed, 0);
        let (mut devices, mut declared) = (HashMap::new(), Vec::new());
        for number in 0..size.devices {
            let name = format!("d{number}");
            let nature = match chance.below(20) {
                0 if harshness.faults > 0 => Nature::Dead,
                1 | 2 => Nature::Forgetful,
                _ => Nature::Well,
            };
            let stream = Chance::new(seed, number as u64 + 1);
            devices.insert(name.clone(), Arc::new(SimDevice::new(name.clone(), nature, Arc::clone(&world), stream)));
            declared.push(device(name));
        }
        let began = Instant::now();
        let server = SimulatedServer::new(Arc::new(move || BEGAN + passed(began))).unwrap();
        let is_shared = size.hosts > 1;
        let store: Arc<dyn Store> = match is_shared {
            true => Arc::new(server.reached(Arc::new(|| false))),
            false => Arc::new(SqliteStore::in_memory().unwrap()),
        };
        if harshness.moments > 0 {
            // Nights are of a lab whose devices have worked before.
            let yesterday = BEGAN - SignedDuration::from_hours(24);
            devices.keys().for_each(|name| store.device_seen(name, &facts_of_before(), 1 << 40, yesterday).unwrap());
        }
        let inventory = Inventory { devices: declared, host_target: None };
        Lab {
            files,
            world,
            store,
            devices,
            inventory,
            harshness,
            is_told: false,
            is_shared,
            has_clocks: is_shared && harshness.faults > 0 && chance.happens(500),
            server,
            gone_until: Moment::default(),
            began,
            hosts: Mutex::new(0),
        }
    }

    /// Adds a sweep of so many jobs on each device.
    pub fn add_sweep(
        &self,
        name: &str,
        jobs_a_device: usize,
        retry: RetryPolicy,
        trust: TrustPolicy,
    ) -> (SweepRow, Sweep, Plan) {
        let models: Vec<String> =
            (0..jobs_a_device).map(|index| self.files.models[index % self.files.models.len()].0.clone()).collect();
        let mut sweep = Sweep { trust, ..sweep(name, models, retry) };
        let per_model = jobs_a_device.div_ceil(self.files.models.len());
        sweep.models.truncate(self.files.models.len());
        sweep.repeats = u32::try_from(per_model).unwrap();
        let plan = planner::plan(&sweep, &self.inventory, &self.catalog());
        let row = SweepRow {
            id: SweepId(format!("20270101-000000-{name}-0000")),
            name: name.to_owned(),
            started_at: self.now(SignedDuration::ZERO),
            finished_at: None,
            farmctl_version: "0".to_owned(),
            state: SweepState::Open,
        };
        let definition = SweepDefinition {
            config: name.to_owned(),
            sweep: sweep.clone(),
            retry_of: None,
            due: None,
            ordered: None,
            max_parallel: None,
        };
        self.store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
        (row, sweep, plan)
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
                source: WeightsSource::Path(self.files.paths[&artifact.sha256].clone()),
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
        Catalog { models: self.files.models.iter().map(model).collect(), backends: vec![backend], datasets: Vec::new() }
    }

    pub fn now(&self, offset: SignedDuration) -> Timestamp {
        BEGAN + passed(self.began) + offset
    }

    /// Nobody reaches the store for so long.
    pub fn lose_server(&self, length: Duration) {
        set(&self.gone_until, length);
    }

    /// What is open, and who has what, for a simulation that does not end.
    pub fn standing(&self) -> String {
        let now = self.now(SignedDuration::ZERO);
        let sweeps = self.store.sweeps().unwrap();
        let open: Vec<String> = sweeps
            .iter()
            .map(|sweep| {
                let mut devices: Vec<String> =
                    self.store.open_jobs(&sweep.id, None).unwrap().into_iter().map(|job| job.device).collect();
                devices.dedup();
                let live = self.store.live_runs(&sweep.id, None).unwrap();
                format!("{} has open jobs on {devices:?}, live runs {live:?}", sweep.name)
            })
            .collect();
        let leases = self.store.device_leases(now).unwrap();
        format!("{}; leases at {now}: {leases:?}; {:?}", open.join("; "), self.store.device_statuses().unwrap())
    }

    /// The time of day by a host's clock.
    pub fn time_of(&self, host: &Host) -> Timestamp {
        self.now(*host.offset.lock().unwrap())
    }

    /// A host with a clock of its own, which may be set at any time.
    pub fn host(&self) -> Host {
        let mut hosts = self.hosts.lock().unwrap();
        *hosts += 1;
        // Every other one is a day ahead.
        let ahead = if self.has_clocks && hosts.is_multiple_of(2) { DAY } else { SignedDuration::ZERO };
        Host::new(*hosts, ahead, self.is_shared.then_some(&self.server), &self.gone_until, &self.store)
    }

    /// What a host does with a sweep, until it is done or dropped.
    pub async fn carry_out(
        &self,
        host: &Host,
        sweep: &SweepRow,
        definition: &Sweep,
        events: mpsc::Sender<Event>,
    ) -> Result<(), String> {
        let (began, offset) = (self.began, Arc::clone(&host.offset));
        let clock: Clock = Arc::new(move || BEGAN + passed(began) + *offset.lock().unwrap());
        let holder = format!("sim:{}", host.number);
        let leases = LeaseKeeper::start(Arc::clone(&host.store), holder, Arc::clone(&clock));
        let leases = leases.map_err(|error| error.to_string())?;
        let is_shared = self.is_shared;
        let names: Vec<String> = self.inventory.devices.iter().map(|device| device.name.clone()).collect();
        let take = || match is_shared {
            true => leases.part(&sweep.id, &names).map(|(part, _)| part),
            false => leases.sweep(&sweep.id),
        };
        let lease = loop {
            // The other host has ended it meanwhile.
            if is_shared && host.store.sweep_state(&sweep.id).map_err(|error| error.to_string())? != SweepState::Open {
                return Ok(());
            }
            match take() {
                Ok(lease) => break lease,
                Err(LeaseError::Held(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(LeaseError::Store(error)) => return Err(error.to_string()),
            }
        };
        let assignment = Assignment {
            mode: AgentMode::Jobs,
            sweep: sweep.clone(),
            rules: SweepRules::from(definition),
            lab_devices: self.inventory.devices.clone(),
            max_devices: 1000,
            is_shared,
        };
        let files = SweepFiles {
            models: self.files.of_host(),
            runners: Arc::new(Built(self.files.runner.clone())),
            b_runners: None,
            engines: Arc::new(NoPrograms),
            outputs: OutputFiles::new(self.files.folder.path().join("outputs")),
            labels: LabelFiles::new(self.files.folder.path().join("labels")),
        };
        let farm = SimFarm { devices: self.devices.clone(), harshness: self.harshness };
        let agent = Agent::new(assignment, files, Arc::new(farm), leases, events).map_err(|error| error.to_string())?;
        let agent = Arc::new(agent);
        agent.carry_out(self.inventory.devices.clone(), &lease).await.map_err(|error| error.to_string())?;
        lease.release().map_err(|error| error.to_string())?;
        ending::end(host.store.as_ref(), self.is_shared, &sweep.id, clock.as_ref())
            .await
            .map_err(|error| error.to_string())
    }
}

fn device(name: String) -> Device {
    Device {
        transport: TransportConfig::Ssh(SshEndpoint { host: name.clone(), ..SshEndpoint::default() }),
        name,
        farm: "sim".to_owned(),
        tags: [Tag { key: "pool".to_owned(), value: Some("a".to_owned()) }].into(),
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

fn sweep(name: &str, models: Vec<String>, retry: RetryPolicy) -> Sweep {
    Sweep {
        name: name.to_owned(),
        devices: vec![DeviceSelector::Name("*".to_owned())],
        models,
        weights: vec![WeightsKind::Synthetic],
        backends: vec!["tract".to_owned()],
        precisions: vec![Precision::Float32],
        threads: vec![ThreadCount::Count(1)],
        batches: vec![1],
        scenarios: vec![Scenario::SingleStream],
        repeats: 1,
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
        timeouts: Timeouts {
            connect_seconds: 5.0,
            bring_up_seconds: 20.0,
            push_stall_seconds: 5.0,
            run_seconds: 60.0,
            arrive_seconds: 40.0,
            reconnect_seconds: 30.0,
            collect_seconds: 20.0,
        },
        cooldown: Some(Cooldown { start_temp_c: Some(45.0), max_seconds: 8.0, ..Cooldown::default() }),
        on_failure: OnFailure::Continue,
        retry,
        seed: 1,
        dataset: None,
        side_by_side: None,
        trust: TrustPolicy::default(),
    }
}
