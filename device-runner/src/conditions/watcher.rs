//! The thread that looks.
//!
//! Purpose: look at the device before, during and after a run, beside it. Main type: [`Watcher`]. Never looks while a
//! run is timed that leaves no core free, and never has the run wait for longer than a bound.

use std::env;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use farmctl_protocol::{Conditions, Dialect, JobSpec, Phase};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rustix::process::setpriority_process;

use super::load::ticks_per_second;
use super::read::Root;
use super::stops::Stops;
use super::watch::{Watch, WatchedRun};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// The first look comes earlier: a short run would have none.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// Of the time between looks a look takes at most one part in so many: sensors behind a slow bus are asked less often.
const SHARE_OF_LOOKS: u32 = 20;
/// How long a run waits for a look before it, or for the figures after it. A sensor that hangs costs no result.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// The kernel's lowest priority: whoever else wants the core has it first.
const LOWEST_PRIORITY: i32 = 19;
/// The shortest warm-up that hides a look.
const LEAST_WARM_UP_SECONDS: f64 = 0.05;

/// How a run is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Processors that it can use.
    cpus: Vec<u32>,
    /// Whether it uses all of them, as far as its job says.
    uses_all: bool,
    /// Whether the measuring process has another program do the work.
    has_children: bool,
    /// Where the watcher is while the run is timed; none: nowhere.
    free: Vec<u32>,
    /// Phase with which the watch begins.
    from: Phase,
}

impl Plan {
    /// How to watch this job on a device that allows these processors.
    pub fn of(job: &JobSpec, allowed: &[u32]) -> Plan {
        let cpus = job.cpus.clone().unwrap_or_else(|| allowed.to_vec());
        let uses_all = job.cpus.is_some() || job.threads as usize >= allowed.len();
        let free = match &job.cpus {
            Some(pinned) => allowed.iter().copied().filter(|cpu| !pinned.contains(cpu)).collect(),
            None if uses_all => Vec::new(),
            None => allowed.to_vec(),
        };
        // A look takes some time of a core. Where the run has all of them, the warm-up hides it.
        let from = if !free.is_empty() {
            Phase::Measure
        } else if job.limits.warmup_min_seconds >= LEAST_WARM_UP_SECONDS {
            Phase::WarmUp
        } else {
            Phase::FirstInference
        };
        let has_children = job.engine.as_ref().is_some_and(|engine| engine.dialect != Dialect::Engine);
        Plan { cpus, uses_all, has_children, free, from }
    }

    /// Whether the watch begins with this phase. Programs of others measure from their start on.
    fn begins_with(&self, phase: Phase) -> bool {
        phase == self.from || phase == Phase::Measure
    }
}

/// Watches one run, in a thread of its own.
#[derive(Debug)]
pub struct Watcher {
    plan: Plan,
    orders: Option<SyncSender<Order>>,
    /// Of the measuring process, once the watch has begun.
    stops: Option<Stops>,
}

#[derive(Debug)]
enum Order {
    Begin { pid: u32, phase: Phase },
    End(SyncSender<Option<Conditions>>),
}

impl Watcher {
    /// Looks at the device, and is ready to watch a run. One that can't watch tells nothing, and so does one that is
    /// not to: `DEVICE_RUNNER_UNWATCHED` is for who measures what watching costs.
    pub fn start(root: Root, plan: Plan) -> Watcher {
        if env::var_os("DEVICE_RUNNER_UNWATCHED").is_some() {
            return Watcher { plan, orders: None, stops: None };
        }
        let (orders, received) = sync_channel(2);
        let (looked, has_looked) = sync_channel(1);
        let thread_plan = plan.clone();
        let body = move || {
            let mut watching = Watching::new(&root, thread_plan);
            let _ = looked.send(());
            watching.obey(&received);
        };
        let spawned = thread::Builder::new().name("watcher".to_owned()).spawn(body);
        let is_ready = spawned.is_ok() && has_looked.recv_timeout(LOOK_TIMEOUT).is_ok();
        Watcher { plan, orders: is_ready.then_some(orders), stops: None }
    }

    /// Notes that process `pid` enters a phase.
    pub fn enter(&mut self, pid: u32, phase: Phase) {
        if self.stops.is_some() || !self.plan.begins_with(phase) {
            return;
        }
        self.stops = Some(Stops::of(pid));
        if let Some(orders) = &self.orders {
            // There is room: these are the only two orders.
            let _ = orders.try_send(Order::Begin { pid, phase });
        }
    }

