//! Every column of `results.csv`: name, unit, meaning and value, in the order of the file.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    AndroidFacts, Battery, CheckThen, DELEGATE, FailureKind, Figures, JobDataset, MeasuredAccuracy, NamedArtifact,
    PreparedImages, Record, Remark, RunStatus, SweepRow, ThreadCount,
};
use crate::score::{Statistics, gmacs_per_s, images_per_s, wilson_95};

/// A record with what is computed from it.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The sweep it belongs to.
    pub sweep: &'a SweepRow,
    /// The record.
    pub record: &'a Record,
    /// Statistics of its samples. Only of a run with status `ok`: the samples of a broken-off loop are no result.
    pub statistics: Option<Statistics>,
    /// How far its outputs lie from those of the first device; infinite where they can't be compared.
    pub output_error: Option<f64>,
}

impl Row<'_> {
    /// Mean latency: of the samples, or as a program told it that tells averages only.
    pub fn mean_ns(&self) -> Option<f64> {
        self.statistics.map(|s| s.mean_ns).or_else(|| Some(self.averages()?.mean_ns? as f64))
    }

    /// Median, likewise.
    pub fn p50_ns(&self) -> Option<u64> {
        self.figure(|s| s.p50_ns, |told| told.median_ns)
    }

    /// 90th percentile, likewise.
    pub fn p90_ns(&self) -> Option<u64> {
        self.figure(|s| s.p90_ns, |told| told.p90_ns)
    }

    fn figure(&self, computed: fn(Statistics) -> u64, told: fn(Figures) -> Option<u64>) -> Option<u64> {
        self.statistics.map(computed).or_else(|| self.averages().and_then(told))
    }

    fn sd_ns(&self) -> Option<f64> {
        match self.statistics {
            Some(statistics) => statistics.sd_ns,
            None => Some(self.averages()?.std_ns? as f64),
        }
    }

    fn runs(&self) -> Option<u64> {
        let samples = self.record.measurement.samples_ns.len() as u64;
        if samples > 0 { Some(samples) } else { self.averages()?.runs }
    }

    /// What a program told that tells averages only. Of a run with status `ok`, like all that is computed.
    pub fn averages(&self) -> Option<Figures> {
        self.record.measurement.averages_only().filter(|_| self.record.status == RunStatus::Ok)
    }

    /// Top-1 accuracy that was measured in this run, from 0 to 1.
    pub fn top1(&self) -> Option<f64> {
        accuracy(self).and_then(|accuracy| share(accuracy.top1_correct, accuracy.n_images))
    }

    /// Throughput over the timed loop.
    pub fn images_per_s(&self) -> Option<f64> {
        let wall = self.record.measurement.wall_ns.map(Duration::from_nanos);
        images_per_s(self.record.job.batch, self.statistics?.count, wall)
    }
}

/// What stands in one place of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not measured, or not known.
    Empty,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A moment.
    Time(Timestamp),
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        text.to_owned().into()
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Cell {
        Cell::Integer(number.into())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Integer(number)
    }
}

impl From<f64> for Cell {
    /// Computed numbers are given to nine digits: more than any clock has, and the same on every machine.
    fn from(number: f64) -> Cell {
        Cell::Number(format!("{number:.8e}").parse().unwrap_or(number))
    }
}

impl From<Timestamp> for Cell {
    fn from(time: Timestamp) -> Cell {
        Cell::Time(time)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Empty, Into::into)
    }
}

/// What the cells of a column hold, besides being empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// [`Cell::Text`].
    Text,
    /// [`Cell::Text`] that may well be a number alone, and be read as one.
    Word,
    /// [`Cell::Integer`].
    Integer,
    /// [`Cell::Number`].
    Number,
    /// [`Cell::Time`].
    Time,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Name in the header.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Unit; empty for texts and plain counts.
    pub unit: &'static str,
    /// What it means.
    pub description: &'static str,
    /// Its value.
    pub value: fn(&Row<'_>) -> Cell,
}

