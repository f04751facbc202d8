//! A made-up sysfs and procfs.

use std::fs;
use std::path::Path;

use super::read::Root;
use crate::scratch::Scratch;

/// A folder that stands for `/`.
pub struct Tree {
    folder: Scratch,
    root: Root,
}

impl Tree {
    /// An empty one.
    pub fn new() -> Tree {
        let folder = Scratch::new();
        let root = Root::at(folder.path());
        Tree { folder, root }
    }

    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders that it is in.
    pub fn file(&self, path: &str, text: &str) -> &Tree {
        self.bytes(path, text.as_bytes())
    }

    pub fn bytes(&self, path: &str, bytes: &[u8]) -> &Tree {
        let path = self.root.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Writes files below a folder, each with its text.
    pub fn files(&self, folder: &str, files: &[(&str, &str)]) -> &Tree {
        for (name, text) in files {
            self.file(&format!("{folder}/{name}"), text);
        }
        self
    }

    pub fn remove(&self, path: &str) -> &Tree {
        let path = self.root.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        self
    }

    /// A core with its clocks: capacity, highest frequency, and the rest.
    pub fn core(&self, index: u32, capacity: Option<u32>, max_khz: u64) -> &Tree {
        let folder = format!("sys/devices/system/cpu/cpu{index}");
        if let Some(capacity) = capacity {
            self.file(&format!("{folder}/cpu_capacity"), &format!("{capacity}\n"));
        }
        let frequency = format!("{max_khz}\n");
        self.files(
            &format!("{folder}/cpufreq"),
            &[
                ("cpuinfo_max_freq", &frequency),
                ("scaling_max_freq", &frequency),
                ("scaling_cur_freq", &frequency),
                ("scaling_governor", "schedutil\n"),
            ],
        )
    }

    /// A thermal zone.
    pub fn zone(&self, index: u32, name: &str, millidegrees: &str) -> &Tree {
        let folder = format!("sys/class/thermal/thermal_zone{index}");
        self.files(&folder, &[("type", name), ("temp", millidegrees)])
    }

    /// A cooling device.
    pub fn cooling(&self, index: u32, name: &str, state: &str) -> &Tree {
        let folder = format!("sys/class/thermal/cooling_device{index}");
        self.files(&folder, &[("type", name), ("cur_state", state), ("max_state", "10\n")])
    }

    /// `/proc/stat`, of each processor busy and stolen ticks.
    pub fn stat(&self, cpus: &[(u64, u64)]) -> &Tree {
        let mut text = "cpu  1 2 3 4 5 6 7 8 9 10\n".to_owned();
        for (index, (busy, stolen)) in cpus.iter().enumerate() {
            text.push_str(&format!("cpu{index} {busy} 0 0 1000 5 0 0 {stolen} 0 0\n"));
        }
        text.push_str("intr 5 5 5\nctxt 17\n");
        self.file("proc/stat", &text)
    }

    /// A phone as Pixels are: four little cores, two in the middle, two big ones.
    pub fn phone() -> Tree {
        let tree = Tree::new();
        tree.files("sys/devices/system/cpu", &[("present", "0-7\n"), ("online", "0-7\n")]);
        for index in 0..8 {
            match index {
                0..4 => tree.core(index, Some(160), 1_803_000),
                4..6 => tree.core(index, Some(498), 2_253_000),
                _ => tree.core(index, Some(1024), 2_802_000),
            };
        }
        for (index, (name, temperature)) in
            [("BIG", "41000"), ("MID", "40000"), ("LITTLE", "39000"), ("G3D", "60000"), ("battery", "55000")]
                .into_iter()
                .enumerate()
        {
            tree.zone(index as u32, name, temperature);
        }
        tree.cooling(0, "thermal-cpufreq-0", "0\n").cooling(1, "thermal-gpufreq-0", "3\n");
        let battery = [
            ("type", "Battery\n"),
            ("capacity", "83\n"),
            ("status", "Discharging\n"),
            ("voltage_now", "4012000\n"),
            ("current_now", "-512000\n"),
        ];
        tree.files("sys/class/power_supply/battery", &battery);
        tree.files("sys/class/power_supply/usb", &[("type", "USB\n"), ("online", "0\n")]);
        tree.file("proc/self/cpuset", "/foreground\n").file("proc/self/cgroup", "0::/uid_2000\n");
        tree.stat(&[(0, 0); 8]);
        tree
    }

    /// A Raspberry Pi 4.
    pub fn raspberry_pi() -> Tree {
        let tree = Tree::new();
        tree.files("sys/devices/system/cpu", &[("present", "0-3\n"), ("online", "0-3\n")]);
        for index in 0..4 {
            tree.core(index, None, 1_800_000);
        }
        tree.zone(0, "cpu-thermal", "48199\n");
        tree.files("sys/class/hwmon/hwmon0", &[("name", "cpu_thermal\n"), ("temp1_input", "48199\n")]);
        tree.files("sys/class/hwmon/hwmon1", &[("name", "rpi_volt\n"), ("in0_lcrit_alarm", "0\n")]);
        tree.file("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
        tree.stat(&[(0, 0); 4]);
        tree
    }

    /// A server with x86 processors.
    pub fn x86() -> Tree {
        let tree = Tree::new();
        tree.files("sys/devices/system/cpu", &[("present", "0-1\n"), ("online", "0-1\n")]);
        for index in 0..2 {
            tree.core(index, None, 4_500_000);
            let folder = format!("sys/devices/system/cpu/cpu{index}/thermal_throttle");
            tree.files(&folder, &[("core_throttle_count", "7\n"), ("package_throttle_count", "9\n")]);
        }
        let hwmon = [
            ("name", "coretemp\n"),
            ("temp1_input", "52000\n"),
            ("temp1_label", "Package id 0\n"),
            ("temp2_input", "50000\n"),
            ("temp2_label", "Core 0\n"),
        ];
        tree.files("sys/class/hwmon/hwmon3", &hwmon);
        tree.files("sys/class/hwmon/hwmon0", &[("name", "nvme\n"), ("temp1_input", "71000\n")]);
        tree.zone(0, "acpitz", "27800\n");
        let package =
            [("name", "package-0\n"), ("energy_uj", "100000000\n"), ("max_energy_range_uj", "262143328850\n")];
        tree.files("sys/class/powercap/intel-rapl:0", &package);
        tree.files("sys/class/powercap/intel-rapl:0:0", &[("name", "core\n"), ("energy_uj", "5\n")]);
        tree.file("proc/self/cgroup", "0::/system.slice/ssh.service\n");
        tree.file("sys/fs/cgroup/system.slice/cpu.stat", "usage_usec 5\nthrottled_usec 0\n");
        tree.stat(&[(0, 0); 2]);
        tree
    }

    /// A virtual machine: processors, and nothing else.
    pub fn virtual_machine() -> Tree {
        let tree = Tree::new();
        tree.files("sys/devices/system/cpu", &[("present", "0-1\n"), ("online", "0-1\n")]);
        tree.file("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n");
        tree.stat(&[(10, 3), (10, 3)]);
        tree
    }
}
