//! What is measured: how long claims take, and what processes use.

use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::Trouble;

/// What the agent says of each claim that gave a run.
const CLAIM_TARGET: &str = "farmctl::claim";
/// The unit of processor time in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux there is.
const TICKS_A_SECOND: f64 = 100.0;

/// A claim that gave a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ClaimTime {
    /// When it was there, in milliseconds since 1970.
    pub at_ms: i64,
    /// From the agent's question to its answer, in microseconds.
    pub took_us: u64,
}

/// All claims of this process.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<Vec<ClaimTime>>>);

impl Claims {
    /// Listens from now on.
    pub fn listen() -> Result<Claims, Trouble> {
        let claims = Claims::default();
        let filter = Targets::new().with_target(CLAIM_TARGET, LevelFilter::TRACE);
        let subscriber = tracing_subscriber::registry().with(claims.clone().with_filter(filter));
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(claims)
    }

    pub fn all(&self) -> Vec<ClaimTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: tracing::Subscriber> Layer<S> for Claims {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut took = Took(None);
        event.record(&mut took);
        let Some(took_us) = took.0 else { return };
        let claim = ClaimTime { at_ms: jiff::Timestamp::now().as_millisecond(), took_us };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    }
}

struct Took(Option<u64>);

impl Visit for Took {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "took_us" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Those between the first tenth and the last tenth of claims, by time: devices that all begin at once stand in line.
pub fn steady(claims: &[ClaimTime]) -> Vec<ClaimTime> {
    let mut claims = claims.to_vec();
    claims.sort_unstable_by_key(|claim| claim.at_ms);
    claims[claims.len() / 10..claims.len() * 9 / 10].to_vec()
}

/// The claims a second between the first tenth and the last tenth of them.
pub fn sustained_a_second(claims: &[ClaimTime]) -> f64 {
    let mut times: Vec<i64> = claims.iter().map(|claim| claim.at_ms).collect();
    times.sort_unstable();
    let (from, to) = (times.len() / 10, times.len() * 9 / 10);
    match (times.get(from), times.get(to)) {
        (Some(first), Some(last)) if last > first => (to - from) as f64 * 1000.0 / (last - first) as f64,
        _ => 0.0,
    }
}

/// The value that so many of a thousand are not above; 0 of none.
pub fn quantile(values: &mut [f64], per_mille: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() * per_mille).div_ceil(1000).max(1);
    values.get(rank - 1).copied().unwrap_or(0.0)
}

/// Processor seconds of this process so far.
pub fn own_cpu_seconds() -> Result<f64, Trouble> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// A number of `/proc/self/status`.
pub fn own_status(name: &str) -> Result<u64, Trouble> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("/proc/self/status has no number {name}").into())
}

/// Most memory that this process had at once, in megabytes.
pub fn own_peak_megabytes() -> Result<f64, Trouble> {
    Ok(own_status("VmHWM")? as f64 * 1024.0 / 1e6)
}

/// Processor seconds of a process, of its children, and of those children that have ended.
pub fn family_cpu_seconds(parent: u32) -> f64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ticks: u64 = pids.filter_map(|pid| ticks(pid, parent)).sum();
    ticks as f64 / TICKS_A_SECOND
}

/// By proc(5), after the name in parentheses: the state (3), the parent (4), utime, stime, cutime, cstime (14 to 17).
fn ticks(pid: u32, parent: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index - 3)?.parse::<u64>().ok();
    match pid == parent {
        true => Some(number(14)? + number(15)? + number(16)? + number(17)?),
        false if number(4)? == u64::from(parent) => Some(number(14)? + number(15)?),
        false => None,
    }
}