macro_rules! columns {
    ($($name:ident $kind:ident $unit:literal $description:literal $value:expr;)+) => {
        /// The columns, in the order of the file. New ones are added at the end only.
        pub const COLUMNS: &[Column] = &[$(
            Column { name: stringify!($name), kind: ColumnKind::$kind, unit: $unit, description: $description, value: $value }
        ),+];
    };
}

columns! {
    sweep_id Text "" "Identifier of this start of the sweep." |row| row.record.sweep_id.as_str().into();
    job_id Text "" "Hash of the cell's content: the same cell has the same job_id in every sweep." |row| row.record.job.id.as_str().into();
    run_id Text "" "Identifier of the attempt; empty for a cell that never started." |row| row.record.run_id.as_ref().map(|id| id.as_str()).into();
    attempt Integer "" "Number of the attempt, from 1; 0 for a cell that never started." |row| row.record.attempt.into();
    farm Text "" "Farm file that declares the device." |row| row.record.farm.as_str().into();
    device Text "" "Name of the device." |row| row.record.job.device.as_str().into();
    tags Text "" "Tags of the device, separated by semicolons." |row| tags(row.record).into();
    transport Text "" "How the device was reached: local, ssh, adb." |row| row.record.transport.as_str().into();
    target Text "" "Rust target triple of the device's runner." |row| row.record.device.as_ref().map(|device| device.target.as_str()).into();
    soc Text "" "Chip or CPU, as the device says." |row| row.record.device.as_ref().and_then(|device| device.soc.as_deref()).into();
    os Text "" "Operating system, as the device says." |row| row.record.device.as_ref().map(|device| device.os.as_str()).into();
    model Text "" "Name of the network." |row| row.record.job.model.name.as_str().into();
    model_sha256 Text "" "SHA-256 of the model's file." |row| row.record.job.model.artifact.as_ref().map(|file| file.sha256.as_str()).into();
    weights Text "" "synthetic: from a fixed seed, true cost but no accuracy; trained: by the network's authors." |row| row.record.job.model.weights.as_str().into();
    backend Text "" "Inference engine." |row| row.record.job.backend.as_str().into();
    backend_version Text "" "Its version." |row| row.record.job.backend_version.as_str().into();
    precision Text "" "Arithmetic: fp32, fp16, int8." |row| row.record.job.precision.as_str().into();
    threads Integer "" "Threads the engine used; of a run that did not get so far, the number asked for, if it was one." |row| threads(row.record).into();
    cpus Word "" "Indices of the processors the measuring process could use, separated by spaces." |row| cpus(row.record).into();
    batch Integer "" "Images in one inference." |row| row.record.job.batch.into();
    scenario Text "" "Load pattern: single_stream (one query after the other) or offline (all at once)." |row| row.record.job.scenario.as_str().into();
    status Text "" "ok: measured; failed: tried without a result; skipped: never tried, for a reason known before; cancelled: ended by a person." |row| row.record.status.as_str().into();
    failure_kind Text "" "Kind of the failure, or of the reason to skip." |row| row.record.failure.as_ref().map(|failure| failure.kind.as_str()).into();
    failure Text "" "What happened, on one line." |row| row.record.failure.as_ref().map(|failure| failure.message.as_str()).into();
    load_ms Number "ms" "Time to load and optimise the model." |row| milliseconds(row.record.measurement.load_ns);
    first_ms Number "ms" "Latency of the first inference after loading." |row| milliseconds(row.record.measurement.first_ns);
    warmup_runs Integer "" "Inferences of the warm-up, the first one not counted." |row| row.record.measurement.warmup_runs.into();
    runs Integer "" "Inferences of the timed loop: samples kept, or with averages_only as the program says." |row| row.runs().into();
    mean_ms Number "ms" "Mean latency of one inference (of a whole batch). This and all that is computed from samples only where status is ok." |row| row.mean_ns().map(|mean_ns| mean_ns / 1e6).into();
    sd_ms Number "ms" "Sample standard deviation of the latency (n - 1); empty for a single sample." |row| row.sd_ns().map(|sd_ns| sd_ns / 1e6).into();
    min_ms Number "ms" "Smallest latency." |row| milliseconds(row.figure(|s| s.min_ns, |told| told.min_ns));
    p50_ms Number "ms" "Median latency. Percentiles are by nearest rank: always a measured sample." |row| milliseconds(row.p50_ns());
    p90_ms Number "ms" "90th percentile of the latency." |row| milliseconds(row.p90_ns());
    p95_ms Number "ms" "95th percentile of the latency." |row| milliseconds(row.figure(|s| s.p95_ns, |told| told.p95_ns));
    p99_ms Number "ms" "99th percentile of the latency; below 100 samples it is the largest." |row| milliseconds(row.figure(|s| s.p99_ns, |told| told.p99_ns));
    max_ms Number "ms" "Largest latency." |row| milliseconds(row.figure(|s| s.max_ns, |told| told.max_ns));
    images_per_s Number "1/s" "Throughput: batch x runs / wall_ms, in every scenario." |row| row.images_per_s().into();
    macs Integer "" "Multiply-adds of one image (FLOPs are twice as many)." |row| row.record.job.model.macs.into();
    gmacs_per_s Number "10^9/s" "Multiply-adds a second: macs x batch / mean_ms." |row| gmacs(row).into();
    peak_rss_bytes Integer "bytes" "Largest resident set of the measuring process." |row| row.record.measurement.peak_rss_bytes.into();
    output_error Number "" "Largest difference to the output of the first ok run of the same network and weights, in any format and by any engine, with the same precision, batch and seed, relative to the largest absolute value of that output; that run has 0. Above 1e-4 it is more than rounding. inf: another length, or a value that is not finite." |row| row.output_error.into();
    started_at Time "UTC" "When the run was started, by the host's clock (RFC 3339)." |row| row.record.started_at.into();
    finished_at Time "UTC" "When its record was made, by the host's clock (RFC 3339)." |row| row.record.finished_at.into();
    farmctl_version Text "" "Version and commit of the host program." |row| row.record.farmctl_version.as_str().into();
    runner_sha256 Text "" "SHA-256 of the runner that measured." |row| row.record.runner_sha256.as_deref().into();
    sweep Text "" "Name of the sweep." |row| row.sweep.name.as_str().into();
    repeat Integer "" "Which of the sweep's repeats of the cell, from 1." |row| row.record.job.repeat.into();
    seed Integer "" "Seed of the pseudo-random input." |row| row.record.job.seed.into();
    threads_requested Word "" "Threads the sweep asked for: a number, big (the fastest cores) or all." |row| row.record.job.threads.to_string().into();
    wall_ms Number "ms" "Wall time of the timed loop." |row| milliseconds(row.record.measurement.wall_ns);
    cpu_user_ms Number "ms" "Processor time of the timed loop in user mode, over all threads." |row| milliseconds(row.record.measurement.cpu_user_ns);
    cpu_system_ms Number "ms" "Processor time of the timed loop in the kernel." |row| milliseconds(row.record.measurement.cpu_system_ns);
    kernel Text "" "Kernel of the device." |row| row.record.device.as_ref().map(|device| device.kernel.as_str()).into();
    memory_total_bytes Integer "bytes" "Total memory of the device." |row| row.record.device.as_ref().map(|device| device.memory_total_bytes).into();
    remedy Text "" "What a person can do about the failure." |row| row.record.failure.as_ref().filter(|_| is_failed(row.record)).map(|failure| failure.kind.remedy()).into();
    stderr_tail Text "" "Last lines that the measuring program wrote to its standard error, separated by « | »." |row| row.record.failure.as_ref().map(|failure| failure.stderr_tail.join(" | ")).into();
    build Text "" "Fingerprint of the device's build, on Android." |row| android(row).and_then(|android| android.build.as_deref()).into();
    serial Text "" "Serial number of the device, on Android." |row| android(row).and_then(|android| android.serial.as_deref()).into();
    powered_by Text "" "Where the device's power came from at bring-up: ac, usb, wireless, dock or battery; with + between several." |row| powered_by(row).into();
    battery_status Text "" "What the battery did at bring-up: charging, discharging, not charging, full." |row| battery(row).and_then(|battery| battery.status.as_deref()).into();
    battery_percent Integer "%" "Charge of the battery at bring-up." |row| battery(row).and_then(|battery| battery.level_percent).into();
    battery_c Number "°C" "Temperature of the battery at bring-up." |row| battery(row).and_then(|battery| battery.temperature_c).into();
    n_images Integer "" "Images with a known class that the network was shown in this run; empty where accuracy was not measured." |row| accuracy(row).map(|accuracy| accuracy.n_images).into();
    top1 Number "" "Share of them whose class was the network's first answer, from 0 to 1." |row| row.top1().into();
    top5 Number "" "Share of them whose class was among its first five answers." |row| accuracy(row).and_then(|accuracy| share(accuracy.top5_correct, accuracy.n_images)).into();
    top1_low Number "" "Low end of top1's interval of 95 % (Wilson): what so few images leave open." |row| top1_interval(row).map(|(low, _)| low).into();
    top1_high Number "" "High end of it." |row| top1_interval(row).map(|(_, high)| high).into();
    price_per_hour Number "" "What an hour of the device cost, in the lab's currency, as its farm file said." |row| row.record.price_per_hour.into();
    engine Text "" "What an engine program said of itself: version, build, what it computes with." |row| row.record.measurement.engine.as_deref().into();
    engine_files Text "" "Engine program and libraries with their SHA-256, separated by spaces; empty where the runner itself is the engine." |row| engine_files(row.record).into();
    averages_only Word "" "yes: a benchmark program printed these figures; there are no samples they could be computed from again." |row| row.averages().map(|_| "yes").into();
    top5_low Number "" "Low end of top5's interval of 95 % (Wilson)." |row| top5_interval(row).map(|(low, _)| low).into();
    top5_high Number "" "High end of it." |row| top5_interval(row).map(|(_, high)| high).into();
    dataset Text "" "Images that accuracy was measured on, in the measuring process of this very run, after its timed loop." |row| dataset(row).map(|dataset| dataset.name.as_str()).into();
    dataset_sha256 Text "" "SHA-256 of the list of its images: path, class and SHA-256 of each." |row| dataset(row).map(|dataset| dataset.list_sha256.as_str()).into();
    preprocessing Text "" "How its pictures became the network's input, with the version of the code that did it." |row| dataset(row).map(|dataset| dataset.preprocessing.text(dataset.shape)).into();
    images_sha256 Text "" "SHA-256 of the bytes that came of it, before they were normalised: runs that share it saw the same images." |row| prepared(row).map(|prepared| prepared.images.sha256.as_str()).into();
    images_left_out Integer "" "Images of the dataset that the network was not shown." |row| prepared(row).map(left_out).into();
    images_remarks Text "" "Why they were left out, what was done to others besides, and classes that had no image, separated by semicolons." |row| prepared(row).map(remarks).into();
    delegate Word "" "What the engine handed the work to (gpu, nnapi, npu); empty for the processor." |row| row.record.job.options.get(DELEGATE).map(String::as_str).into();
    device_asked_at Time "UTC" "When the device was last asked what it is, before the record was made (RFC 3339); its facts are of then." |row| row.record.condition.as_ref().map(|then| then.asked_at).into();
    device_free_bytes Integer "bytes" "Space that was free on the file system of the device's workdir." |row| row.record.condition.as_ref().map(|then| then.free_bytes).into();
    device_clock_off_ms Number "ms" "How far the device's clock was ahead of the host's (behind: negative), where that was more than the answer's way explains." |row| row.record.device.as_ref().and_then(|device| device.clock_off_ms).map(|off_ms| off_ms as f64).into();
    check_at Time "UTC" "When the device was last checked before it was brought up (RFC 3339); empty when it never was." |row| check(row).map(|check| check.at).into();
    check_verdict Word "" "What that check found: ok, warning or failed; `farmctl devices history` says more." |row| check(row).map(|check| check.verdict.as_str()).into();
    check_kernel_ms Number "ms" "Median time of the calibration kernel in that check: how fast the device was." |row| milliseconds(check(row).and_then(|check| check.kernel_median_ns));
    check_kernel_version Integer "" "Version of that kernel: times of two versions are not to be compared." |row| check(row).and_then(|check| check.kernel_version).into();
}

