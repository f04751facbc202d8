use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::{Hello, MAX_LINE_BYTES, PROTOCOL_VERSION};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::{AndroidFacts, Battery, Device, DeviceFacts, Failure, FailureKind, LabId, Timeouts};
use crate::transport::{Command, Connect, ErrorKind, Transport, run_collect};

use super::bounds::cut;
use super::machine::MachineIdentity;
use super::part::{PartFile, PartNames};
use super::probe::{DeviceProbe, connect_and_probe};
use super::refusal::kind_of_exit;
use super::runner_push::{RunnerFile, RunnerPush};
use super::trial::{NotStarted, why_not_started};
use super::{lines, target_of_machine, transport_failure};

/// Where bring-up gets the runner from.
#[async_trait]
pub trait RunnerProvider: Send + Sync {
    /// The runner for a target, built now when it has to be.
    async fn runner(&self, target: &str) -> Result<RunnerFile, Failure>;
}

/// What bring-up works with.
pub struct BringUp<'a> {
    /// How to connect.
    pub connect: &'a Arc<dyn Connect>,
    /// How long steps may take.
    pub timeouts: &'a Timeouts,
    /// Where the runner comes from.
    pub runners: &'a dyn RunnerProvider,
    /// The lab, whose files on the device have names of their own while they are pushed.
    pub lab: &'a LabId,
    /// Told while the runner is pushed: bytes that are there, and its size.
    pub pushing: &'a mut (dyn FnMut(u64, u64) + Send),
}

/// A device that answered and whose runner speaks.
pub struct Session {
    /// The device as declared.
    pub device: Device,
    /// What it said of itself.
    pub hello: Hello,
    /// Absolute path of its workdir.
    pub workdir: String,
    /// What Android's properties say, on Android.
    pub android: Option<AndroidFacts>,
    /// When and how it said that.
    pub heard: Heard,
    /// Which machine it is.
    pub machine: MachineIdentity,
    /// Whether Android has not booted, though it was waited for.
    pub is_booting: bool,
    /// How it was powered when somebody asked, for its facts.
    pub battery: Option<Battery>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) timeouts: Timeouts,
    pub(super) connect: Arc<dyn Connect>,
    /// How files are called there while they are pushed.
    pub(super) parts: PartNames,
    /// Those that were there when the device was reached, with their sizes.
    pub(super) partial: Vec<PartFile>,
    /// The runner's file on this host: a device may lose it, for example below `/tmp` when it boots anew.
    runner: RunnerFile,
    /// Whether it did not come back within the time that it has for that.
    pub(super) is_gone: bool,
    /// Since when it is looked for; `None` while it is there.
    lost_at: Option<Instant>,
}

/// When a device said what it is.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// When its answer came.
    pub at: Instant,
    /// How far its clock was ahead of this host's (behind: negative), where that is more than the answer's way
    /// explains.
    pub clock_off_ms: Option<i64>,
}

impl Timeouts {
    pub(super) fn connect(&self) -> Duration {
        Duration::from_secs_f64(self.connect_seconds)
    }
    pub(super) fn bring_up(&self) -> Duration {
        Duration::from_secs_f64(self.bring_up_seconds)
    }
    pub(super) fn push_stall(&self) -> Duration {
        Duration::from_secs_f64(self.push_stall_seconds)
    }
    pub(super) fn reconnect(&self) -> Duration {
        Duration::from_secs_f64(self.reconnect_seconds)
    }
    pub(super) fn collect(&self) -> Duration {
        Duration::from_secs_f64(self.collect_seconds)
    }
}

