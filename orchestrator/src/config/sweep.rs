//! A sweep file to a [`Sweep`]: what it means, checked against the inventory and the catalogue.

use crate::domain::{
    Catalog, CellPattern, Cooldown, DEFAULT_SUSTAINED_SECONDS, DeviceSelector, Inventory, Limits, OnFailure, Order,
    Precision, RetryPolicy, Sweep, Timeouts, TrustPolicy, TrustRules, WeightsKind,
};
use crate::domain::{Scenario, ThreadCount};
use crate::planner;

use super::document::{Document, Step, place};
use super::fault::{ConfigErrors, any_of, code, did_you_mean};
use super::selector::{self, EVERY_NAME};
use super::source::Source;
use super::sweep_file::{
    CooldownEntry, LimitsEntry, OnFailureWord, OrderWord, PatternEntry, RetryEntry, SweepFile, TimeoutsEntry,
    TrustEntry,
};
use super::words::OneOrMany;

mod bounds;

/// Most runs of a sweep; at a second each, that is a day on each of ten devices.
pub(crate) const MAX_JOBS: u64 = 1_000_000;
/// Engine of a sweep that names none.
const DEFAULT_BACKEND: &str = "tract";
/// Seed of a sweep that names none.
const DEFAULT_SEED: u64 = 1;
const DEFAULT_LIMITS: Limits = Limits {
    warmup_min_runs: 3,
    warmup_min_seconds: 1.0,
    warmup_max_seconds: 10.0,
    min_runs: 10,
    max_runs: 10_000,
    min_seconds: 3.0,
    max_seconds: 60.0,
    steady_percent: None,
    interval_percent: None,
};

/// The sweep of a file.
pub(super) fn load(source: Source, inventory: &Inventory, catalog: &Catalog) -> Result<Sweep, ConfigErrors> {
    let stem = source.file.file_stem().map_or_else(|| "sweep".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let mut reader = Reader { document: Document::new(source), inventory, catalog, has_preset: false };
    let Some(content) = reader.document.content.take() else {
        return ConfigErrors::unless_clean(None, reader.document.faults);
    };
    let sweep = reader.sweep(content, stem);
    ConfigErrors::unless_clean(Some(sweep), reader.document.faults)
}

struct Reader<'a> {
    document: Document<SweepFile>,
    inventory: &'a Inventory,
    catalog: &'a Catalog,
    /// Whether limits that the file does not say are a preset's.
    has_preset: bool,
}

