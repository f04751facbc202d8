//! What the measuring process is asked to do.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::{BufRead, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use farmctl_protocol::{ArtifactRef, ElementType, InputSpec, JobSpec, MAX_LINE_BYTES, Precision, Scenario};

/// Version of the protocol between supervisor and measuring process.
pub const ENGINE_PROTOCOL_VERSION: u32 = 3;

/// A job, as the measuring process needs to know it: a program in C reads it without a library.
///
/// As text: one `key=value` a line, in any order, and an empty line at the end. Durations are whole nanoseconds, lists
/// are separated by commas. Keys that a program doesn't know are to be ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The model's file (`model`).
    pub model: PathBuf,
    /// Its further files (`model.NAME`); all of them lie under their names in the folder of the model's file.
    pub model_parts: BTreeMap<String, PathBuf>,
    /// File format of the model (`format`).
    pub format: String,
    /// Every input, in the order in which its values come (`input.0`, `input.1`, …: element type, shape, name); none
    /// where the host can't read the model's file.
    pub inputs: Vec<OrderedInput>,
    /// Name of the engine (`backend`).
    pub backend: String,
    /// Arithmetic the network runs in (`precision`).
    pub precision: Precision,
    /// Threads the engine uses (`threads`).
    pub threads: u32,
    /// Processors to pin to before anything else (`cpus`); `None` leaves it to the kernel.
    pub cpus: Option<Vec<u32>>,
    /// Images in one inference (`batch`).
    pub batch: u32,
    /// Load pattern (`scenario`).
    pub scenario: Scenario,
    /// How long to warm up and to measure.
    pub limits: OrderLimits,
    /// Images to classify after the timed loop (`evaluate_images`); left out where there are none.
    pub evaluate_images: u32,
    /// Classes that the network tells apart (`classes`); left out where there are no images.
    pub classes: u32,
    /// Name of the output that ranks them (`scores`); left out where it is the first.
    pub scores: Option<String>,
    /// Settings that only this engine knows (`option.NAME`).
    pub options: BTreeMap<String, String>,
}

/// An input as the job says it is: the engine sets exactly this type and this shape, or refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedInput {
    /// Name in the model's file.
    pub name: String,
    /// Type of its elements.
    pub element: ElementType,
    /// Dimensions, outermost first; none for a scalar.
    pub shape: Vec<u64>,
}

/// When warm-up and timed loop end: `farmctl_protocol::Limits` in whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// Fewest inferences before the timed loop (`warmup_min_runs`).
    pub warmup_min_runs: u32,
    /// Shortest warm-up (`warmup_min_ns`).
    pub warmup_min: Duration,
    /// Longest warm-up (`warmup_max_ns`).
    pub warmup_max: Duration,
    /// Fewest timed inferences (`min_runs`).
    pub min_runs: u32,
    /// Most timed inferences (`max_runs`).
    pub max_runs: u32,
    /// Shortest timed loop (`min_ns`).
    pub min: Duration,
    /// Longest timed loop (`max_ns`).
    pub max: Duration,
    /// Whether the supervisor is asked if the warm-up is long enough (`warmup_asks`); left out where not.
    pub warmup_asks: bool,
    /// Whether it is asked of the timed loop (`asks`); left out where not.
    pub asks: bool,
}

impl Order {
    /// The order for `job`, whose files lie where `path_of` says.
    pub fn new(job: &JobSpec, path_of: impl Fn(&ArtifactRef) -> PathBuf) -> Order {
        // A name with the sign that ends a key is found beside the model's file all the same.
        let named = job.model_parts.iter().filter(|part| !part.name.contains('='));
        let parts = named.map(|part| (part.name.clone(), path_of(&part.artifact)));
        let ordered = |input: &InputSpec| OrderedInput {
            name: input.name.clone(),
            element: input.element,
            shape: input.shape.clone(),
        };
        let limits = &job.limits;
        Order {
            model: path_of(&job.model),
            model_parts: parts.collect(),
            format: job.format.clone(),
            inputs: job.inputs.iter().map(ordered).collect(),
            backend: job.backend.clone(),
            precision: job.precision,
            threads: job.threads,
            cpus: job.cpus.clone(),
            batch: job.batch,
            scenario: job.scenario,
            limits: OrderLimits {
                warmup_min_runs: limits.warmup_min_runs,
                warmup_min: duration(limits.warmup_min_seconds),
                warmup_max: duration(limits.warmup_max_seconds),
                min_runs: limits.min_runs,
                max_runs: limits.max_runs,
                min: duration(limits.min_seconds),
                max: duration(limits.max_seconds),
                warmup_asks: limits.steady_percent.is_some(),
                asks: limits.interval_percent.is_some(),
            },
            evaluate_images: job.evaluation.as_ref().map_or(0, |evaluation| evaluation.count),
            classes: job.evaluation.as_ref().map_or(0, |evaluation| evaluation.classes),
            scores: job.evaluation.as_ref().and_then(|evaluation| evaluation.scores.clone()),
            options: job.engine.as_ref().map(|engine| engine.options.clone()).unwrap_or_default(),
        }
    }

