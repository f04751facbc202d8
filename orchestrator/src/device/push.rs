use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncSeekExt as _;
use tokio::time::Instant;

use crate::domain::{ArtifactRef, Failure, FailureKind};
use crate::regular_file;

use super::bring_up::Session;
use super::clean::Trimmed;
use super::refusal::RunnerCommand;
use super::transport_failure;

/// Gives a part (`$1`) the name that the runner looks for (`$2`), and runs the runner. A part that is not there was
/// given its name before, and only the answer was lost.
const COMMIT_SCRIPT: &str = "[ ! -e \"$1\" ] || mv -f \"$1\" \"$2\" || exit; shift 2; exec \"$@\"";

/// Receives how many bytes of the file are on the device, those from before included.
pub type PushProgress<'a> = &'a mut (dyn FnMut(u64) + Send);

/// What a push cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that were there from a push that broke off.
    pub resumed_bytes: u64,
    /// Bytes that went over the wire.
    pub sent_bytes: u64,
    /// Time it took, verification included.
    pub duration: Duration,
    /// What had to leave for it, if anything had.
    pub trimmed: Option<Trimmed>,
}

impl Session {
    /// Whether the device has this file, whole and verified.
    pub fn has(&self, artifact: &ArtifactRef) -> bool {
        self.hello.store.files.iter().any(|file| file.sha256 == artifact.sha256)
    }

    /// Bytes of this file that the device has from a push that broke off.
    pub fn partial_bytes(&self, artifact: &ArtifactRef) -> u64 {
        let path = self.parts.path(&artifact.sha256);
        let part = self.partial.iter().find(|file| file.path == path && file.size_bytes <= artifact.size_bytes);
        part.map_or(0, |file| file.size_bytes)
    }

    /// Puts a file of this host into the device's store, and has the device verify it there. Goes on where an earlier
    /// push broke off; when what was there turns out to be something else, starts over once. Where other files must
    /// leave for it, those in `keep` stay.
    ///
    /// # Errors
    /// When there is no space, the connection breaks, no byte moves for the sweep's limit, the content does not arrive
    /// whole, or the file is not the one any more that the plan knows.
    pub async fn push(
        &mut self,
        source: &Path,
        artifact: &ArtifactRef,
        keep: &[&ArtifactRef],
        progress: PushProgress<'_>,
    ) -> Result<Pushed, Failure> {
        let started = Instant::now();
        let resumed_bytes = self.partial_bytes(artifact);
        let trimmed = self.make_room(artifact, keep, artifact.size_bytes - resumed_bytes).await?;
        self.check_space(artifact.size_bytes - resumed_bytes)?;
        let mut sent_bytes = artifact.size_bytes - resumed_bytes;
        let mut pushed = self.send_and_commit(source, artifact, resumed_bytes, progress).await;
        if let Err(failure) = &pushed
            && resumed_bytes > 0
            && may_be_other(failure.kind)
        {
            tracing::warn!(device = %self.device.name, %failure, "what it had was not a part of this file: pushing all \
                                                                  of it");
            sent_bytes += artifact.size_bytes;
            pushed = self.send_and_commit(source, artifact, 0, progress).await;
        }
        if let Err(failure) = pushed {
            return Err(self.not_pushed(source, artifact, failure).await);
        }
        self.forget_part(artifact);
        self.hello
            .store
            .files
            .push(farmctl_protocol::StoreFile { sha256: artifact.sha256.clone(), size_bytes: artifact.size_bytes });
        self.hello.store.free_bytes = self.hello.store.free_bytes.saturating_sub(sent_bytes);
        Ok(Pushed { resumed_bytes, sent_bytes, duration: started.elapsed(), trimmed })
    }

    /// Whose fault it is that a file did not arrive as it should.
    async fn not_pushed(&mut self, source: &Path, artifact: &ArtifactRef, failure: Failure) -> Failure {
        if failure.kind != FailureKind::ArtifactCorrupt {
            return failure;
        }
        // The runner has removed it.
        self.forget_part(artifact);
        match sha256_of(source).await {
            Ok(sha256) if sha256 == artifact.sha256 => failure,
            Ok(sha256) => changed(source, &format!("its content has sha256 {sha256}, not {}", artifact.sha256)),
            Err(error) => unreadable(source, &error),
        }
    }