impl Reader<'_> {
    fn sweep(&mut self, content: SweepFile, stem: String) -> Sweep {
        self.has_preset = content.preset.is_some();
        let name = content.name.unwrap_or(stem);
        self.name(&name);
        let axes = PatternEntry {
            devices: content.devices,
            models: Some(content.models),
            weights: content.weights,
            backends: content.backends,
            precision: content.precision,
            threads: content.threads,
            batch: content.batch,
            scenario: content.scenario,
        };
        let axes = self.pattern(axes, &[]);
        let or = |backends: Vec<String>| if backends.is_empty() { vec![DEFAULT_BACKEND.to_owned()] } else { backends };
        if axes.devices.is_empty() && self.inventory.devices.is_empty() {
            self.document.refuse(place!["devices"], "the inventory has no device", None);
        }
        let limits_entry = content.limits.unwrap_or_default();
        let sustained = limits_entry.sustained.as_ref().and_then(|entry| entry.seconds);
        let preset = content.preset.map(|word| word.0.rules());
        let limits = limits(limits_entry, preset.map_or(DEFAULT_LIMITS, |rules| rules.limits));
        let timeouts = timeouts(content.timeouts.unwrap_or_default(), preset.and_then(|rules| rules.run_seconds));
        let sweep = Sweep {
            name,
            devices: non_empty(axes.devices, DeviceSelector::Name(EVERY_NAME.to_owned())),
            models: axes.models,
            weights: non_empty(axes.weights, WeightsKind::Synthetic),
            backends: or(axes.backends),
            precisions: non_empty(axes.precisions, Precision::Float32),
            threads: non_empty(axes.threads, ThreadCount::Count(1)),
            batches: non_empty(axes.batches, 1),
            scenarios: non_empty(axes.scenarios, Scenario::SingleStream),
            repeats: content.repeats.unwrap_or(1),
            order: match content.order {
                None | Some(OrderWord::Shuffled) => Order::Shuffled,
                Some(OrderWord::Listed) => Order::Listed,
            },
            include: self.patterns(content.include, "include"),
            exclude: self.patterns(content.exclude, "exclude"),
            limits,
            sustained_seconds: sustained.unwrap_or(DEFAULT_SUSTAINED_SECONDS),
            timeouts,
            cooldown: content.cooldown.map(cooldown).or(preset.and_then(|rules| rules.cooldown)),
            on_failure: match content.on_failure {
                None | Some(OnFailureWord::Continue) => OnFailure::Continue,
                Some(OnFailureWord::StopDevice) => OnFailure::StopDevice,
                Some(OnFailureWord::StopSweep) => OnFailure::StopSweep,
            },
            retry: retry(content.retry.unwrap_or_default()),
            seed: content.seed.unwrap_or(DEFAULT_SEED),
            dataset: content.dataset,
            trust: trust(content.trust.unwrap_or_default()),
            side_by_side: None,
        };
        self.dataset(&sweep);
        self.equal_by(sweep.retry.equal_by.as_deref());
        self.default_backend(&sweep);
        if self.document.is_clean() {
            self.bounds(&sweep);
        }
        if self.document.is_clean() {
            self.size(&sweep);
        }
        if self.document.is_clean() {
            self.matches(&sweep);
        }
        sweep
    }

    /// The dataset is a known one, and there are networks that it says something of.
    fn dataset(&mut self, sweep: &Sweep) {
        let known: Vec<&str> = self.catalog.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        if let Some(name) = sweep.dataset.as_deref().filter(|name| !known.contains(name)) {
            let hint = did_you_mean(name, known);
            self.document.refuse(place!["dataset"], format!("unknown dataset {}", code(name)), hint);
        }
        let mut weights = sweep.weights.iter().chain(sweep.include.iter().flat_map(|pattern| &pattern.weights));
        if sweep.dataset.is_some() && !weights.any(|weights| *weights == WeightsKind::Trained) {
            let hint = Some("add `weights: trained`, or both: `[synthetic, trained]`".to_owned());
            self.document.refuse(place!["dataset"], "synthetic weights have no accuracy", hint);
        }
    }

    /// The name becomes part of a folder's name under `reports/`.
    fn name(&mut self, name: &str) {
        const MAX_CHARS: usize = 64;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed);
        if !good || name.len() > MAX_CHARS {
            let hint = format!("give it a `name:` of at most {MAX_CHARS} letters, digits, `.`, `_` and `-`");
            self.document.refuse(place!["name"], format!("{} is no good name for a sweep", code(name)), Some(hint));
        }
    }

    fn patterns(&mut self, entries: Option<OneOrMany<PatternEntry>>, field: &str) -> Vec<CellPattern> {
        let entries = entries.map(OneOrMany::into_vec).unwrap_or_default();
        let mut patterns = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let pattern = self.pattern(entry, place![field, index]);
            if pattern == CellPattern::default() && self.document.is_clean() {
                let message = format!("this entry of `{field}` names nothing");
                let hint = "name at least one of the axes, for example `models: [resnet50]`".to_owned();
                self.document.refuse(place![field, index], message, Some(hint));
            }
            patterns.push(pattern);
        }
        patterns
    }

    fn pattern(&mut self, entry: PatternEntry, place: &[Step<'_>]) -> CellPattern {
        let at = |field| [place, &[Step::Field(field)]].concat();
        let catalog = self.catalog;
        let devices = entry.devices.map(OneOrMany::into_vec).unwrap_or_default();
        let devices = selector::selectors(&mut self.document, self.inventory, devices, &at("devices"));
        let models = entry.models.map(OneOrMany::into_vec).unwrap_or_default();
        let known: Vec<&str> = catalog.models.iter().map(|model| model.name.as_str()).collect();
        self.known("model", &models, &known, &at("models"));
        let backends = entry.backends.map(OneOrMany::into_vec).unwrap_or_default();
        let known: Vec<&str> = catalog.backends.iter().map(|backend| backend.name.as_str()).collect();
        self.known("backend", &backends, &known, &at("backends"));
        for (index, threads) in entry.threads.as_ref().map(OneOrMany::as_slice).unwrap_or_default().iter().enumerate() {
            let entry = match &entry.threads {
                Some(OneOrMany::Many(_)) => [at("threads").as_slice(), place![index]].concat(),
                _ => at("threads"),
            };
            self.document.refuse_repeats(&[entry.as_slice(), place!["cores"]].concat(), threads.cores());
        }
        let pattern = CellPattern {
            devices,
            models,
            weights: list(entry.weights, |word| word.0),
            backends,
            precisions: list(entry.precision, |word| word.0),
            threads: list(entry.threads, ThreadCount::from),
            batches: list(entry.batch, |batch| batch.0),
            scenarios: list(entry.scenario, |word| word.0),
        };
        self.document.refuse_repeats(&at("weights"), &pattern.weights);
        self.document.refuse_repeats(&at("precision"), &pattern.precisions);
        self.document.refuse_repeats(&at("threads"), &pattern.threads);
        self.document.refuse_repeats(&at("batch"), &pattern.batches);
        self.document.refuse_repeats(&at("scenario"), &pattern.scenarios);
        pattern
    }

    /// Refuses names that are not known, or are there twice.
    fn known(&mut self, what: &str, names: &[String], known: &[&str], place: &[Step<'_>]) {
        self.document.refuse_repeats(place, names);
        for (index, name) in names.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let place = [place, &[Step::Item(index)]].concat();
                let hint = did_you_mean(name, known.iter().copied());
                self.document.refuse(&place, format!("unknown {what} {}", code(name)), hint);
            }
        }
    }

    /// The key of a tag that no device has would make no devices equal: a slip of the pen.
    fn equal_by(&mut self, key: Option<&str>) {
        let Some(key) = key else { return };
        let keys = self.inventory.devices.iter().flat_map(|device| &device.tags).map(|tag| tag.key.as_str());
        let mut known: Vec<&str> = keys.collect();
        known.sort_unstable();
        known.dedup();
        if !known.contains(&key) {
            let message = format!("no device has a tag with the key {}", code(key));
            self.document.refuse(place!["retry", "equal_by"], message, did_you_mean(key, known));
        }
    }

    /// The engine that a sweep without `backends` would use must be there too.
    fn default_backend(&mut self, sweep: &Sweep) {
        let implied = sweep.backends == [DEFAULT_BACKEND] && self.document.is_clean();
        if implied && self.catalog.backend(DEFAULT_BACKEND).is_none() {
            let known: Vec<&str> = self.catalog.backends.iter().map(|backend| backend.name.as_str()).collect();
            let message =
                format!("the default backend `{DEFAULT_BACKEND}` is not known here; name one of {}", any_of(known));
            self.document.refuse(place!["backends"], message, None);
        }
    }

    /// Refuses a matrix that is too large to be planned, let alone to be run.
    fn size(&mut self, sweep: &Sweep) {
        let cells = planner::most_jobs(sweep, self.inventory);
        if cells > MAX_JOBS {
            let message = format!("the sweep has {cells} runs, and {MAX_JOBS} at most are planned");
            let hint = "shorten the lists, or split the sweep".to_owned();
            self.document.refuse(place!["models"], message, Some(hint));
        }
    }

    /// Refuses an `exclude` that leaves nothing out, which is a slip of the pen, and a sweep that has nothing left.
    fn matches(&mut self, sweep: &Sweep) {
        let cells = planner::matrix_devices(sweep, self.inventory);
        for (index, pattern) in sweep.exclude.iter().enumerate() {
            if !planner::matches_matrix(pattern, sweep, &cells) {
                let hint = "correct it, or remove it: it has no effect".to_owned();
                self.document.refuse(place!["exclude", index], "this matches no cell of the matrix", Some(hint));
            }
        }
        if self.document.is_clean() && planner::is_empty(sweep, self.inventory) {
            self.document.refuse(place!["exclude"], "nothing is left: every cell is excluded", None);
        }
    }
}

