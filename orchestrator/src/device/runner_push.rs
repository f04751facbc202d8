use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncRead, AsyncSeekExt as _};
use tokio::sync::OnceCell;

use crate::domain::{ArtifactRef, Device, Failure, FailureKind, Timeouts};
use crate::transport::script::{PROLOGUE, REFUSED_FUNCTION, kind_of_exit};
use crate::transport::{Command, ErrorKind, Exit, Transport, run_collect};

use super::part::PartNames;
use super::probe::DeviceProbe;
use super::{lines, transport_failure};

/// Unpacks a pushed runner where it came packed (`$4` is `.gz`), verifies it where there is a tool for that, and gives
/// it its place. `$1` is its hash, `$2` the workdir, `$3` its name there. Exits with 4, after printing what it found,
/// when the file is another. Without a tool the runner is believed: the first that it is asked is its own hash.
const INSTALL_SCRIPT: &str = r#"
cd "$2" || exit 1
if [ -n "$4" ] && ! gzip -dc < "$3$4" > "$3"; then
  (refused "$3")
  code=$?
  rm -f "$3" "$3$4"
  case $code in 91|94) exit $code;; esac
  echo 'a file that gzip refuses'
  exit 4
fi
found=$1
if command -v sha256sum > /dev/null; then found=$(sha256sum < "$3"); found=${found%% *}
elif command -v openssl > /dev/null; then found=$(openssl dgst -sha256 < "$3"); found=${found##* }
fi
[ "$found" = "$1" ] || { rm -f "$3" "$3$4"; echo "sha256 $found"; exit 4; }
chmod 755 "$3" && mv -f "$3" "bin/$1" || refused "bin/$1"
[ -z "$4" ] || rm -f "$3$4"
"#;

/// What the script ends with when the file is another.
const ANOTHER_FILE: i32 = 4;

/// Ending of the packed runner's name on the device.
const PACKED_ENDING: &str = ".gz";

/// Half the time of gzip's usual level 6 for a runner of 30 MB (1.1 s against 2.4), and 3 % larger (8.8 MB, 8.5):
/// the first device waits for it, on any cable.
const PACKING: Compression = Compression::new(3);

/// A runner's file on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its content.
    pub artifact: ArtifactRef,
    /// Rust target it was built for.
    pub target: String,
    /// Its content packed by gzip, once the first device wants it.
    packed: Arc<OnceCell<Arc<[u8]>>>,
}

impl RunnerFile {
    /// A runner whose hash and size are known.
    pub fn new(path: PathBuf, artifact: ArtifactRef, target: String) -> RunnerFile {
        RunnerFile { path, artifact, target, packed: Arc::default() }
    }

    /// The file packed by gzip: once, however many devices and copies of this value ask.
    async fn packed(&self) -> Result<Arc<[u8]>, Failure> {
        let packed = self.packed.get_or_try_init(|| async {
            let bytes = tokio::fs::read(&self.path).await.map_err(|error| self.unreadable(&error))?;
            let pack = move || -> std::io::Result<Vec<u8>> {
                let mut encoder = GzEncoder::new(Vec::new(), PACKING);
                encoder.write_all(&bytes)?;
                encoder.finish()
            };
            let packed = tokio::task::spawn_blocking(pack).await.map_err(std::io::Error::other).flatten();
            packed.map(Arc::from).map_err(|error| self.unreadable(&error))
        });
        packed.await.cloned()
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        Failure::new(FailureKind::RunnerMissing, format!("failed to read {}: {error}", self.path.display()))
    }
}

/// What goes over the wire.
struct Payload {
    /// Its name on the device ends so.
    ending: &'static str,
    size_bytes: u64,
    /// Its bytes, where they are not the file's.
    packed: Option<Arc<[u8]>>,
}

/// A runner on its way to a device.
pub(super) struct RunnerPush<'a> {
    pub(super) device: &'a Device,
    pub(super) transport: &'a dyn Transport,
    pub(super) probe: &'a DeviceProbe,
    pub(super) runner: &'a RunnerFile,
    pub(super) timeouts: &'a Timeouts,
    pub(super) parts: &'a PartNames,
}

