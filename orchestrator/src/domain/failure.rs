use std::fmt;
use std::str::FromStr;

use farmctl_protocol::{RunnerFailure, RunnerFailureKind};
use serde::{Deserialize, Serialize};

/// Why a run has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// What happened, naming device, path and command.
    pub message: String,
    /// Last lines that the measuring program wrote to its standard error.
    pub stderr_tail: Vec<String>,
}

impl Failure {
    /// A failure without output of a program.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), stderr_tail: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl From<RunnerFailure> for Failure {
    fn from(failure: RunnerFailure) -> Failure {
        Failure { kind: failure.failure.into(), message: failure.message, stderr_tail: failure.stderr_tail }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The device itself.
    Device,
    /// The way to the device.
    Transport,
    /// A file that should be there and right.
    Artifact,
    /// The inference engine.
    Backend,
    /// The network.
    Model,
    /// What a person wrote or did.
    User,
    /// farmctl.
    Internal,
}

/// What a failure says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// It may go better. It says nothing against the device.
    Again,
    /// It may go better, and it speaks against the device or the way to it: several in a row quarantine the device.
    Infrastructure,
}

macro_rules! failure_kinds {
    ($($(#[$meta:meta])* $variant:ident = $word:literal, $blame:ident, retry: $retry:ident, $remedy:literal;)+) => {
        /// What kind of failure, with whose fault it is, whether another try may help, and what a person can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum FailureKind { $($(#[$meta])* #[serde(rename = $word)] $variant),+ }

        impl FailureKind {
            /// Every kind.
            pub const ALL: &'static [FailureKind] = &[$(FailureKind::$variant),+];

            /// The word used in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(FailureKind::$variant => $word),+ }
            }

            /// Whose fault it is.
            pub fn blame(self) -> Blame {
                match self { $(FailureKind::$variant => Blame::$blame),+ }
            }

            /// What it says about another try.
            pub fn retry(self) -> Retry {
                match self { $(FailureKind::$variant => Retry::$retry),+ }
            }

            /// Whether another try may go better.
            pub fn may_retry(self) -> bool {
                self.retry() != Retry::Never
            }

            /// Whether it speaks against the device or the way to it.
            pub fn is_infrastructure(self) -> bool {
                self.retry() == Retry::Infrastructure
            }

            /// What a person can do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(FailureKind::$variant => $remedy),+ }
            }
        }
    };
}

