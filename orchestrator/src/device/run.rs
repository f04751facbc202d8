use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::{EngineSpec, Fence, Phase, exit};
use tokio::time::Instant;

use crate::domain::{Failure, FailureKind, Job, Measurement, RunId, TransportConfig};
use crate::transport::{Command, ErrorKind, Exit, OutputSink, Transport, TransportError};

use super::bring_up::Session;
use super::collect::{Collected, Collector, End};
use super::lines::{MessageDecoder, excerpt};
use super::refusal::{RunnerCommand, is_from_outside, kind_of_exit};
use super::{run_checked, transport_failure};

/// Most bytes of the runner's standard error that are kept.
const STDERR_BYTES: usize = 4096;

/// How often in a row a server may refuse to have a run followed, while it lets us in.
const MAX_REFUSALS: u32 = 3;

/// A run to be carried out.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// What to measure.
    pub job: &'a Job,
    /// The attempt.
    pub run_id: &'a RunId,
    /// Under which lease of the device.
    pub fence: &'a Fence,
    /// The program that is its engine, whose files are in the device's store; `None` for one that the runner carries.
    pub engine: Option<&'a EngineSpec>,
}

/// A run without a result, with what had been measured until then.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFailure {
    /// Why.
    pub failure: Failure,
    /// What had been measured.
    pub measurement: Measurement,
}

/// Ends a run on its device, while the session follows it.
pub struct Canceller {
    device: String,
    transport: Arc<dyn Transport>,
    argv: Vec<String>,
    deadline: Duration,
}

impl Canceller {
    /// Asks the device to end the run; its last message then says so.
    ///
    /// # Errors
    /// When the device can't be asked.
    pub async fn cancel(&self) -> Result<(), Failure> {
        let (transport, argv) = (self.transport.as_ref(), self.argv.clone());
        let command =
            RunnerCommand { device: &self.device, transport, argv, deadline: self.deadline, action: "cancel a run" };
        command.run().await.map(drop)
    }
}

/// What is told while a run goes on.
#[async_trait]
pub trait RunObserver: Send {
    /// The run entered a phase.
    async fn phase(&mut self, phase: Phase);

    /// The connection broke and is being made anew.
    async fn reconnecting(&mut self, cause: &str);
}

impl Session {
    /// Runs a job under this identifier and follows it to its end, through broken connections. The files of model and
    /// engine must be in the device's store. Calling it again with the same identifier never measures twice: the run is
    /// found and followed.
    ///
    /// # Errors
    /// When the run fails on the device, or is lost with it.
    pub async fn run(
        &mut self,
        order: Order<'_>,
        observer: &mut dyn RunObserver,
    ) -> Result<Collected, Box<RunFailure>> {
        let failed = |failure| Box::new(RunFailure { failure, measurement: Measurement::default() });
        let is_known = self.knows_run(order.run_id);
        // What goes on there already needs no order, nor what an order takes.
        let request = if is_known { Ok(Vec::new()) } else { self.request(order) }.map_err(failed)?;
        let mut follower = Follower {
            decoder: MessageDecoder::default(),
            collector: Collector::new(order.job),
            stderr: Vec::new(),
            fault: None,
            broke_off: false,
            observer,
        };
        let outcome = self.follow_to_end(order, (!is_known).then_some(request.as_slice()), &mut follower).await;
        let Follower { collector, broke_off, .. } = follower;
        let end = collector.end().cloned();
        let failure = match (outcome, end) {
            (Ok(()), Some(End::Finished)) => return Ok(collector.into_collected()),
            (_, Some(End::Failed(failure))) => {
                let mut failure = Failure::from(failure);
                failure.message = format!("on {}: {}", self.device.name, failure.message);
                if failure.kind == FailureKind::Killed && broke_off {
                    failure.message.push_str(self.went_with_connection());
                }
                failure
            }
            (Err(failure), _) => failure,
            (Ok(()), None) => Failure::new(FailureKind::Internal, "a run was followed to no end"),
        };
        // What was measured stands, whatever happened after it. Only a person's word is taken back with it.
        if collector.has_measured() && failure.kind != FailureKind::Cancelled {
            tracing::warn!(device = %self.device.name, %failure, "the run failed after it had been measured");
            // What was not followed to its end may go on, in the way of the next run.
            if collector.end().is_none()
                && !self.is_lost()
                && let Err(failure) = self.canceller(order.run_id).cancel().await
            {
                tracing::warn!(%failure, "a run could not be ended");
            }
            return Ok(collector.into_collected_despite(&failure));
        }
        Err(Box::new(RunFailure { failure, measurement: collector.into_unfinished() }))
    }

