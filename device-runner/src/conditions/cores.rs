//! The device's cores.
//!
//! Purpose: which there are, of what kind, how fast they are now and may be. Main type: [`Cores`]. Never takes the
//! cores that are online in this moment for those that there are.

use std::path::PathBuf;

use farmctl_protocol::{CoreKind, CoreState};

use super::read::{self, Root};

/// Where the kernel tells of them.
const FOLDER: &str = "sys/devices/system/cpu";

/// A core counts with those that are at most this much slower, in percent: cores of one kind may differ by a step.
const SAME_KIND_PERCENT: u64 = 95;

/// Every core that is present.
#[derive(Debug, Clone, Default)]
pub struct Cores {
    cores: Vec<Core>,
    online: PathBuf,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Core {
    /// Index as the kernel counts.
    pub index: u32,
    /// How much it does in a time, where the fastest core of all does 1024.
    pub capacity: Option<u64>,
    /// Highest frequency that it has.
    pub max_khz: Option<u64>,
    /// What kind of core it is on this device.
    pub kind: Option<CoreKind>,
    current: PathBuf,
    allowed: PathBuf,
    governor: PathBuf,
    /// Counters of the processor's own throttling: the core's, and its package's.
    throttle_counts: [PathBuf; 2],
}

impl Cores {
    /// Finds them.
    pub fn find(root: &Root) -> Cores {
        let present = root.cpu_list(format!("{FOLDER}/present"));
        let indices = present.or_else(|| root.cpu_list(format!("{FOLDER}/online"))).unwrap_or_else(|| {
            let names = root.names(FOLDER, "cpu");
            names.iter().filter_map(|name| name.strip_prefix("cpu")?.parse().ok()).collect()
        });
        let policies = policies(root);
        let mut cores: Vec<Core> = indices.into_iter().map(|index| Core::find(root, index, &policies)).collect();
        let speeds = speeds(&cores);
        for (core, kind) in cores.iter_mut().zip(kinds(&speeds)) {
            core.kind = kind;
        }
        Cores { cores, online: root.path(format!("{FOLDER}/online")) }
    }

    /// All of them.
    pub fn all(&self) -> &[Core] {
        &self.cores
    }

    /// Those that are online now; all where the kernel does not tell.
    pub fn online(&self) -> Vec<u32> {
        let online = read::text(&self.online).and_then(|text| read::cpu_list(text.trim()));
        online.unwrap_or_else(|| self.cores.iter().map(|core| core.index).collect())
    }

    /// Those of `cpus`, which may be fewer.
    pub fn of(&self, cpus: &[u32]) -> impl Iterator<Item = &Core> {
        self.cores.iter().filter(move |core| cpus.contains(&core.index))
    }
}

impl Core {
    fn find(root: &Root, index: u32, policies: &[Policy]) -> Core {
        let folder = format!("{FOLDER}/cpu{index}");
        let own = format!("{folder}/cpufreq");
        // A core that is offline has no clocks of its own, but those that go with it may.
        let policy = policies.iter().find(|policy| policy.cpus.contains(&index));
        let has_own = read::count(&root.path(format!("{own}/cpuinfo_max_freq"))).is_some();
        let clocks = if has_own { own } else { policy.map_or(own, |policy| policy.folder.clone()) };
        let throttle = format!("{folder}/thermal_throttle");
        Core {
            index,
            capacity: positive(read::count(&root.path(format!("{folder}/cpu_capacity")))),
            max_khz: positive(read::count(&root.path(format!("{clocks}/cpuinfo_max_freq")))),
            kind: None,
            current: root.path(format!("{clocks}/scaling_cur_freq")),
            allowed: root.path(format!("{clocks}/scaling_max_freq")),
            governor: root.path(format!("{clocks}/scaling_governor")),
            throttle_counts: ["core", "package"].map(|of| root.path(format!("{throttle}/{of}_throttle_count"))),
        }
    }

    /// Frequency now.
    pub fn current_khz(&self) -> Option<u64> {
        positive(read::count(&self.current))
    }

    /// Highest frequency that is allowed now.
    pub fn allowed_khz(&self) -> Option<u64> {
        positive(read::count(&self.allowed))
    }

