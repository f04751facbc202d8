use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncSeekExt;
use tokio::time::Instant;

use crate::domain::{ArtifactRef, Failure, FailureKind};

use super::bring_up::Session;
use super::clean::Trimmed;
use super::{run_checked, transport_failure};

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
        self.hello
            .store
            .partial
            .iter()
            .find(|file| file.sha256 == artifact.sha256 && file.size_bytes <= artifact.size_bytes)
            .map_or(0, |file| file.size_bytes)
    }

    /// Puts a file of this host into the device's store, and has the device verify it there. Goes on where an earlier
    /// push broke off; when what was there turns out to be something else, starts over once. Where other files must leave
    /// for it, those in `keep` stay.
    ///
    /// # Errors
    /// When there is no space, the connection breaks, no byte moves for the sweep's limit, or the content does not arrive whole.
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
        if let Err(failure) = self.send_and_commit(source, artifact, resumed_bytes, progress).await {
            // A command that was cut off may have written on after the device had told what it has.
            let may_be_other = matches!(failure.kind, FailureKind::ArtifactCorrupt | FailureKind::TransportProtocol);
            if !may_be_other || resumed_bytes == 0 {
                return Err(failure);
            }
            tracing::warn!(device = %self.device.name, %failure, "what it had was not a part of this file: pushing all of it");
            self.send_and_commit(source, artifact, 0, progress).await?;
            sent_bytes += artifact.size_bytes;
        }
        self.hello.store.partial.retain(|file| file.sha256 != artifact.sha256);
        self.hello
            .store
            .files
            .push(farmctl_protocol::StoreFile { sha256: artifact.sha256.clone(), size_bytes: artifact.size_bytes });
        self.hello.store.free_bytes = self.hello.store.free_bytes.saturating_sub(sent_bytes);
        Ok(Pushed { resumed_bytes, sent_bytes, duration: started.elapsed(), trimmed })
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
        let unreadable = |error: std::io::Error| {
            Failure::new(FailureKind::ArtifactUnavailable, format!("failed to read {}: {error}", source.display()))
        };
        let mut file = tokio::fs::File::open(source).await.map_err(unreadable)?;
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(unreadable)?;
        let path = format!("{}/partial/{}", self.workdir, artifact.sha256);
        self.transport
            .write(&path, offset, &mut file, self.timeouts.push_stall(), &mut |sent| progress(offset + sent))
            .await
            .map_err(|error| transport_failure(&self.device.name, &format!("push {}", source.display()), &error))?;
        self.commit(artifact).await
    }

    /// Has the device check a pushed file against its hash and give it its place.
    async fn commit(&self, artifact: &ArtifactRef) -> Result<(), Failure> {
        let argv = self.runner_argv(&["store", "commit", &artifact.sha256, &artifact.size_bytes.to_string()]);
        match run_checked(self.transport.as_ref(), argv, self.timeouts.bring_up()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut failure = transport_failure(&self.device.name, "verify a pushed file", &error);
                // The runner's only other complaint about a file that could be written is its content.
                if failure.kind == FailureKind::WorkdirUnusable && error.message.contains("sha256") {
                    failure.kind = FailureKind::ArtifactCorrupt;
                }
                Err(failure)
            }
        }
    }
}