    /// What can end this run while it is being followed.
    pub fn canceller(&self, run_id: &RunId) -> Canceller {
        let argv = self.runner_argv(&["cancel", "--run", run_id.as_str()]);
        Canceller {
            device: self.device.name.clone(),
            transport: Arc::clone(&self.transport),
            argv,
            deadline: self.timeouts.bring_up(),
        }
    }

    /// Whether the device has a folder of this run, going on or ended, as of when the runner last spoke.
    pub fn knows_run(&self, run_id: &RunId) -> bool {
        self.hello.runs.iter().any(|run| run.run_id == run_id.0)
    }

    /// Time that the smallest command takes to the device and back.
    ///
    /// # Errors
    /// When the device does not answer.
    pub async fn round_trip(&self) -> Result<Duration, Failure> {
        let started = Instant::now();
        run_checked(self.transport.as_ref(), vec!["true".to_owned()], self.timeouts.bring_up())
            .await
            .map_err(|error| transport_failure(&self.device.name, "run `true`", &error))?;
        Ok(started.elapsed())
    }

    /// Whether the connection is broken.
    pub fn is_lost(&self) -> bool {
        self.is_gone || self.transport.is_closed()
    }

    /// Whether the device was waited for, and did not come back in time.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Makes the connection anew when it broke since the last job.
    ///
    /// # Errors
    /// When the device does not come back.
    pub async fn reconnect_if_lost(&mut self) -> Result<(), Failure> {
        if self.is_lost() { self.reconnect().await } else { Ok(()) }
    }

    async fn follow_to_end(
        &mut self,
        Order { job, run_id, .. }: Order<'_>,
        request: Option<&[u8]>,
        follower: &mut Follower<'_>,
    ) -> Result<(), Failure> {
        // The device ends the run by itself; what comes after that is starting, and sending the last messages.
        let give_up_at = Instant::now() + Duration::from_secs_f64(job.run_seconds) + self.timeouts.collect();
        let boot_id = self.hello.boot_id.clone();
        let mut refusals = 0;
        // Repeated until a message came: starting the same run again only follows it.
        loop {
            let consumed = follower.decoder.consumed_bytes();
            let offset = consumed.to_string();
            let (words, stdin): (&[&str], &[u8]) = match (consumed, request) {
                (0, Some(request)) => (&["run"], request),
                _ => (&["follow", "--run", run_id.as_str(), "--offset", &offset], b""),
            };
            let argv = self.runner_argv(words);
            let command = Command { argv, deadline: give_up_at.saturating_duration_since(Instant::now()) };
            let mut input = stdin;
            follower.decoder.restart();
            follower.stderr.clear();
            let result = self.transport.run(&command, &mut input, follower).await;
            if let Some(fault) = follower.fault.take() {
                return Err(self.protocol_failure(&fault));
            }
            if follower.collector.end().is_some() {
                return Ok(());
            }
            let ended = result.as_ref().ok().copied();
            let error = match result {
                // Whoever follows the run was ended, by a shutdown or for its memory. The run may go on.
                Ok(exit) if is_from_outside(exit) && refusals < MAX_REFUSALS => TransportError::new(
                    ErrorKind::Protocol,
                    format!("the command that follows the run on {} ended with {exit}", self.device.name),
                ),
                Ok(exit) => return Err(self.exit_failure(exit, &follower.stderr)),
                Err(error) => error,
            };
            // However it broke off: what goes on for longer is not followed again.
            if Instant::now() >= give_up_at {
                return Err(self.no_last_message(job));
            }
            let is_progress = follower.decoder.consumed_bytes() > consumed;
            refusals = if is_progress || error.kind == ErrorKind::ConnectionLost { 0 } else { refusals + 1 };
            let is_refusal = matches!(
                error.kind,
                ErrorKind::Protocol | ErrorKind::LoginRefused | ErrorKind::LoginRunsNothing | ErrorKind::LoginClosed
            );
            // A server that lets us in, and then refuses this one command again and again, does not mean us to have it.
            if error.kind != ErrorKind::ConnectionLost && !(is_refusal && refusals <= MAX_REFUSALS) {
                return Err(transport_failure(&self.device.name, "follow a run", &error));
            }
            follower.broke_off |= ended.is_none();
            follower.observer.reconnecting(&error.message).await;
            self.reconnect().await?;
            if boot_id.is_some() && self.hello.boot_id != boot_id {
                return Err(Failure::new(
                    FailureKind::Rebooted,
                    format!("{} booted anew while it measured", self.device.name),
                ));
            }
        }
    }

