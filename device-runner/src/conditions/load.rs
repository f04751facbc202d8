//! Who has the processors and the memory.
//!
//! Purpose: processor time of the device and of a process, pressure, and memory. Main types: [`Load`], [`ProcessUse`].
//! Never takes the time of a hypervisor's other guests for that of processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::read::{self, Root};

/// Threads and children of a process that are looked at.
const MAX_TASKS: usize = 1024;
const MAX_CHILDREN: usize = 64;
/// What all kernels tell time in, where they don't say.
const TICKS_PER_SECOND: u64 = 100;

/// What the device tells of its load.
#[derive(Debug, Clone)]
pub struct Load {
    root: Root,
    /// Whether a hypervisor is beneath.
    is_guest: bool,
}

/// Time of some processors since boot, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessorTime {
    /// In which they worked for processes, or for the kernel.
    pub busy: u64,
    /// In which the hypervisor gave them to others; `None` where it does not tell.
    pub stolen: Option<u64>,
}

/// Since boot, the time in which a task waited, in millionths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stalls {
    /// For a processor.
    pub cpu: Option<u64>,
    /// For memory.
    pub memory: Option<u64>,
    /// For a disk.
    pub io: Option<u64>,
}

/// What a process has used since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessUse {
    /// Processor time with that of its children, in the kernel's ticks.
    pub ticks: u64,
    /// Pages that it had to wait for.
    pub major_faults: u64,
    /// How often each of its threads lost the processor; none where that can't be read.
    pub involuntary_switches: BTreeMap<u32, u64>,
}

impl ProcessUse {
    /// How often its threads lost the processor since `earlier`; `None` where a thread ended meanwhile, whose count
    /// is gone.
    pub fn switches_since(&self, earlier: &ProcessUse) -> Option<u64> {
        let (then, now) = (&earlier.involuntary_switches, &self.involuntary_switches);
        if now.is_empty() || then.keys().any(|thread| !now.contains_key(thread)) {
            return None;
        }
        let since = |(thread, count): (&u32, &u64)| count.saturating_sub(then.get(thread).copied().unwrap_or(0));
        Some(now.iter().map(since).sum())
    }
}

impl Load {
    /// Of this device.
    pub fn find(root: &Root) -> Load {
        let flags = root.text("proc/cpuinfo").unwrap_or_default();
        let has_flag = |line: &str| line.starts_with("flags") && line.split_whitespace().any(|it| it == "hypervisor");
        let is_guest = flags.lines().any(has_flag)
            || root.word("sys/hypervisor/type").is_some()
            || root.word("proc/device-tree/hypervisor/compatible").is_some();
        Load { root: root.clone(), is_guest }
    }

    /// Time of these processors.
    pub fn processor_time(&self, cpus: &[u32]) -> Option<ProcessorTime> {
        let text = self.root.text("proc/stat")?;
        let mut time = ProcessorTime { busy: 0, stolen: Some(0) };
        // What was ever stolen of any processor: a guest that was never told of any may be one that is told of none.
        let (mut found, mut ever_stolen) = (0, 0);
        for line in text.lines().take_while(|line| line.starts_with("cpu")) {
            let mut words = line.split_ascii_whitespace();
            let Some(index) = words.next().and_then(|name| name.strip_prefix("cpu")?.parse::<u32>().ok()) else {
                continue;
            };
            let times: Vec<u64> = words.map_while(|word| word.parse().ok()).take(8).collect();
            // user nice system idle iowait irq softirq steal
            let &[user, nice, system, _, _, irq, softirq, steal] = times.as_slice() else { return None };
            ever_stolen |= steal;
            if cpus.contains(&index) {
                found += 1;
                let busy = [user, nice, system, irq, softirq].into_iter().fold(0, u64::saturating_add);
                time.busy = time.busy.saturating_add(busy);
                time.stolen = time.stolen.map(|sum| sum.saturating_add(steal));
            }
        }
        if self.is_guest && ever_stolen == 0 {
            time.stolen = None;
        }
        (found > 0).then_some(time)
    }

    /// Time since boot.
    pub fn uptime_ms(&self) -> Option<u64> {
        let text = self.root.text("proc/uptime")?;
        let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().and_then(|uptime| u64::try_from(uptime.as_millis()).ok())
    }

    /// How long tasks have waited.
    pub fn stalls(&self) -> Stalls {
        let total = |what: &str| {
            let text = self.root.text(format!("proc/pressure/{what}"))?;
            let line = text.lines().find(|line| line.starts_with("some "))?;
            line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
        };
        Stalls { cpu: total("cpu"), memory: total("memory"), io: total("io") }
    }

