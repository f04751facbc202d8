use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::Hello;
use tokio::time::Instant;

use crate::domain::{AndroidFacts, Battery, Device, DeviceFacts, Failure, FailureKind, LabId, Timeouts, many};
use crate::transport::{Connect, Transport};

use super::hello::{Heard, Place, runner_argv, say_hello, tried_out};
use super::machine::MachineIdentity;
use super::part::{PartFile, PartNames};
use super::probe::connect_and_probe;
use super::runner_choice::ReadyRunner;
use super::runner_push::RunnerFile;
use super::target_of_machine;

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
    pub(super) runner: RunnerFile,
    /// Other runners that are there.
    pub(super) ready: Vec<ReadyRunner>,
    /// Whether an engine that the runner carries counts as it is, whichever version that is.
    pub(super) takes_any_version: bool,
    /// Whether it did not come back within the time that it has for that.
    pub(super) is_gone: bool,
    /// Since when it is looked for; `None` while it is there.
    lost_at: Option<Instant>,
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
            ready: Vec::new(),
            takes_any_version: false,
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
                        "{}; it did not come back within {} s (timeouts.reconnect_seconds), looked for {}",
                        failure.message,
                        self.timeouts.reconnect_seconds,
                        many(u64::from(looks), "time")
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
        let machine = MachineIdentity::of(&probe);
        if let Some(failure) = self.machine.swapped(&machine, &self.device.name) {
            transport.close().await;
            return Err(failure);
        }
        let (device, timeouts, parts) = (&self.device, &self.timeouts, &self.parts);
        let place = Place { device, transport: transport.as_ref(), probe: &probe, timeouts, parts };
        let (hello, heard) = place.answer(&self.runner, &mut |_, _| {}).await?;
        self.heard = heard;
        let boot_id = std::mem::replace(&mut self.hello, hello).boot_id;
        // Only of this one it is known that it is there.
        self.ready.clear();
        self.partial = probe.partial_files();
        (self.machine, self.is_booting) = (machine, probe.is_booting);
        // A boot may have brought another system.
        (self.workdir, self.android) = (probe.workdir, probe.android);
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