    /// What sets its frequency.
    pub fn governor(&self) -> Option<String> {
        read::word(&self.governor)
    }

    /// How often the core, or its package, was too hot since boot, where the processor counts it.
    pub fn throttle_count(&self) -> Option<u64> {
        let counts = self.throttle_counts.iter().filter_map(|path| read::count(path));
        counts.reduce(u64::saturating_add)
    }

    /// All that can be told of it.
    pub fn state(&self, online: &[u32]) -> CoreState {
        CoreState {
            index: self.index,
            online: online.contains(&self.index),
            kind: self.kind,
            current_khz: self.current_khz(),
            allowed_khz: self.allowed_khz(),
            max_khz: self.max_khz,
            governor: self.governor(),
        }
    }
}

/// Cores whose clocks go together.
struct Policy {
    folder: String,
    cpus: Vec<u32>,
}

fn policies(root: &Root) -> Vec<Policy> {
    let folder = format!("{FOLDER}/cpufreq");
    let policy = |name: String| {
        let folder = format!("{folder}/{name}");
        // Separated by spaces, in contrast to all other lists.
        let cpus = root.text(format!("{folder}/related_cpus"))?;
        Some(Policy { folder, cpus: cpus.split_whitespace().filter_map(|cpu| cpu.parse().ok()).collect() })
    };
    root.names(&folder, "policy").into_iter().filter_map(policy).collect()
}

/// What a clock that stands still says.
fn positive(number: Option<u64>) -> Option<u64> {
    number.filter(|number| *number > 0)
}

/// By what cores are told apart: capacity where it tells cores apart, and otherwise frequency.
fn speeds(cores: &[Core]) -> Vec<Option<u64>> {
    let capacities: Vec<Option<u64>> = cores.iter().map(|core| core.capacity).collect();
    let differ = capacities.iter().any(|capacity| *capacity != capacities[0]);
    let frequencies: Vec<Option<u64>> = cores.iter().map(|core| core.max_khz).collect();
    let are_all_known = capacities.iter().all(Option::is_some);
    if are_all_known && (differ || frequencies.iter().all(Option::is_none)) { capacities } else { frequencies }
}

/// The kind of each core, by how fast it is; of none where of one it is not known.
fn kinds(speeds: &[Option<u64>]) -> Vec<Option<CoreKind>> {
    let Some(known) = speeds.iter().copied().collect::<Option<Vec<u64>>>() else { return vec![None; speeds.len()] };
    // The fastest of each class, and how many cores it has; the fastest class first.
    let mut sorted = known.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    let mut classes: Vec<Class> = Vec::new();
    for speed in sorted {
        match classes.last_mut() {
            Some(class) if class.has(speed) => class.cores += 1,
            _ => classes.push(Class { fastest: speed, cores: 1 }),
        }
    }
    let of_class = kinds_of_classes(&classes);
    known.iter().map(|speed| classes.iter().position(|class| class.has(*speed)).map(|place| of_class[place])).collect()
}

/// Cores that are about as fast as each other.
struct Class {
    fastest: u64,
    cores: usize,
}

impl Class {
    fn has(&self, speed: u64) -> bool {
        speed <= self.fastest && u128::from(speed) * 100 >= u128::from(self.fastest) * u128::from(SAME_KIND_PERCENT)
    }
}

/// The kind of each class, the fastest class first. A single core on top of two other classes is a prime one, and so is
/// what is on top of three.
fn kinds_of_classes(classes: &[Class]) -> Vec<CoreKind> {
    let has_prime = classes.len() > 3 || (classes.len() == 3 && classes[0].cores == 1);
    let big = usize::from(has_prime);
    let last = classes.len() - usize::from(!classes.is_empty());
    let kind = |place: usize| match place {
        place if place < big => CoreKind::Prime,
        place if place == big => CoreKind::Big,
        place if place == last => CoreKind::Little,
        _ => CoreKind::Mid,
    };
    (0..classes.len()).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;
    use CoreKind::{Big, Little, Mid, Prime};

    fn kinds_of(speeds: &[u64]) -> Vec<CoreKind> {
        let speeds: Vec<Option<u64>> = speeds.iter().copied().map(Some).collect();
        kinds(&speeds).into_iter().map(|kind| kind.expect("a kind")).collect()
    }

    #[test]
    fn kinds_are_what_the_device_has_of_them() {
        let cases: &[(&[u64], &[CoreKind])] = &[
            (&[], &[]),
            (&[1800, 1800], &[Big, Big]),
            (&[1000, 1000, 2000, 2000], &[Little, Little, Big, Big]),
            (&[160, 160, 498, 498, 1024, 1024], &[Little, Little, Mid, Mid, Big, Big]),
            (&[300, 300, 800, 800, 800, 1024], &[Little, Little, Big, Big, Big, Prime]),
            (&[300, 700, 800, 1024], &[Little, Mid, Big, Prime]),
            (&[300, 500, 600, 800, 1024, 1024], &[Little, Mid, Mid, Big, Prime, Prime]),
            (&[5200, 5000, 5000, 3800], &[Big, Big, Big, Little]),
            (&[1000, 2000], &[Little, Big]),
        ];
        for (speeds, expected) in cases {
            assert_eq!(kinds_of(speeds), *expected, "{speeds:?}");
        }
        assert_eq!(kinds(&[Some(5), None]), [None, None]);
        assert_eq!(kinds_of(&[u64::MAX, 1]), [Big, Little]);
    }

    #[test]
    fn a_phone_has_three_kinds_whatever_is_online() {
        let phone = Tree::phone();
        let kinds = || Cores::find(phone.root()).all().iter().filter_map(|core| core.kind).collect::<Vec<_>>();
        let expected = [Little, Little, Little, Little, Mid, Mid, Big, Big];
        assert_eq!(kinds(), expected);
        phone.file("sys/devices/system/cpu/online", "0-3\n");
        for index in 4..8 {
            phone.remove(&format!("sys/devices/system/cpu/cpu{index}/cpufreq"));
        }
        assert_eq!(kinds(), expected);
        let cores = Cores::find(phone.root());
        assert_eq!(cores.online(), [0, 1, 2, 3]);
        let state = cores.all()[7].state(&cores.online());
        assert!(!state.online && state.current_khz.is_none() && state.kind == Some(Big), "{state:?}");
    }

    #[test]
    fn without_capacities_frequencies_count_and_those_of_a_core_offline_are_its_neighbours() {
        let tree = Tree::new();
        tree.files("sys/devices/system/cpu", &[("present", "0-3\n"), ("online", "0,1,2\n")]);
        tree.core(0, None, 1_000_000).core(1, None, 1_000_000).core(2, None, 2_000_000);
        let policy = [("related_cpus", "2 3\n"), ("cpuinfo_max_freq", "2000000\n")];
        tree.files("sys/devices/system/cpu/cpufreq/policy2", &policy);
        let kinds: Vec<_> = Cores::find(tree.root()).all().iter().map(|core| core.kind).collect();
        assert_eq!(kinds, [Little, Little, Big, Big].map(Some));
    }

    #[test]
    fn equal_capacities_tell_nothing() {
        let tree = Tree::new();
        tree.file("sys/devices/system/cpu/present", "0-1\n");
        tree.core(0, Some(1024), 1_000_000).core(1, Some(1024), 2_000_000);
        let kinds = || Cores::find(tree.root()).all().iter().map(|core| core.kind).collect::<Vec<_>>();
        assert_eq!(kinds(), [Little, Big].map(Some));
        tree.remove("sys/devices/system/cpu/cpu0/cpufreq").remove("sys/devices/system/cpu/cpu1/cpufreq");
        assert_eq!(kinds(), [Big, Big].map(Some), "they are equal, and that is all that is known");
    }

    #[test]
    fn a_processor_that_throttled_counts_it() {
        let (server, phone) = (Tree::x86(), Tree::phone());
        assert_eq!(Cores::find(server.root()).all()[0].throttle_count(), Some(16));
        assert_eq!(Cores::find(phone.root()).all()[0].throttle_count(), None);
    }
}