/// What the columns mean, as a text for people.
pub fn columns_text() -> String {
    let mut text = String::from(
        "Columns of results.csv, in their order. An empty cell was not measured. Numbers have a point and no thousands\n\
         separators: a spreadsheet that asks wants commas between cells, and English. A text that it could take for a\n\
         formula, a number, a date or nothing has an apostrophe in front: '007. results.parquet has true types.\n\n",
    );
    let width = COLUMNS.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for Column { name, unit, description, .. } in COLUMNS {
        let unit = if unit.is_empty() { String::new() } else { format!("[{unit}] ") };
        text.push_str(&format!("{name:width$}  {unit}{description}\n"));
    }
    text
}

fn is_failed(record: &Record) -> bool {
    let is_quarantined = record.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Quarantined);
    matches!(record.status, RunStatus::Failed | RunStatus::Cancelled) || is_quarantined
}

fn android<'a>(row: &Row<'a>) -> Option<&'a AndroidFacts> {
    row.record.device.as_ref()?.android.as_ref()
}

fn battery<'a>(row: &Row<'a>) -> Option<&'a Battery> {
    row.record.device.as_ref()?.battery.as_ref()
}

fn powered_by(row: &Row<'_>) -> Option<String> {
    let sources = &battery(row)?.powered_by;
    Some(if sources.is_empty() { "battery".to_owned() } else { sources.join("+") })
}