impl Session {
    /// Connects, chooses and pushes the runner, and lets it speak. Two round trips when the runner is there already.
    ///
    /// # Errors
    /// When any of that fails; the failure's kind tells whose fault it is.
    pub async fn bring_up(device: &Device, mut with: BringUp<'_>) -> Result<Session, Failure> {
        const TRIES: u32 = 4;
        const FIRST_PAUSE: Duration = Duration::from_millis(250);
        let mut tries = 1;
        loop {
            match Session::bring_up_once(device, &mut with).await {
                // The push of the runner goes on where it broke off.
                Err(failure) if failure.kind == FailureKind::ConnectionLost && tries < TRIES => {
                    tracing::warn!(device = %device.name, %failure, "trying to bring it up again");
                    // A server that takes few logins at a time gets them one after the other.
                    tokio::time::sleep(FIRST_PAUSE * (1 << tries)).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn bring_up_once(device: &Device, with: &mut BringUp<'_>) -> Result<Session, Failure> {
        let (transport, probe) = connect_and_probe(device, with.connect.as_ref(), with.timeouts).await?;
        let target = target_of_machine(probe.machine()).map_err(|what| {
            Failure::new(FailureKind::RunnerMissing, format!("no runner exists for {}, which is {what}", device.name))
        })?;
        let runner = with.runners.runner(target).await?;
        let parts = PartNames::new(with.lab.as_str(), &device.name);
        let place =
            Place { device, transport: transport.as_ref(), probe: &probe, timeouts: with.timeouts, parts: &parts };
        let (hello, heard) = place.answer(&runner, with.pushing).await?;
        Ok(Session {
            device: device.clone(),
            hello,
            heard,
            partial: probe.partial_files(),
            machine: MachineIdentity::of(&probe),
            is_booting: probe.is_booting,
            parts,
            workdir: probe.workdir,
            android: probe.android,
            battery: None,
            transport,
            timeouts: *with.timeouts,
            connect: Arc::clone(with.connect),
            runner,
            is_gone: false,
            lost_at: None,
        })
    }

    /// SHA-256 of the runner that answers there.
    pub fn runner_sha256(&self) -> &str {
        &self.runner.artifact.sha256
    }

    /// The device's facts as records keep them.
    pub fn facts(&self) -> DeviceFacts {
        let android = self.android.as_ref();
        DeviceFacts {
            target: self.hello.target.clone(),
            // Android's kernels and system files say less than its properties.
            soc: android.and_then(|android| android.soc.clone()).or_else(|| self.hello.soc.clone()),
            os: android.map_or_else(|| self.hello.os.clone(), AndroidFacts::os),
            kernel: self.hello.kernel.clone(),
            boot_id: self.hello.boot_id.clone(),
            cpus: u32::try_from(self.hello.cpus.len()).unwrap_or(u32::MAX),
            memory_total_bytes: self.hello.memory_total_bytes,
            android: self.android.clone(),
            battery: self.battery.clone(),
            clock_off_ms: self.heard.clock_off_ms,
        }
    }

    /// The failure of a runner that ended without a word, with what the device has against it, if it has anything.
    pub(super) async fn tried_out(&self, failure: Failure) -> Failure {
        tried_out(failure, self.transport.as_ref(), &self.workdir, self.timeouts.bring_up()).await
    }

    /// The connection, for what needs no runner.
    pub fn transport(&self) -> &dyn Transport {
        self.transport.as_ref()
    }

    /// Ends the connection.
    pub async fn close(&self) {
        self.transport.close().await;
    }

    /// The runner's command line with these words and the workdir.
    pub(super) fn runner_argv(&self, words: &[&str]) -> Vec<String> {
        runner_argv(&self.workdir, self.runner_sha256(), words)
    }

    /// Makes the connection anew after it broke, trying until the sweep's limit for that has passed.
    ///
    /// # Errors
    /// The last try's failure, when the device did not come back in time, whatever it refused; at once for what is no
    /// refusal.
    pub async fn reconnect(&mut self) -> Result<(), Failure> {
        const FIRST_PAUSE: Duration = Duration::from_millis(250);
        const LONGEST_PAUSE: Duration = Duration::from_secs(5);
        let give_up_at = *self.lost_at.get_or_insert_with(Instant::now) + self.timeouts.reconnect();
        let mut pause = FIRST_PAUSE;
        let mut looks = 0_u32;
        self.transport.close().await;
        loop {
            let failure = match self.reconnect_once().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            looks += 1;
            if !failure.kind.may_pass() {
                self.is_gone = true;
                return Err(failure);
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.is_gone = true;
                return Err(Failure::new(
                    failure.kind,
                    format!(
                        "{}; it did not come back within {} s (timeouts.reconnect_seconds), looked for {looks} times",
                        failure.message, self.timeouts.reconnect_seconds
                    ),
                ));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Since when the device is looked for; `None` while it is there.
    pub fn lost_at(&self) -> Option<Instant> {
        self.lost_at
    }

    /// Makes the connection anew, with one try.
    ///
    /// # Errors
    /// When the device does not answer now.
    pub async fn reconnect_now(&mut self) -> Result<(), Failure> {
        self.transport.close().await;
        self.reconnect_once().await
    }

    async fn reconnect_once(&mut self) -> Result<(), Failure> {
        let (transport, probe) = connect_and_probe(&self.device, self.connect.as_ref(), &self.timeouts).await?;
        let (device, timeouts, parts) = (&self.device, &self.timeouts, &self.parts);
        let place = Place { device, transport: transport.as_ref(), probe: &probe, timeouts, parts };
        let (hello, heard) = place.answer(&self.runner, &mut |_, _| {}).await?;
        self.heard = heard;
        let boot_id = std::mem::replace(&mut self.hello, hello).boot_id;
        self.partial = probe.partial_files();
        (self.machine, self.is_booting) = (MachineIdentity::of(&probe), probe.is_booting);
        self.workdir = probe.workdir;
        self.transport = transport;
        (self.is_gone, self.lost_at) = (false, None);
        if boot_id != self.hello.boot_id {
            tracing::warn!(device = %self.device.name, "the device booted anew");
        }
        Ok(())
    }

    /// Lets the runner speak again, for what may have changed on the device.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        let (sha256, transport) = (self.runner_sha256(), self.transport.as_ref());
        (self.hello, self.heard) = say_hello(&self.device, transport, &self.workdir, sha256, &self.timeouts).await?;
        Ok(())
    }
}

/// A device that was reached, before its runner speaks.
struct Place<'a> {
    device: &'a Device,
    transport: &'a dyn Transport,
    probe: &'a DeviceProbe,
    timeouts: &'a Timeouts,
    parts: &'a PartNames,
}

impl Place<'_> {
    /// Lets the runner speak, after pushing it when it isn't there.
    async fn answer(
        &self,
        runner: &RunnerFile,
        pushing: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(Hello, Heard), Failure> {
        let Place { device, transport, probe, timeouts, parts } = *self;
        let sha256 = &runner.artifact.sha256;
        let push = RunnerPush { device, transport, probe, runner, timeouts, parts };
        if probe.size_of(&format!("bin/{sha256}")) != Some(runner.artifact.size_bytes) {
            push.push(pushing).await?;
        }
        match say_hello(device, transport, &probe.workdir, sha256, timeouts).await {
            // Its file rotted there, or came broken to a device that can't verify it.
            Err(failure) if failure.kind == FailureKind::ArtifactCorrupt => {
                tracing::warn!(device = %device.name, %failure, "pushing the runner anew");
                push.replace(pushing).await?;
                say_hello(device, transport, &probe.workdir, sha256, timeouts).await
            }
            answered => answered,
        }
    }
}

fn runner_argv(workdir: &str, sha256: &str, words: &[&str]) -> Vec<String> {
    let mut argv = vec![format!("{workdir}/bin/{sha256}")];
    argv.extend(words.iter().map(|&word| word.to_owned()));
    argv.extend(["--workdir".to_owned(), workdir.to_owned()]);
    argv
}

async fn say_hello(
    device: &Device,
    transport: &dyn Transport,
    workdir: &str,
    sha256: &str,
    timeouts: &Timeouts,
) -> Result<(Hello, Heard), Failure> {
    let name = &device.name;
    let command = Command { argv: runner_argv(workdir, sha256, &["hello"]), deadline: timeouts.bring_up() };
    let (asked_at, asked) = (Timestamp::now(), std::time::Instant::now());
    let tried_out = |failure| tried_out(failure, transport, workdir, timeouts.bring_up());
    let finished = match run_collect(transport, &command, b"", MAX_LINE_BYTES).await {
        Ok(finished) => finished,
        Err(error) => {
            let failure = transport_failure(name, "start the runner", &error);
            let may_be_place = error.kind == ErrorKind::CommandNotFound;
            return Err(if may_be_place { tried_out(failure).await } else { failure });
        }
    };
    if !finished.exit.success() {
        let said = lines::excerpt(String::from_utf8_lossy(&finished.stderr).trim().as_bytes());
        let failure = Failure::new(
            kind_of_exit(finished.exit),
            format!("the runner on {name} ended with {}: {said}", finished.exit),
        );
        // A runner's own code is its word; a shell's, or a signal, says nothing of why.
        let may_be_place = failure.kind == FailureKind::RunnerUnusable;
        return Err(if may_be_place { tried_out(failure).await } else { failure });
    }
    let hello: Hello = serde_json::from_slice(&finished.stdout).map_err(|error| {
        Failure::new(
            FailureKind::RunnerProtocol,
            format!("the runner on {name} introduced itself with {} ({error})", lines::excerpt(&finished.stdout)),
        )
    })?;
    let hello = cut(check_hello(name, sha256, hello)?);
    let clock_off_ms = clock_off_ms(hello.unix_ms, asked_at, asked.elapsed());
    Ok((hello, Heard { at: Instant::now(), clock_off_ms }))
}

/// How far a device's clock is ahead of this host's, when it is off for sure: it was read at some moment of the time
/// that the answer took.
fn clock_off_ms(unix_ms: u64, asked_at: Timestamp, took: Duration) -> Option<i64> {
    /// Clocks that nobody set to the second are no news.
    const ALLOWED_MS: u64 = 5_000;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let middle_ms = asked_at.as_millisecond().saturating_add_unsigned(took_ms / 2);
    let off_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX).saturating_sub(middle_ms);
    Some(off_ms).filter(|off_ms| off_ms.unsigned_abs() > took_ms.saturating_add(ALLOWED_MS))
}

/// The failure of a runner that did not start, with what the device has against it, if it has anything.
async fn tried_out(failure: Failure, transport: &dyn Transport, workdir: &str, deadline: Duration) -> Failure {
    match why_not_started(transport, workdir, deadline).await {
        Some(NotStarted { kind, what }) => Failure::new(kind, format!("{}; {what}", failure.message)),
        None => failure,
    }
}

/// Refuses a runner that is not the one that was pushed.
fn check_hello(name: &str, sha256: &str, hello: Hello) -> Result<Hello, Failure> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(Failure::new(
            FailureKind::RunnerProtocol,
            format!(
                "the runner on {name} speaks protocol {}, this farmctl {PROTOCOL_VERSION}: build it from the same \
                 source",
                hello.protocol
            ),
        ));
    }
    if hello.runner_sha256 != sha256 {
        return Err(Failure::new(
            FailureKind::ArtifactCorrupt,
            format!("the runner on {name} has sha256 {} by its own account, {sha256} was pushed", hello.runner_sha256),
        ));
    }
    Ok(hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_when_the_answers_way_does_not_explain_it() {
        let asked_at = Timestamp::from_millisecond(1_000_000).expect("a time");
        let off = |unix_ms, took_seconds| clock_off_ms(unix_ms, asked_at, Duration::from_secs(took_seconds));
        assert_eq!(off(1_000_000, 0), None);
        assert_eq!((off(1_005_000, 0), off(1_005_001, 0)), (None, Some(5_001)));
        assert_eq!(off(989_000, 0), Some(-11_000));
        assert_eq!(off(991_000, 10), None, "it may have been read on the way");
        assert_eq!(off(0, 2), Some(-1_001_000), "a phone that has just booted without a clock");
        assert_eq!(off(u64::MAX, 0), Some(i64::MAX - 1_000_000));
    }
}
