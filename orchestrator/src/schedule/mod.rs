//! When sweeps are due, and what is to be done about it: pure.
//!
//! Main type: [`Schedule`]; main functions: [`newly_due`], which settles what becomes of each due time, and
//! [`next_step`], which says what to do now. The same input gives the same answer, so that years are tested in seconds,
//! and a process that starts anew finds what the one before it would have done. Never reads a clock, and never starts
//! anything.

mod cron;
mod decide;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::{DeviceSelector, RegressionRule, sha256_hex};

pub use cron::Cron;
pub use decide::{Current, MAX_QUEUED, MAX_SKIPPED, ScheduleState, Settled, Step, newly_due, next_step};
pub use window::{Opening, Window};

/// A sweep that is started again and again.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name, unique.
    pub name: String,
    /// When it is due.
    pub cron: Cron,
    /// The zone whose clocks `cron` and `window` mean.
    pub time_zone: TimeZone,
    /// The sweep's file.
    pub sweep: PathBuf,
    /// Devices instead of those that the sweep's file names; none: the file's.
    pub devices: Vec<DeviceSelector>,
    /// Most devices that its sweep works on at the same time; `None`: as many as any sweep.
    pub max_parallel: Option<u32>,
    /// When its jobs may be started; `None`: at any time.
    pub window: Option<Window>,
    /// What happens when it is due and its last sweep has not ended.
    pub overlap: Overlap,
    /// What happens to due times that nobody saw.
    pub missed: Missed,
    /// It starts up to so much later than it is due, always the same for one due time.
    pub jitter: Duration,
    /// Whether its devices are checked before its sweep begins.
    pub checks_first: bool,
    /// What is done about cells that its sweeps find slower.
    pub on_regression: RegressionRule,
    /// Whether it starts anything.
    pub is_enabled: bool,
}

/// What happens when a sweep is due and the one before it has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// It waits for its turn.
    Queue,
    /// The one before it is cancelled.
    Replace,
}

/// What happens to due times at which nothing ran that could have started them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// One sweep makes up for all of them.
    Once,
    /// Each is made up for.
    All,
    /// None is.
    None,
}

impl Schedule {
    /// What makes its due times. When this changes, due times of before say nothing any more.
    pub fn rule(&self) -> String {
        let zone = self.time_zone.iana_name().unwrap_or("UTC");
        format!("{} {zone} {}", self.cron, if self.is_enabled { "enabled" } else { "disabled" })
    }

    /// The first due time after this moment; `None` when there is none.
    pub fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        self.cron.next(after, &self.time_zone)
    }

    /// When a sweep that is due then is to be started.
    pub fn starts_at(&self, due_at: Timestamp) -> Timestamp {
        let digits = &sha256_hex(format!("{} {}", self.name, due_at.as_nanosecond()).as_bytes())[..8];
        let share = f64::from(u32::from_str_radix(digits, 16).unwrap_or(0)) / f64::from(u32::MAX);
        let later = SignedDuration::try_from(self.jitter.mul_f64(share)).unwrap_or_default();
        due_at.checked_add(later).unwrap_or(due_at)
    }

    /// Whether its jobs may be started now, and until when that is so.
    pub fn opening(&self, now: Timestamp) -> Opening {
        match &self.window {
            None => Opening::Always,
            Some(window) => window.at(now, &self.time_zone),
        }
    }
}