    /// The order's text.
    ///
    /// # Errors
    /// Names the value that doesn't fit a line.
    pub fn to_text(&self) -> Result<String, String> {
        let mut lines = Lines::default();
        lines.add("engine_protocol", ENGINE_PROTOCOL_VERSION)?;
        lines.add("model", path_text(&self.model)?)?;
        for (name, path) in &self.model_parts {
            lines.add(&format!("model.{name}"), path_text(path)?)?;
        }
        lines.add("format", &self.format)?;
        lines.add("backend", &self.backend)?;
        lines.add("precision", self.precision)?;
        lines.add("threads", self.threads)?;
        lines.add_list("cpus", self.cpus.as_deref())?;
        for (index, OrderedInput { name, element, shape }) in self.inputs.iter().enumerate() {
            let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
            lines.add(&format!("input.{index}"), format!("{element} [{}] {name}", shape.join(",")))?;
        }
        lines.add("batch", self.batch)?;
        lines.add("scenario", self.scenario)?;
        let limits = &self.limits;
        lines.add("warmup_min_runs", limits.warmup_min_runs)?;
        lines.add("warmup_min_ns", nanoseconds(limits.warmup_min))?;
        lines.add("warmup_max_ns", nanoseconds(limits.warmup_max))?;
        lines.add("min_runs", limits.min_runs)?;
        lines.add("max_runs", limits.max_runs)?;
        lines.add("min_ns", nanoseconds(limits.min))?;
        lines.add("max_ns", nanoseconds(limits.max))?;
        for (key, asks) in [("warmup_asks", limits.warmup_asks), ("asks", limits.asks)] {
            if asks {
                lines.add(key, 1)?;
            }
        }
        if self.evaluate_images > 0 {
            lines.add("evaluate_images", self.evaluate_images)?;
            lines.add("classes", self.classes)?;
        }
        if let Some(scores) = &self.scores {
            lines.add("scores", scores)?;
        }
        for (name, value) in &self.options {
            lines.add(&format!("option.{name}"), value)?;
        }
        lines.0.push('\n');
        Ok(lines.0)
    }

    /// Reads an order, up to its empty line.
    ///
    /// # Errors
    /// Says what is missing or wrong in it.
    pub fn read(input: &mut impl BufRead) -> Result<Order, String> {
        let mut values = BTreeMap::new();
        let mut input = input.take(MAX_LINE_BYTES as u64);
        loop {
            let mut line = String::new();
            input.read_line(&mut line).map_err(|error| error.to_string())?;
            let Some(line) = line.strip_suffix('\n') else { return Err("it has no end".to_owned()) };
            if line.is_empty() {
                return Order::from_values(&values);
            }
            let (key, value) = line.split_once('=').ok_or_else(|| format!("{line:?} is no key=value"))?;
            values.insert(key.to_owned(), value.to_owned());
        }
    }

