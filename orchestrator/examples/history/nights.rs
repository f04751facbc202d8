//! Histories of nights whose truth is known.

#[path = "../statistics/series.rs"]
#[allow(dead_code)]
mod series;

use std::sync::Arc;

use farmctl::domain::{Facts, HistoryCell, PastRun, Precision, Scenario, SweepId, ThreadCount, WeightsKind};
use jiff::Timestamp;

pub use series::Random;

/// Nights of a history.
pub const NIGHTS: usize = 90;
/// Level that nothing has happened to, in nanoseconds.
const LEVEL_NS: f64 = 20e6;

/// A night from `low` to before `high`.
fn night_between(random: &mut Random, low: usize, high: usize) -> usize {
    low + (random.uniform() * (high - low) as f64) as usize
}

/// How nights scatter about their level.
#[derive(Debug, Clone, Copy)]
pub enum Noise {
    /// Independent, normal, with this standard deviation.
    Normal(f64),
    /// Independent, Student's with three degrees of freedom, with this standard deviation.
    HeavyTails(f64),
    /// Normal with this standard deviation, each correlated with the night before by 0.3.
    Dependent(f64),
}

impl Noise {
    /// Factors of the level.
    fn factors(self, random: &mut Random) -> Vec<f64> {
        let mut state = random.normal();
        let factor = |_| match self {
            Noise::Normal(sd) => (sd * random.normal()).exp(),
            Noise::HeavyTails(sd) => {
                let chi = (0..3).map(|_| random.normal().powi(2)).sum::<f64>();
                // Its own standard deviation is the root of 3.
                (sd / 3f64.sqrt() * random.normal() / (chi / 3.0).sqrt()).exp()
            }
            Noise::Dependent(sd) => {
                let now = state;
                state = 0.3 * state + (1.0f64 - 0.09).sqrt() * random.normal();
                (sd * now).exp()
            }
        };
        (0..NIGHTS).map(factor).collect()
    }
}

/// What happens in 90 nights.
#[derive(Debug, Clone, Copy)]
pub enum Story {
    /// Nothing.
    Quiet,
    /// A step of this size, at a night of 15 to 74.
    Step(f64),
    /// A step of this size up and back, at least 15 nights apart and from the ends.
    UpAndBack(f64),
    /// A drift over all nights, to this much.
    Drift(f64),
    /// Single nights, one in fifteen, that are 20 to 60 % slower.
    Outliers,
    /// Another build of the system, with a step of this size.
    Build(f64),
    /// Another build, and another night, at least 15 nights from it, with a step of this size.
    BuildAndStep(f64),
}

/// A history, with its truth.
pub struct History {
    /// Its runs, oldest first.
    pub runs: Vec<PastRun>,
    /// The nights at which the level steps within a series, and by what factor.
    pub steps: Vec<(usize, f64)>,
    /// The night of the new build.
    pub build: Option<usize>,
}

impl Story {
    /// A history of this story.
    pub fn history(self, noise: Noise, random: &mut Random) -> History {
        let mut levels = vec![1.0; NIGHTS];
        let (mut steps, mut build) = (Vec::new(), None);
        let step = |levels: &mut Vec<f64>, from: usize, to: usize, by: f64| {
            levels[from..to].iter_mut().for_each(|level| *level *= 1.0 + by);
        };
        match self {
            Story::Quiet => {}
            Story::Step(by) => {
                let at = night_between(random, 15, NIGHTS - 15);
                step(&mut levels, at, NIGHTS, by);
                steps.push((at, 1.0 + by));
            }
            Story::UpAndBack(by) => {
                let up = night_between(random, 15, NIGHTS - 45);
                let back = night_between(random, up + 15, NIGHTS - 15);
                step(&mut levels, up, back, by);
                steps.extend([(up, 1.0 + by), (back, 1.0 / (1.0 + by))]);
            }
            Story::Drift(to) => {
                let each = |(night, level): (usize, &mut f64)| *level += to * night as f64 / (NIGHTS - 1) as f64;
                levels.iter_mut().enumerate().for_each(each);
            }
            Story::Outliers => {
                let slow = |level: &mut f64| {
                    if random.uniform() < 1.0 / 15.0 {
                        *level *= 1.2 + 0.4 * random.uniform();
                    }
                };
                levels.iter_mut().for_each(slow);
            }
            Story::Build(by) => {
                let at = night_between(random, 15, NIGHTS - 15);
                step(&mut levels, at, NIGHTS, by);
                build = Some(at);
            }
            Story::BuildAndStep(by) => {
                let first = night_between(random, 15, NIGHTS - 45);
                let second = night_between(random, first + 15, NIGHTS - 15);
                let (of_build, of_step) = if random.uniform() < 0.5 { (first, second) } else { (second, first) };
                step(&mut levels, of_build, NIGHTS, 0.08);
                step(&mut levels, of_step, NIGHTS, by);
                (build, steps) = (Some(of_build), vec![(of_step, 1.0 + by)]);
            }
        }
        let factors = noise.factors(random);
        let night = |(night, (level, factor)): (usize, (f64, f64))| {
            run(night, LEVEL_NS * level * factor, build.is_some_and(|build| night >= build))
        };
        let runs = levels.into_iter().zip(factors).enumerate().map(night).collect();
        History { runs, steps, build }
    }
}

fn run(night: usize, median_ns: f64, is_new_build: bool) -> PastRun {
    let build = if is_new_build { "TQ3A.230901.001" } else { "TQ2A.230505.002" };
    PastRun {
        sweep_id: SweepId(format!("night-{night:02}")),
        at: Timestamp::from_second(1_795_474_800 + night as i64 * 86_400).unwrap_or_default(),
        model: "mobilenet_v2".to_owned(),
        judged: None,
        measured: None,
        cell: Arc::new(HistoryCell {
            device: "pixel-6".into(),
            weights: WeightsKind::Synthetic,
            format: "onnx".into(),
            backend: "tract".into(),
            options: Default::default(),
            precision: Precision::Float32,
            threads: ThreadCount::Count(2),
            batch: 1,
            scenario: Scenario::SingleStream,
        }),
        median_ns: median_ns.max(1.0) as u64,
        environment: Arc::new(Facts::from([("build".to_owned(), build.to_owned())])),
        circumstances: Facts::new().into(),
    }
}