    /// Ends the watch, once; `None` where it never began, or does not answer.
    pub fn end(&mut self) -> Option<Conditions> {
        let orders = self.orders.take()?;
        let (answer, answered) = sync_channel(1);
        orders.try_send(Order::End(answer)).ok()?;
        let conditions = answered.recv_timeout(LOOK_TIMEOUT).ok()??;
        Some(Conditions { was_stopped: self.stops.as_ref().is_some_and(Stops::was_any), ..conditions })
    }
}

/// What the thread has.
struct Watching {
    watch: Watch,
    plan: Plan,
    started: Instant,
    /// When it looks next; never where no core is free.
    next: Option<Instant>,
}

impl Watching {
    fn new(root: &Root, plan: Plan) -> Watching {
        // Of this thread alone, since Linux takes no process for the caller; where it is refused, the looks go on.
        let _ = setpriority_process(None, LOWEST_PRIORITY);
        stay_on(&plan.free);
        let run = WatchedRun {
            cpus: plan.cpus.clone(),
            uses_all: plan.uses_all,
            has_children: plan.has_children,
            ticks_per_second: ticks_per_second(),
        };
        Watching { watch: Watch::new(root, run), plan, started: Instant::now(), next: None }
    }

    fn obey(&mut self, orders: &Receiver<Order>) {
        loop {
            let received = match self.next {
                Some(next) => orders.recv_timeout(next.saturating_duration_since(Instant::now())),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Order::Begin { pid, phase }) => self.begin(pid, phase),
                Ok(Order::End(answer)) => {
                    let _ = answer.send(self.watch.end(self.started.elapsed()));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                // The run is over, and nobody asks.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn begin(&mut self, pid: u32, phase: Phase) {
        self.watch.begin(self.started.elapsed(), pid, phase);
        self.next = (!self.plan.free.is_empty()).then(|| Instant::now() + FIRST_LOOK);
    }

    fn look(&mut self) {
        let begun = Instant::now();
        self.watch.look(self.started.elapsed());
        let used = self.watch.cores_in_use();
        let free: Vec<u32> = self.plan.free.iter().copied().filter(|cpu| !used.contains(cpu)).collect();
        stay_on(&free);
        self.next = Some(Instant::now() + INTERVAL.max(begun.elapsed() * SHARE_OF_LOOKS));
    }
}

/// Moves this thread to some processors; where that is not allowed, or there are none, it stays where it may be.
fn stay_on(cpus: &[u32]) {
    let mut set = CpuSet::new();
    let is_set = cpus.iter().filter(|cpu| set.set(**cpu as usize).is_ok()).count() > 0;
    if is_set {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;

    fn plan(cpus: &[u32], free: &[u32]) -> Plan {
        Plan { cpus: cpus.to_vec(), uses_all: true, has_children: false, free: free.to_vec(), from: Phase::WarmUp }
    }

    /// What the kernel says of this thread: its priority, and where it may run.
    fn priority_and_processors() -> (String, String) {
        let text = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/{name}")).unwrap();
        // The name may hold spaces; priority is the 17th word behind it.
        let priority = text("stat").rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().to_owned();
        let status = text("status");
        let processors = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        (priority, processors.trim().to_owned())
    }

    #[test]
    fn the_thread_that_looks_gives_way_and_stays_where_the_run_is_not() {
        let machine = Tree::virtual_machine();
        let free = *farmctl_engine_kit::affinity().unwrap().last().unwrap();
        let before = priority_and_processors();
        let of_watcher = thread::spawn(move || {
            let _watching = Watching::new(machine.root(), plan(&[0], &[free]));
            priority_and_processors()
        });
        assert_eq!(of_watcher.join().unwrap(), (LOWEST_PRIORITY.to_string(), free.to_string()));
        assert_eq!(priority_and_processors(), before, "no other thread has");
    }

    #[test]
    fn a_run_is_watched_from_its_phase_to_its_end_once() {
        let machine = Tree::virtual_machine();
        let mut watcher = Watcher::start(machine.root().clone(), plan(&[0], &[]));
        watcher.enter(1, Phase::Load);
        watcher.enter(1, Phase::WarmUp);
        watcher.enter(1, Phase::Measure);
        let told = watcher.end().unwrap();
        assert_eq!((told.watched_from, told.looks, told.series.len()), (Phase::WarmUp, 2, 2));
        assert_eq!(watcher.end(), None);
        assert_eq!(Watcher::start(machine.root().clone(), plan(&[0], &[])).end(), None, "it never began");
    }
}