    fn forget_part(&mut self, artifact: &ArtifactRef) {
        let path = self.parts.path(&artifact.sha256);
        self.partial.retain(|file| file.path != path);
    }

    fn check_space(&self, wanted_bytes: u64) -> Result<(), Failure> {
        let free_bytes = self.hello.store.free_bytes;
        let keep_bytes = self.device.limits.min_free_bytes.unwrap_or(0);
        if wanted_bytes.saturating_add(keep_bytes) <= free_bytes {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::DiskFull,
            format!(
                "failed to push {wanted_bytes} bytes to {}: {free_bytes} are free below {}, of which {keep_bytes} must \
                 stay free",
                self.device.name, self.workdir
            ),
        ))
    }

    async fn send_and_commit(
        &self,
        source: &Path,
        artifact: &ArtifactRef,
        offset: u64,
        progress: PushProgress<'_>,
    ) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unreadable(source, &error);
        let mut file = tokio::fs::File::open(source).await.map_err(failed)?;
        let size_bytes = file.metadata().await.map_err(failed)?.len();
        if size_bytes != artifact.size_bytes {
            return Err(changed(source, &format!("it has {size_bytes} bytes, not {}", artifact.size_bytes)));
        }
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(failed)?;
        let path = format!("{}/{}", self.workdir, self.parts.path(&artifact.sha256));
        self.transport
            .write(&path, offset, &mut file, self.timeouts.push_stall(), &mut |sent| progress(offset + sent))
            .await
            .map_err(|error| transport_failure(&self.device.name, &format!("push {}", source.display()), &error))?;
        self.commit(artifact).await
    }

    /// Has the device check a pushed file against its hash and give it its place.
    async fn commit(&self, artifact: &ArtifactRef) -> Result<(), Failure> {
        let Err(failure) = self.commit_once(artifact).await else { return Ok(()) };
        if !matches!(failure.kind, FailureKind::ArtifactCorrupt | FailureKind::WorkdirUnusable) {
            return Err(failure);
        }
        // Another lab that pushed the same file may have moved it away in that moment: then it is in its place.
        self.commit_once(artifact).await.map_err(|_| failure)
    }

    async fn commit_once(&self, artifact: &ArtifactRef) -> Result<(), Failure> {
        let (sha256, size_bytes) = (&artifact.sha256, artifact.size_bytes.to_string());
        let at = |path: &str| format!("{}/{path}", self.workdir);
        let (part, partial) = (at(&self.parts.path(sha256)), at(&format!("partial/{sha256}")));
        let words = self.runner_argv(&["store", "commit", sha256, &size_bytes]);
        let argv = ["sh", "-c", COMMIT_SCRIPT, "sh", &part, &partial].map(str::to_owned).into_iter().chain(words);
        let (argv, deadline) = (argv.collect(), self.timeouts.bring_up());
        let (device, transport) = (self.device.name.as_str(), self.transport());
        RunnerCommand { device, transport, argv, deadline, action: "verify a pushed file" }.run().await.map(drop)
    }
}

/// Whether a push that went on may have failed because of what the device had from before: a command that was cut off
/// may have written on, or have been cleaned away, after the device had told what it has.
fn may_be_other(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::ArtifactCorrupt | FailureKind::TransportProtocol | FailureKind::WorkdirUnusable)
}

fn unreadable(source: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureKind::ArtifactUnavailable, format!("failed to read {}: {error}", source.display()))
}

fn changed(source: &Path, how: &str) -> Failure {
    let what = format!("{} is another file than when the plan was made: {how}; start the sweep anew", source.display());
    Failure::new(FailureKind::ArtifactUnavailable, what)
}

async fn sha256_of(source: &Path) -> std::io::Result<String> {
    let source = source.to_owned();
    let read = tokio::task::spawn_blocking(move || regular_file::content(&source));
    Ok(read.await.map_err(std::io::Error::other)??.sha256)
}