    fn from_values(values: &BTreeMap<String, String>) -> Result<Order, String> {
        let version: u32 = parsed(values, "engine_protocol")?;
        if version != ENGINE_PROTOCOL_VERSION {
            let text = format!("the runner speaks engine protocol {version}, this engine {ENGINE_PROTOCOL_VERSION}");
            return Err(format!("{text}: build both from the same source"));
        }
        let named = |prefix: &str| {
            let pairs = values.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
            pairs.map(|(name, value)| (name.to_owned(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let parts = named("model.").into_iter().map(|(name, path)| (name, PathBuf::from(path)));
        Ok(Order {
            model: parsed(values, "model")?,
            model_parts: parts.collect(),
            format: parsed(values, "format")?,
            inputs: inputs(values)?,
            backend: parsed(values, "backend")?,
            precision: parsed(values, "precision")?,
            threads: parsed(values, "threads")?,
            cpus: list(values, "cpus")?,
            batch: parsed(values, "batch")?,
            scenario: parsed(values, "scenario")?,
            limits: OrderLimits {
                warmup_min_runs: parsed(values, "warmup_min_runs")?,
                warmup_min: Duration::from_nanos(parsed(values, "warmup_min_ns")?),
                warmup_max: Duration::from_nanos(parsed(values, "warmup_max_ns")?),
                min_runs: parsed(values, "min_runs")?,
                max_runs: parsed(values, "max_runs")?,
                min: Duration::from_nanos(parsed(values, "min_ns")?),
                max: Duration::from_nanos(parsed(values, "max_ns")?),
                warmup_asks: values.contains_key("warmup_asks"),
                asks: values.contains_key("asks"),
            },
            evaluate_images: values.get("evaluate_images").map_or(Ok(0), |_| parsed(values, "evaluate_images"))?,
            classes: values.get("classes").map_or(Ok(0), |_| parsed(values, "classes"))?,
            scores: values.get("scores").cloned(),
            options: named("option."),
        })
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: impl Display) -> Result<(), String> {
        let value = value.to_string();
        if key.contains(['=', '\n']) || value.contains('\n') {
            return Err(format!("{key:?}={value:?} does not fit a line of an order"));
        }
        writeln!(self.0, "{key}={value}").map_err(|error| error.to_string())
    }

    fn add_list<T: Display>(&mut self, key: &str, list: Option<&[T]>) -> Result<(), String> {
        let Some(list) = list else { return Ok(()) };
        self.add(key, list.iter().map(T::to_string).collect::<Vec<String>>().join(","))
    }
}

fn list<T: FromStr>(values: &BTreeMap<String, String>, key: &str) -> Result<Option<Vec<T>>, String> {
    let Some(text) = values.get(key) else { return Ok(None) };
    let numbers = text.split(',').map(|number| number.parse().map_err(|_| format!("{key}={text} is no list")));
    numbers.collect::<Result<Vec<T>, String>>().map(Some)
}

fn inputs(values: &BTreeMap<String, String>) -> Result<Vec<OrderedInput>, String> {
    let mut inputs = Vec::new();
    while let Some(text) = values.get(&format!("input.{}", inputs.len())) {
        let input = input(text).ok_or_else(|| format!("input.{}={text} is no input", inputs.len()))?;
        inputs.push(input);
    }
    Ok(inputs)
}

fn input(text: &str) -> Option<OrderedInput> {
    let (element, rest) = text.split_once(" [")?;
    let (shape, name) = rest.split_once("] ")?;
    let sizes = shape.split(',').filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some(OrderedInput { name: name.to_owned(), element: element.parse().ok()?, shape })
}

fn path_text(path: &Path) -> Result<&str, String> {
    std::str::from_utf8(path.as_os_str().as_bytes()).map_err(|_| format!("the path {path:?} is not UTF-8"))
}

fn parsed<T: FromStr>(values: &BTreeMap<String, String>, key: &str) -> Result<T, String> {
    let text = values.get(key).ok_or_else(|| format!("{key} is missing"))?;
    text.parse().map_err(|_| format!("{key}={text} is not understood"))
}

/// Requests with other values than a duration can hold are refused before they get here.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An order for tests.
#[cfg(test)]
pub(crate) fn sample_order() -> Order {
    let second = Duration::from_secs(1);
    let image = OrderedInput { name: "an [image] x=1".to_owned(), element: ElementType::Float32, shape: vec![2, 3, 4] };
    let state = OrderedInput { name: String::new(), element: ElementType::Int64, shape: Vec::new() };
    Order {
        model: "/data/store/ab=c".into(),
        model_parts: [("init".to_owned(), "/data/store/d".into())].into(),
        format: "onnx".to_owned(),
        inputs: vec![image, state],
        backend: "tract".to_owned(),
        precision: Precision::Int8,
        threads: 3,
        cpus: Some(vec![4, 5]),
        batch: 2,
        scenario: Scenario::Offline,
        limits: OrderLimits {
            warmup_min_runs: 1,
            warmup_min: second,
            warmup_max: 2 * second,
            min_runs: 5,
            max_runs: 6,
            min: 3 * second,
            max: 4 * second,
            warmup_asks: true,
            asks: false,
        },
        evaluate_images: 0,
        classes: 0,
        scores: None,
        options: [("xnnpack".to_owned(), "off".to_owned())].into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        for cpus in [None, Some(vec![4, 5])] {
            let evaluate_images = cpus.as_ref().map_or(0, |_| 360);
            let scores = cpus.as_ref().map(|_| "a = b".to_owned());
            let order = Order { cpus, evaluate_images, classes: evaluate_images, scores, ..sample_order() };
            let text = order.to_text().unwrap();
            let mut input = [text.as_bytes(), b"rest"].concat();
            input.splice(0..0, *b"unknown=1\n");
            let mut input = input.as_slice();
            assert_eq!(Order::read(&mut input), Ok(order));
            assert_eq!(input, b"rest");
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let text = sample_order().to_text().unwrap();
        for (text, part) in [
            (text.replace("engine_protocol=3", "engine_protocol=9"), "same source"),
            (text.replace("threads=3\n", ""), "threads is missing"),
            (text.replace("threads=3", "threads=x"), "threads=x is not understood"),
            (text.replace("cpus=4,5", "cpus=4,"), "no list"),
            (text.replace("threads=3", "threads"), "no key=value"),
            (text.replace("i64 []", "i64 [x]"), "input.1=i64 [x]  is no input"),
            (text.replace("i64 []", "string []"), "is no input"),
            (text[..20].to_owned(), "no end"),
        ] {
            let error = Order::read(&mut text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let two_lines = Order { format: "a\nb".to_owned(), ..sample_order() };
        assert!(two_lines.to_text().unwrap_err().contains("does not fit"));
    }
}