    /// Memory that a new program could use.
    pub fn memory_available_bytes(&self) -> Option<u64> {
        let text = self.root.text("proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// What a process has used, with its children; `None` where it is gone.
    pub fn process(&self, pid: u32) -> Option<ProcessUse> {
        let status = self.status(pid)?;
        let mut use_of = ProcessUse { ticks: status.ticks, major_faults: status.major_faults, ..ProcessUse::default() };
        for thread in self.threads(pid) {
            let text = self.root.text(format!("proc/{pid}/task/{thread}/status"));
            let count = text.and_then(|text| {
                let mut lines = text.lines();
                lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:")?.trim().parse().ok())
            });
            if let Some(count) = count {
                use_of.involuntary_switches.insert(thread, count);
            }
        }
        for child in self.children(pid) {
            use_of.ticks = use_of.ticks.saturating_add(self.status(child).map_or(0, |status| status.ticks));
        }
        Some(use_of)
    }

    /// Processor time of a process alone, with what children used that it has waited for, in the kernel's ticks.
    pub fn ticks_alone(&self, pid: u32) -> Option<u64> {
        Some(self.status(pid)?.ticks)
    }

    /// Processor time of a process with its children, in the kernel's ticks.
    pub fn process_ticks(&self, pid: u32) -> Option<u64> {
        let children = self.children(pid).into_iter().filter_map(|child| self.status(child));
        Some(children.fold(self.status(pid)?.ticks, |sum, child| sum.saturating_add(child.ticks)))
    }

    /// Whether the kernel tells of a process which it has started.
    pub fn lists_children(&self, pid: u32) -> bool {
        self.root.text(format!("proc/{pid}/task/{pid}/children")).is_some()
    }

    /// Processors that a process's threads, and its children's, work on now.
    pub fn processors_of(&self, pid: u32) -> Vec<u32> {
        let mut processors = Vec::new();
        for pid in std::iter::once(pid).chain(self.children(pid)) {
            for thread in self.threads(pid) {
                let told = self.root.text(format!("proc/{pid}/task/{thread}/stat"));
                let status = told.and_then(|text| TaskStatus::parse(&text));
                processors.extend(status.filter(|status| status.is_running).map(|status| status.processor));
            }
        }
        processors.sort_unstable();
        processors.dedup();
        processors
    }

    fn status(&self, pid: u32) -> Option<TaskStatus> {
        TaskStatus::parse(&self.root.text(format!("proc/{pid}/stat"))?)
    }

    fn threads(&self, pid: u32) -> Vec<u32> {
        let names = self.root.names(Path::new("proc").join(pid.to_string()).join("task"), "");
        names.iter().filter_map(|name| name.parse().ok()).take(MAX_TASKS).collect()
    }

    /// Processes that it started, and those that these started, where the kernel tells them.
    fn children(&self, pid: u32) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        let mut next = vec![pid];
        while let Some(parent) = next.pop() {
            for thread in self.threads(parent) {
                let text = self.root.text(format!("proc/{parent}/task/{thread}/children")).unwrap_or_default();
                for child in text.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
                    if found.len() < MAX_CHILDREN && !found.contains(&child) && child != pid {
                        found.push(child);
                        next.push(child);
                    }
                }
            }
        }
        found
    }
}

/// What `stat` tells of a process or of a thread.
#[derive(Debug, PartialEq)]
struct TaskStatus {
    is_running: bool,
    major_faults: u64,
    ticks: u64,
    processor: u32,
}

impl TaskStatus {
    /// The name, in parentheses, may hold anything.
    fn parse(text: &str) -> Option<TaskStatus> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        // Fields as proc(5) counts them, of which the first two are before the parenthesis.
        const BEFORE: usize = 3;
        let ticks = [14, 15, 16, 17].into_iter().map(|field| number(field - BEFORE));
        let ticks = ticks.collect::<Option<Vec<u64>>>()?.into_iter().fold(0, u64::saturating_add);
        Some(TaskStatus {
            is_running: fields.first() == Some(&"R"),
            major_faults: number(12 - BEFORE)?,
            ticks,
            processor: u32::try_from(number(39 - BEFORE)?).ok()?,
        })
    }
}

/// The kernel's ticks in a second.
pub fn ticks_per_second() -> u64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    ticks.filter(|ticks| *ticks > 0).unwrap_or(TICKS_PER_SECOND)
}

/// The kernel's ticks as time.
pub fn milliseconds(ticks: u64) -> u64 {
    u64::try_from(u128::from(ticks) * 1000 / u128::from(ticks_per_second())).unwrap_or(u64::MAX)
}