fn list<T, U>(entries: Option<OneOrMany<T>>, convert: impl Fn(T) -> U) -> Vec<U> {
    entries.map(OneOrMany::into_vec).unwrap_or_default().into_iter().map(convert).collect()
}

fn non_empty<T>(list: Vec<T>, default: T) -> Vec<T> {
    if list.is_empty() { vec![default] } else { list }
}

/// What the entry says, and else the default: the usual one, or that of a preset.
fn limits(entry: LimitsEntry, default: Limits) -> Limits {
    let (warmup, measure) = (entry.warmup.unwrap_or_default(), entry.measure.unwrap_or_default());
    Limits {
        warmup_min_runs: warmup.min_runs.unwrap_or(default.warmup_min_runs),
        warmup_min_seconds: warmup.min_seconds.unwrap_or(default.warmup_min_seconds),
        warmup_max_seconds: warmup.max_seconds.unwrap_or(default.warmup_max_seconds),
        min_runs: measure.min_runs.unwrap_or(default.min_runs),
        max_runs: measure.max_runs.unwrap_or(default.max_runs),
        min_seconds: measure.min_seconds.unwrap_or(default.min_seconds),
        max_seconds: measure.max_seconds.unwrap_or(default.max_seconds),
        steady_percent: warmup.steady_percent.or(default.steady_percent),
        interval_percent: measure.interval_percent.or(default.interval_percent),
    }
}