fn check<'a>(row: &Row<'a>) -> Option<&'a CheckThen> {
    row.record.condition.as_ref()?.check.as_ref()
}

fn accuracy(row: &Row<'_>) -> Option<MeasuredAccuracy> {
    row.record.measurement.accuracy.filter(|_| row.record.status == RunStatus::Ok)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn top1_interval(row: &Row<'_>) -> Option<(f64, f64)> {
    accuracy(row).and_then(|accuracy| wilson_95(accuracy.top1_correct, accuracy.n_images))
}

fn top5_interval(row: &Row<'_>) -> Option<(f64, f64)> {
    accuracy(row).and_then(|accuracy| wilson_95(accuracy.top5_correct, accuracy.n_images))
}

fn dataset<'a>(row: &Row<'a>) -> Option<&'a JobDataset> {
    row.record.job.dataset.as_ref()
}

fn prepared<'a>(row: &Row<'a>) -> Option<&'a PreparedImages> {
    dataset(row)?.prepared.as_ref()
}

fn left_out(prepared: &PreparedImages) -> u64 {
    prepared.left_out.iter().map(|remark| u64::from(remark.count)).sum()
}

pub(super) fn remarks(prepared: &PreparedImages) -> String {
    let said = |kind: &str, remark: &Remark| format!("{} {kind}: {}", remark.count, remark.what);
    let left_out = prepared.left_out.iter().map(|remark| said("left out", remark));
    let changed = prepared.changed.iter().map(|remark| said("changed", remark));
    let empty = (prepared.empty_classes > 0).then(|| format!("{} classes without an image", prepared.empty_classes));
    left_out.chain(changed).chain(empty).collect::<Vec<_>>().join("; ")
}

fn tags(record: &Record) -> String {
    record.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

fn cpus(record: &Record) -> String {
    record.measurement.cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn engine_files(record: &Record) -> String {
    let named = |file: &NamedArtifact| format!("{}={}", file.name, file.artifact.sha256);
    record.engine_files.iter().map(named).collect::<Vec<_>>().join(" ")
}

fn threads(record: &Record) -> Option<u32> {
    match record.job.threads {
        ThreadCount::Count(count) => record.measurement.threads.or(Some(count)),
        ThreadCount::Big | ThreadCount::All => record.measurement.threads,
    }
}

/// Nanoseconds as milliseconds, without losing a digit up to 2^53 ns (104 days).
fn milliseconds(nanoseconds: Option<u64>) -> Cell {
    nanoseconds.map_or(Cell::Empty, |nanoseconds| Cell::Number(nanoseconds as f64 / 1e6))
}

fn gmacs(row: &Row<'_>) -> Option<f64> {
    gmacs_per_s(row.record.job.model.macs?, row.record.job.batch, row.mean_ns()?)
}
