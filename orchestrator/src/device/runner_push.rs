use std::path::PathBuf;

use tokio::io::AsyncSeekExt as _;

use crate::domain::{ArtifactRef, Device, Failure, FailureKind, Timeouts};
use crate::transport::{Command, ErrorKind, Exit, Transport, run_collect};

use super::probe::DeviceProbe;
use super::{classify, lines, transport_failure};

/// Verifies a pushed runner and gives it its place. `$1` is its hash, `$2` the workdir. Exits with 3 where the device
/// has no tool to compute a hash, and with 4, after printing what it found, when the file is another.
const INSTALL_SCRIPT: &str = r#"
cd "$2" || exit 1
if command -v sha256sum > /dev/null; then found=$(sha256sum < "partial/$1"); found=${found%% *}
elif command -v openssl > /dev/null; then found=$(openssl dgst -sha256 < "partial/$1"); found=${found##* }
else exit 3
fi
[ "$found" = "$1" ] || { rm -f "partial/$1"; echo "$found"; exit 4; }
chmod 755 "partial/$1" && mv -f "partial/$1" "bin/$1"
"#;

/// A runner's file on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub artifact: ArtifactRef,
    /// Rust target it was built for.
    pub target: String,
}

/// A runner on its way to a device.
pub(super) struct RunnerPush<'a> {
    pub(super) device: &'a Device,
    pub(super) transport: &'a dyn Transport,
    pub(super) probe: &'a DeviceProbe,
    pub(super) runner: &'a RunnerFile,
    pub(super) timeouts: &'a Timeouts,
}

impl RunnerPush<'_> {
    /// Sends it, going on where an earlier push broke off, and has the device verify it.
    pub(super) async fn push(&self, pushing: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Failure> {
        let ArtifactRef { sha256, size_bytes } = &self.runner.artifact;
        let have = self.probe.size_of(&format!("partial/{sha256}"));
        let mut offset = have.filter(|have| have <= size_bytes).unwrap_or(0);
        loop {
            self.send(offset, pushing).await?;
            match self.install().await {
                // What was there from before may have been something else: all of it once more.
                Err(failure) if failure.kind == FailureKind::ArtifactCorrupt && offset > 0 => offset = 0,
                ended => return ended,
            }
        }
    }

    async fn send(&self, offset: u64, pushing: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Failure> {
        let ArtifactRef { sha256, size_bytes } = &self.runner.artifact;
        let path = format!("{}/partial/{sha256}", self.probe.workdir);
        let unreadable = |error: std::io::Error| {
            Failure::new(FailureKind::RunnerMissing, format!("failed to read {}: {error}", self.runner.path.display()))
        };
        let mut file = tokio::fs::File::open(&self.runner.path).await.map_err(unreadable)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(unreadable)?;
        self.transport
            .write(&path, offset, &mut file, self.timeouts.push_stall(), &mut |sent| {
                pushing(offset + sent, *size_bytes);
            })
            .await
            .map_err(|error| transport_failure(&self.device.name, "push the runner", &error))
    }

    async fn install(&self) -> Result<(), Failure> {
        let (name, sha256) = (&self.device.name, &self.runner.artifact.sha256);
        let argv = ["sh", "-c", INSTALL_SCRIPT, "sh", sha256, &self.probe.workdir].map(str::to_owned).to_vec();
        let command = Command { argv, deadline: self.timeouts.bring_up() };
        let finished = run_collect(self.transport, &command, b"", super::SHORT_OUTPUT_BYTES)
            .await
            .map_err(|error| transport_failure(name, "install the runner", &error))?;
        let says = |bytes: &[u8]| lines::excerpt(String::from_utf8_lossy(bytes).trim().as_bytes());
        match finished.exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(3) => Err(Failure::new(
                FailureKind::RunnerUnusable,
                format!("{name} has neither sha256sum nor openssl, so a pushed runner can't be verified there"),
            )),
            Exit::Code(4) => Err(Failure::new(
                FailureKind::ArtifactCorrupt,
                format!("the runner arrived on {name} with sha256 {}, not {sha256}", says(&finished.stdout)),
            )),
            exit => Err(Failure::new(
                classify(&String::from_utf8_lossy(&finished.stderr), ErrorKind::File).into(),
                format!("failed to install the runner on {name}: {exit}: {}", says(&finished.stderr)),
            )),
        }
    }
}