    /// What most likely ended a run whose connection broke in the same moment, without a boot.
    fn went_with_connection(&self) -> &'static str {
        match &self.device.transport {
            TransportConfig::Adb(_) => {
                "; the connection broke with it: adbd ended, and Android's init ends all that adbd has started"
            }
            TransportConfig::Ssh(_) => {
                "; the connection broke with it: the login ended, and took along what it had started (systemd-logind \
                 with KillUserProcesses=yes, or sshd stopped with its control group); on the device, as root, \
                 `loginctl enable-linger USER` lets it live on"
            }
            TransportConfig::Local => "",
        }
    }

    /// The runner ended without the run's last message.
    fn exit_failure(&self, code: Exit, stderr: &[u8]) -> Failure {
        let said = excerpt(String::from_utf8_lossy(stderr).trim().as_bytes());
        let name = &self.device.name;
        match code {
            Exit::Code(exit::BUSY) => Failure::new(FailureKind::Busy, format!("{name} is busy: {said}")),
            Exit::Code(exit::UNKNOWN_RUN) => {
                Failure::new(FailureKind::Lost, format!("the run is no longer known on {name}: {said}"))
            }
            Exit::Code(exit::FENCED) => Failure::new(FailureKind::Fenced, format!("{name} refuses: {said}")),
            Exit::Code(exit::PROTOCOL) => Failure::new(FailureKind::RunnerProtocol, format!("on {name}: {said}")),
            other => {
                let message = format!("the runner on {name} ended with {other} and no result: {said}");
                Failure::new(kind_of_exit(other), message)
            }
        }
    }

    fn no_last_message(&self, job: &Job) -> Failure {
        let message = format!(
            "the last message of the run on {} did not come within {} s (timeouts.run_seconds) and {} s for its way \
             (timeouts.collect_seconds)",
            self.device.name, job.run_seconds, self.timeouts.collect_seconds
        );
        Failure::new(FailureKind::Timeout, message)
    }

    fn protocol_failure(&self, fault: &str) -> Failure {
        Failure::new(FailureKind::RunnerProtocol, format!("on {}: {fault}", self.device.name))
    }
}

/// Reads the runner's output while it comes.
struct Follower<'a> {
    decoder: MessageDecoder,
    collector: Collector,
    stderr: Vec<u8>,
    /// What was wrong with the output: then the rest of it does not count.
    fault: Option<String>,
    /// Whether the connection broke while the run went on.
    broke_off: bool,
    observer: &'a mut dyn RunObserver,
}

#[async_trait]
impl OutputSink for Follower<'_> {
    async fn stdout(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let mut phases = Vec::new();
        let collector = &mut self.collector;
        let fed = self.decoder.feed(bytes, &mut |message| {
            phases.extend(collector.take(message)?);
            Ok(())
        });
        for phase in phases {
            self.observer.phase(phase).await;
        }
        fed.map_err(|fault| {
            self.fault = Some(fault.clone());
            TransportError::new(ErrorKind::Protocol, fault)
        })
    }

    async fn stderr(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.stderr.extend_from_slice(bytes);
        let excess = self.stderr.len().saturating_sub(STDERR_BYTES);
        self.stderr.drain(..excess);
        Ok(())
    }
}