/// The set of processors that this process was put into.
pub fn cpuset(root: &Root) -> Option<String> {
    read::word(&root.path("proc/self/cpuset"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;

    const STAT: &str = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 5 0 30 12 3 4 20 0 2 0 100 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 \
                        17 3 0 0 0 0 0";

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let expected = TaskStatus { is_running: true, major_faults: 5, ticks: 49, processor: 3 };
        assert_eq!(TaskStatus::parse(STAT), Some(expected));
        for wrong in ["", "7 (a", "7 (a) R 1", &STAT.replace("30", "-3"), &STAT.replace("17 3", "17 99999999999")] {
            assert_eq!(TaskStatus::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn time_of_others_and_stolen_time_are_told_apart() {
        let tree = Tree::virtual_machine();
        let load = Load::find(tree.root());
        assert_eq!(load.processor_time(&[0, 1]), Some(ProcessorTime { busy: 20, stolen: Some(6) }));
        assert_eq!(load.processor_time(&[1]), Some(ProcessorTime { busy: 10, stolen: Some(3) }));
        assert_eq!(load.processor_time(&[9]), None);
        tree.stat(&[(10, 0), (10, 0)]);
        assert_eq!(load.processor_time(&[0]).unwrap().stolen, None, "a guest that may not be told");
        let board = Tree::raspberry_pi();
        assert_eq!(Load::find(board.root()).processor_time(&[0]).unwrap().stolen, Some(0), "there is no hypervisor");
        for wrong in ["", "cpu0 1 2", "cpu0 1 2 3 x 5 6 7 8", "cpu0 -1 0 0 0 0 0 0 0"] {
            tree.file("proc/stat", wrong);
            assert_eq!(load.processor_time(&[0]), None, "{wrong:?}");
        }
        tree.file("proc/stat", &format!("cpu0 {0} {0} {0} 0 0 0 0 {0}\n", u64::MAX));
        assert_eq!(load.processor_time(&[0]).unwrap().busy, u64::MAX);
    }

    #[test]
    fn a_process_is_counted_with_its_threads_and_children() {
        let tree = Tree::new();
        let load = Load::find(tree.root());
        tree.file("proc/7/stat", STAT).file("proc/7/task/7/stat", STAT).file("proc/7/task/8/stat", STAT);
        tree.file("proc/7/task/7/status", "Name: x\nnonvoluntary_ctxt_switches:\t40\n");
        tree.file("proc/7/task/8/status", "nonvoluntary_ctxt_switches:\t2\n").file("proc/7/task/8/children", "9 7 ");
        let child = STAT.replace("17 3", "17 5");
        tree.file("proc/9/stat", &child).file("proc/9/task/9/stat", &child);
        let used = load.process(7).unwrap();
        assert_eq!((used.ticks, used.major_faults), (98, 5));
        assert_eq!((load.process_ticks(7), load.process_ticks(5)), (Some(98), None));
        assert_eq!(load.processors_of(7), [3, 5]);
        tree.file("proc/7/task/7/status", "nonvoluntary_ctxt_switches:\t44\n");
        assert_eq!(load.process(7).unwrap().switches_since(&used), Some(4));
        tree.remove("proc/7/task/8");
        assert_eq!(load.process(7).unwrap().switches_since(&used), None, "a thread took its count with it");
    }

    #[test]
    fn time_since_boot_is_read_and_nothing_else_taken_for_it() {
        let tree = Tree::new();
        let load = Load::find(tree.root());
        assert_eq!(load.uptime_ms(), None);
        for (text, expected) in [
            ("350735.47 234388.90\n", Some(350_735_470)),
            ("12", Some(12_000)),
            ("", None),
            ("-1.0 2.0", None),
            ("inf", None),
            ("NaN 1", None),
            ("1e300", None),
        ] {
            tree.file("proc/uptime", text);
            assert_eq!(load.uptime_ms(), expected, "{text:?}");
        }
        assert_eq!(milliseconds(u64::MAX), u64::MAX.saturating_mul(1000 / ticks_per_second()));
        assert_eq!(milliseconds(3 * ticks_per_second()), 3_000);
    }

    #[test]
    fn pressure_and_memory_are_read() {
        let tree = Tree::new();
        let load = Load::find(tree.root());
        assert_eq!((load.stalls(), load.memory_available_bytes()), (Stalls::default(), None));
        tree.file("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0 total=1\n");
        tree.file("proc/pressure/io", "nothing\n").file("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    8 kB\n");
        assert_eq!(load.stalls(), Stalls { memory: Some(77), ..Stalls::default() });
        assert_eq!(load.memory_available_bytes(), Some(8192));
    }
}