impl RunnerPush<'_> {
    /// Sends it, packed where the device can unpack, going on where an earlier push broke off, and has the device
    /// verify it. `pushing` is told the bytes that are there of those that have to be.
    pub(super) async fn push(&self, pushing: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Failure> {
        let payload = self.payload().await?;
        let have = self.probe.size_of(&self.part(&payload));
        self.push_from(have.filter(|have| *have <= payload.size_bytes).unwrap_or(0), &payload, pushing).await
    }

    /// Sends it again where what lies in its place says itself that it is something else.
    pub(super) async fn replace(&self, pushing: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Failure> {
        self.remove().await?;
        self.push_from(0, &self.payload().await?, pushing).await
    }

    async fn push_from(
        &self,
        mut offset: u64,
        payload: &Payload,
        pushing: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(), Failure> {
        loop {
            self.send(payload, offset, pushing).await?;
            match self.install(payload).await {
                // What was there from before may have been something else: all of it once more.
                Err(failure) if failure.kind == FailureKind::ArtifactCorrupt && offset > 0 => offset = 0,
                ended => return ended,
            }
        }
    }

    /// Its name on the device while it is being pushed.
    fn part(&self, payload: &Payload) -> String {
        format!("{}{}", self.parts.path(&self.runner.artifact.sha256), payload.ending)
    }

    async fn payload(&self) -> Result<Payload, Failure> {
        // Packing costs more than copying on this host itself.
        if self.transport.capabilities().is_local || !self.probe.unpacks_gzip {
            return Ok(Payload { ending: "", size_bytes: self.runner.artifact.size_bytes, packed: None });
        }
        let packed = self.runner.packed().await?;
        Ok(Payload { ending: PACKED_ENDING, size_bytes: packed.len() as u64, packed: Some(packed) })
    }

    async fn send(
        &self,
        payload: &Payload,
        offset: u64,
        pushing: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(), Failure> {
        let path = format!("{}/{}", self.probe.workdir, self.part(payload));
        let mut source: Box<dyn AsyncRead + Send + Unpin> = match &payload.packed {
            Some(packed) => {
                let mut bytes = Cursor::new(Arc::clone(packed));
                bytes.set_position(offset);
                Box::new(bytes)
            }
            None => {
                let opened = tokio::fs::File::open(&self.runner.path).await;
                let mut file = opened.map_err(|error| self.runner.unreadable(&error))?;
                let sought = file.seek(std::io::SeekFrom::Start(offset)).await;
                sought.map_err(|error| self.runner.unreadable(&error))?;
                Box::new(file)
            }
        };
        self.transport
            .write(&path, offset, &mut source, self.timeouts.push_stall(), &mut |sent| {
                pushing(offset + sent, payload.size_bytes);
            })
            .await
            .map_err(|error| transport_failure(&self.device.name, "push the runner", &error))
    }

    async fn install(&self, payload: &Payload) -> Result<(), Failure> {
        let (name, sha256) = (&self.device.name, &self.runner.artifact.sha256);
        let script = format!("{PROLOGUE}{REFUSED_FUNCTION}{INSTALL_SCRIPT}");
        let part = self.parts.path(sha256);
        let argv = ["sh", "-c", &script, "sh", sha256, &self.probe.workdir, &part, payload.ending];
        let command = Command { argv: argv.map(str::to_owned).to_vec(), deadline: self.timeouts.bring_up() };
        let finished = run_collect(self.transport, &command, b"", super::SHORT_OUTPUT_BYTES)
            .await
            .map_err(|error| transport_failure(name, "install the runner", &error))?;
        let says = |bytes: &[u8]| lines::excerpt(String::from_utf8_lossy(bytes).trim().as_bytes());
        match finished.exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(ANOTHER_FILE) => Err(Failure::new(
                FailureKind::ArtifactCorrupt,
                format!("the runner arrived on {name} as {}, not as sha256 {sha256}", says(&finished.stdout)),
            )),
            exit => Err(Failure::new(
                kind_of_exit(exit, ErrorKind::File).into(),
                format!("failed to install the runner on {name}: {exit}: {}", says(&finished.stderr)),
            )),
        }
    }

    /// Takes away what lies in the runner's place and is not it.
    async fn remove(&self) -> Result<(), Failure> {
        let path = format!("{}/bin/{}", self.probe.workdir, self.runner.artifact.sha256);
        let removed = self.transport.remove(&path, self.timeouts.bring_up()).await;
        removed.map_err(|error| transport_failure(&self.device.name, "remove a broken runner", &error))
    }
}
