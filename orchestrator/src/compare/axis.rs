use super::CellKey;

/// What cells of one sweep are compared along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Device against device.
    Devices,
    /// Engine against engine, with what it hands the work to.
    Backends,
    /// Network against network.
    Models,
    /// Threads against threads.
    Threads,
    /// Arithmetic against arithmetic.
    Precision,
}

impl Axis {
    /// Every axis.
    pub const ALL: &'static [Axis] = &[Axis::Devices, Axis::Backends, Axis::Models, Axis::Threads, Axis::Precision];

    /// The word that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Axis::Devices => "devices",
            Axis::Backends => "backends",
            Axis::Models => "models",
            Axis::Threads => "threads",
            Axis::Precision => "precision",
        }
    }

    /// What it compares, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Axis::Devices => "device against device",
            Axis::Backends => "engine against engine",
            Axis::Models => "network against network",
            Axis::Threads => "numbers of threads",
            Axis::Precision => "arithmetic against arithmetic",
        }
    }

    /// One of its values, in words.
    pub(super) fn one(self) -> &'static str {
        match self {
            Axis::Devices => "device",
            Axis::Backends => "engine",
            Axis::Models => "network",
            Axis::Threads => "threads",
            Axis::Precision => "precision",
        }
    }

    /// Takes the value out of a cell: what is left is the same for all values.
    pub fn take(self, key: &mut CellKey) -> String {
        match self {
            Axis::Devices => std::mem::take(&mut key.device),
            Axis::Backends => {
                let words = [std::mem::take(&mut key.backend), std::mem::take(&mut key.delegate)];
                words.join(" ").trim_end().to_owned()
            }
            Axis::Models => std::mem::take(&mut key.model),
            Axis::Threads => std::mem::take(&mut key.threads),
            Axis::Precision => std::mem::take(&mut key.precision),
        }
    }

    /// Columns that differ along it by what it is: no difference of conditions.
    pub(super) fn explains(self, column: &str) -> bool {
        match self {
            Axis::Devices => !matches!(column, "throttled" | "charging" | "input" | "verdict"),
            Axis::Backends => matches!(column, "backend_version" | "engine" | "engine_files" | "model_sha256"),
            Axis::Models | Axis::Precision => matches!(column, "model_sha256" | "input"),
            Axis::Threads => matches!(column, "cpus" | "governor"),
        }
    }
}