failure_kinds! {
    /// No answer at the device's address.
    Unreachable = "unreachable", Transport, retry: Infrastructure, "check power, cable and address of the device";
    /// The address answered, but nothing listens there.
    Refused = "refused", Transport, retry: Infrastructure, "start the ssh or adb server, or correct the port in the farm file";
    /// The device's name has no address.
    NameUnknown = "name_unknown", User, retry: Never, "correct the host in the farm file, or add it to ~/.ssh/config";
    /// The server did not accept the login.
    LoginRefused = "login_refused", User, retry: Never, "over ssh, check user, identity_file and password; over adb, accept this host's key on the screen; then try `ssh` or `adb` by hand";
    /// The host key is not the known one.
    HostKeyChanged = "host_key_changed", User, retry: Never, "make sure that it is the right machine, then remove the old key from the known-hosts file";
    /// No host key is known.
    HostKeyUnknown = "host_key_unknown", User, retry: Never, "run once with --accept-new, or pin the key as host_key in the farm file";
    /// The connection broke and did not come back in time.
    ConnectionLost = "connection_lost", Transport, retry: Infrastructure, "check cable, power and network of the device";
    /// The transport answered in a way it never should.
    TransportProtocol = "transport_protocol", Transport, retry: Infrastructure, "run with -v and look at the log of the sweep";
    /// A step on the device did not end in time.
    Timeout = "timeout", Device, retry: Infrastructure, "look whether the device hangs; raise the named limit if it is only slow";
    /// The device has not the space.
    DiskFull = "disk_full", Device, retry: Never, "free space on the device, or choose another workdir";
    /// A person took the device out of service.
    Disabled = "disabled", User, retry: Never, "remove `disabled` from the farm file once the device is well";
    /// The workdir can't be written or run from.
    WorkdirUnusable = "workdir_unusable", User, retry: Never, "choose a workdir where the login may write and run programs";
    /// The device refuses to run a program from the workdir, though it lies there as it should.
    RunnerNotExecutable = "runner_not_executable", User, retry: Never, "the workdir is mounted noexec, or SELinux forbids running from it: choose a workdir on another file system (on Android, /data/local/tmp/farmctl)";
    /// The device is another device of the farm, reached another way.
    DuplicateEntry = "spare_device", User, retry: Never, "remove one of the two devices from the farm files, or give one entry both ways";
    /// The runner does not start on this device.
    RunnerUnusable = "runner_unusable", Artifact, retry: Never, "check `farmctl runner list`; build the runner for the device's target";
    /// The runner said something that is not the protocol.
    RunnerProtocol = "runner_protocol", Artifact, retry: Infrastructure, "run with -v and look at the log of the sweep";
    /// No runner for the device's target.
    RunnerMissing = "runner_missing", Artifact, retry: Never, "`farmctl runner build --target T` for the target named";
    /// A file could not be had.
    ArtifactUnavailable = "artifact_unavailable", Artifact, retry: Never, "`farmctl models fetch NAME` where the network reaches it, or choose other weights";
    /// A file has not the content it should.
    ArtifactCorrupt = "artifact_corrupt", Artifact, retry: Infrastructure, "it was removed and is pushed again; if it comes back, the device's storage is failing";
    /// The engine can't do what the job asks.
    BackendUnsupported = "backend_unsupported", Backend, retry: Never, "exclude this cell from the sweep";
    /// The engine could not load the model.
    ModelLoad = "model_load", Model, retry: Never, "look at the message; `farmctl models show NAME` lists the operators";
    /// An inference failed.
    Inference = "inference", Model, retry: Never, "look at the message";
    /// The measuring program crashed.
    Crashed = "crashed", Backend, retry: Never, "look at signal and last lines; try fewer threads or another engine";
    /// Something on the device ended the runner while it watched over the run.
    Killed = "killed", Device, retry: Infrastructure, "look at the device's memory and at what else runs there: something ended the runner";
    /// Not enough memory.
    OutOfMemory = "out_of_memory", Device, retry: Never, "use a smaller batch or model, or end other programs on the device";
    /// The run's own deadline passed.
    Deadline = "deadline", Device, retry: Never, "raise timeouts.run_seconds, or lower min_runs and min_seconds";
    /// A person ended it.
    Cancelled = "cancelled", User, retry: Again, "start the sweep again";
    /// The device vanished while measuring: it booted again.
    Rebooted = "rebooted", Device, retry: Infrastructure, "check power supply and temperature of the device";
    /// Another host or run uses the device.
    Busy = "busy", User, retry: Again, "wait for the other run, or end it with the host that started it";
    /// The run was not found on the device again after its host had gone.
    Lost = "lost", Internal, retry: Again, "nothing: it is tried again";
    /// The device knows of a newer lease than this host's.
    Fenced = "fenced", Internal, retry: Never, "another host of this lab has the device now; look whether this one was suspended, or its clock set";
    /// The device failed too often in a row and takes no jobs.
    Quarantined = "quarantined", Device, retry: Never, "see `farmctl why DEVICE`; mend it, then `farmctl devices release DEVICE`, and `farmctl sweep --retry-failed latest`";
    /// A person keeps sweeps off the device.
    Locked = "locked", User, retry: Never, "wait until the lock ends, or `farmctl devices unlock DEVICE`; then `farmctl sweep --retry-failed latest`";
    /// The runner for the device is another than the one the sweep began with.
    RunnerChanged = "runner_changed", User, retry: Never, "start the sweep anew: results of two programs are not mixed in one";
    /// A fault of farmctl.
    Internal = "internal", Internal, retry: Never, "please report it, with the log of the sweep";
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FailureKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        FailureKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("{word:?} is no failure kind"))
    }
}

impl From<RunnerFailureKind> for FailureKind {
    fn from(kind: RunnerFailureKind) -> FailureKind {
        match kind {
            RunnerFailureKind::ArtifactMissing | RunnerFailureKind::ArtifactCorrupt => FailureKind::ArtifactCorrupt,
            RunnerFailureKind::BackendUnsupported => FailureKind::BackendUnsupported,
            RunnerFailureKind::ModelLoad => FailureKind::ModelLoad,
            RunnerFailureKind::Inference => FailureKind::Inference,
            RunnerFailureKind::Crashed => FailureKind::Crashed,
            RunnerFailureKind::OutOfMemory => FailureKind::OutOfMemory,
            RunnerFailureKind::Deadline => FailureKind::Deadline,
            RunnerFailureKind::Cancelled => FailureKind::Cancelled,
            RunnerFailureKind::Device => FailureKind::BackendUnsupported,
            RunnerFailureKind::Restarted => FailureKind::Rebooted,
            RunnerFailureKind::Killed => FailureKind::Killed,
            RunnerFailureKind::Storage => FailureKind::DiskFull,
            RunnerFailureKind::Internal => FailureKind::Internal,
        }
    }
}
