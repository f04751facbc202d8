//! Histories of nights whose truth is known.

use std::sync::Arc;

use farmctl::domain::{Facts, HistoryCell, PastRun, Precision, Scenario, SweepId, ThreadCount, WeightsKind};
use jiff::Timestamp;

/// Nights of a history.
pub const NIGHTS: usize = 90;
/// Level that nothing has happened to, in nanoseconds.
const LEVEL_NS: f64 = 20e6;

/// Pseudo-random numbers: the same ones for the same seed, on every machine (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Uniform between 0 and 1, neither of them.
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Normal, with mean 0 and standard deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A night from `low` to before `high`.
    pub fn night(&mut self, low: usize, high: usize) -> usize {
        low + (self.uniform() * (high - low) as f64) as usize
    }
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
                let at = random.night(15, NIGHTS - 15);
                step(&mut levels, at, NIGHTS, by);
                steps.push((at, 1.0 + by));
            }
            Story::UpAndBack(by) => {
                let up = random.night(15, NIGHTS - 45);
                let back = random.night(up + 15, NIGHTS - 15);
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
                let at = random.night(15, NIGHTS - 15);
                step(&mut levels, at, NIGHTS, by);
                build = Some(at);
            }
            Story::BuildAndStep(by) => {
                let first = random.night(15, NIGHTS - 45);
                let second = random.night(first + 15, NIGHTS - 15);
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
        circumstances: Facts::new(),
    }
}
