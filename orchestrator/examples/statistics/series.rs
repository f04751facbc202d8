//! Series of latencies whose truth is known.

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
}

/// Median of a series that nothing happens to.
pub const MEDIAN_NS: f64 = 20e6;

/// How the samples of a series scatter about its level, as shares of it.
#[derive(Debug, Clone, Copy)]
pub enum Noise {
    /// Independent, normal, with this standard deviation.
    Normal(f64),
    /// Independent, lognormal, with this standard deviation of the logarithm.
    Lognormal(f64),
    /// Independent, exponential above a floor, with this mean.
    Exponential(f64),
    /// Independent, Student's with two degrees of freedom, times this: no variance exists.
    HeavyTails(f64),
    /// Independent, normal; one in fifty ten times as slow.
    Spikes(f64),
    /// Independent, normal, read from a clock whose step is 5 % of the level.
    CoarseClock(f64),
    /// Normal with this standard deviation, each correlated with the one before.
    Dependent {
        /// Standard deviation.
        sd: f64,
        /// Correlation of neighbours.
        correlation: f64,
    },
    /// Normal with this standard deviation; half of the variance is as of [`Noise::Dependent`], and half independent:
    /// neighbours are less alike than what is behind them.
    Wandering {
        /// Standard deviation.
        sd: f64,
        /// Correlation of what wanders.
        correlation: f64,
    },
}

impl Noise {
    /// Factors of the level whose median is 1, `count` of them.
    fn factors(self, random: &mut Random, count: usize) -> Vec<f64> {
        if let Noise::Wandering { sd, correlation } = self {
            let sd = sd * std::f64::consts::FRAC_1_SQRT_2;
            let slow = Noise::Dependent { sd, correlation }.factors(random, count);
            return slow.into_iter().map(|factor| factor + sd * random.normal()).collect();
        }
        if let Noise::Dependent { sd, correlation } = self {
            let new = (1.0 - correlation * correlation).sqrt();
            let mut state = random.normal();
            let next = |_| {
                let now = state;
                state = correlation * state + new * random.normal();
                1.0 + sd * now
            };
            return (0..count).map(next).collect();
        }
        (0..count).map(|_| self.factor(random)).collect()
    }

    fn factor(self, random: &mut Random) -> f64 {
        match self {
            Noise::Normal(sd) | Noise::Dependent { sd, .. } | Noise::Wandering { sd, .. } => 1.0 + sd * random.normal(),
            Noise::Lognormal(sd) => (sd * random.normal()).exp(),
            Noise::Exponential(mean) => 1.0 - mean * (random.uniform().ln() + std::f64::consts::LN_2),
            Noise::HeavyTails(scale) => 1.0 + scale * random.normal() / (-random.uniform().ln()).sqrt(),
            Noise::Spikes(sd) => {
                // The median of the mixture is where 0.5 / 0.98 of the quick ones lie below.
                let quick = 1.0 + sd * (random.normal() - 0.025_582);
                if random.uniform() < 0.02 { quick * 10.0 } else { quick }
            }
            Noise::CoarseClock(sd) => ((1.0 + sd * random.normal()) * 20.0).round() / 20.0,
        }
    }
}

/// What happens to the level of a series while it is measured; shares of the run's length and of the level.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// Nothing.
    Steady,
    /// It changes by this much from the first sample to the last, evenly.
    Drift(f64),
    /// It changes by `by` at `at`.
    Step {
        /// When.
        at: f64,
        /// By how much.
        by: f64,
    },
    /// A device that throttles twice: 15 % slower from 0.4 on, 30 % from 0.7 on.
    ThrottlingSteps,
    /// Five times in turn quick for 60 % of the time and 20 % slower for the rest.
    ThrottlingCycles,
    /// It begins slower by `by` and goes down with this time constant.
    Settling {
        /// How much slower.
        by: f64,
        /// Time constant.
        over: f64,
    },
    /// Each sample is by chance in a mode that is slower by `by`, with this probability.
    TwoModes {
        /// How much slower.
        by: f64,
        /// Share of slow samples.
        share: f64,
    },
}

impl Level {
    /// What of the level does not hang on chance, at a share of the run's length.
    pub fn factor(self, time: f64) -> f64 {
        self.at(time, &mut Random::new(0))
    }

    fn at(self, time: f64, random: &mut Random) -> f64 {
        1.0 + match self {
            Level::Steady => 0.0,
            Level::Drift(by) => by * time,
            Level::Step { at, by } => {
                if time < at {
                    0.0
                } else {
                    by
                }
            }
            Level::ThrottlingSteps => {
                if time < 0.4 {
                    0.0
                } else if time < 0.7 {
                    0.15
                } else {
                    0.3
                }
            }
            Level::ThrottlingCycles => {
                if (time * 5.0).fract() < 0.6 {
                    0.0
                } else {
                    0.2
                }
            }
            Level::Settling { by, over } => by * (-time / over).exp(),
            Level::TwoModes { by, share } => {
                if random.uniform() < share {
                    by
                } else {
                    0.0
                }
            }
        }
    }
}

/// A kind of series.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What it is called in tables.
    pub name: &'static str,
    /// How samples scatter.
    pub noise: Noise,
    /// What happens to its level.
    pub level: Level,
}

impl Kind {
    /// A kind of series.
    pub const fn new(name: &'static str, noise: Noise, level: Level) -> Kind {
        Kind { name, noise, level }
    }

    /// A series of this kind in nanoseconds.
    pub fn series(&self, random: &mut Random, count: usize) -> Vec<u64> {
        let factors = self.noise.factors(random, count);
        let latency = |(index, factor): (usize, &f64)| {
            let level = self.level.at(index as f64 / count as f64, random);
            (MEDIAN_NS * level * factor).max(1.0) as u64
        };
        factors.iter().enumerate().map(latency).collect()
    }
}