fn timeouts(entry: TimeoutsEntry, run_seconds: Option<f64>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect_seconds: entry.connect_seconds.unwrap_or(default.connect_seconds),
        bring_up_seconds: entry.bring_up_seconds.unwrap_or(default.bring_up_seconds),
        push_stall_seconds: entry.push_stall_seconds.unwrap_or(default.push_stall_seconds),
        run_seconds: entry.run_seconds.or(run_seconds).unwrap_or(default.run_seconds),
        arrive_seconds: entry.arrive_seconds.unwrap_or(default.arrive_seconds),
        reconnect_seconds: entry.reconnect_seconds.unwrap_or(default.reconnect_seconds),
        collect_seconds: entry.collect_seconds.unwrap_or(default.collect_seconds),
    }
}

fn cooldown(entry: CooldownEntry) -> Cooldown {
    let default = Cooldown::default();
    Cooldown {
        start_temp_c: entry.start_temp_c,
        min_seconds: entry.min_seconds.unwrap_or(default.min_seconds),
        max_seconds: entry.max_seconds.unwrap_or(default.max_seconds),
        pause_seconds: entry.pause_seconds.unwrap_or(default.pause_seconds),
    }
}

fn retry(entry: RetryEntry) -> RetryPolicy {
    let default = RetryPolicy::default();
    RetryPolicy {
        max_attempts: entry.attempts.unwrap_or(default.max_attempts),
        pause_seconds: entry.pause_seconds.unwrap_or(default.pause_seconds),
        max_pause_seconds: entry.max_pause_seconds.unwrap_or(default.max_pause_seconds),
        quarantine_after: entry.quarantine_after.unwrap_or(default.quarantine_after),
        equal_by: entry.equal_by,
    }
}

fn trust(entry: TrustEntry) -> TrustPolicy {
    let TrustPolicy { rules: default, max_reruns, rerun_pause_seconds } = TrustPolicy::default();
    TrustPolicy {
        max_reruns: entry.max_reruns.unwrap_or(max_reruns),
        rerun_pause_seconds: entry.rerun_pause_seconds.unwrap_or(rerun_pause_seconds),
        rules: TrustRules {
            min_samples: entry.min_samples.map_or(default.min_samples, |samples| samples as usize),
            min_effective_samples: entry.min_effective_samples.unwrap_or(default.min_effective_samples),
            outlier_z: entry.outlier_z.unwrap_or(default.outlier_z),
            outlier_percent: entry.outlier_percent.unwrap_or(default.outlier_percent),
            interval_percent: entry.interval_percent.unwrap_or(default.interval_percent),
            modes_percent: entry.modes_percent.unwrap_or(default.modes_percent),
            mode_share_percent: entry.mode_share_percent.unwrap_or(default.mode_share_percent),
            change_percent: entry.change_percent.unwrap_or(default.change_percent),
            start_percent: entry.start_percent.unwrap_or(default.start_percent),
            other_load_percent: entry.other_load_percent.unwrap_or(default.other_load_percent),
            stolen_percent: entry.stolen_percent.unwrap_or(default.stolen_percent),
        },
    }
}
