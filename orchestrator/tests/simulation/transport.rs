//! The way to a simulated device, and all that can go wrong on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use farmctl::domain::TransportConfig;
use farmctl::transport::{
    Capabilities, Command, Connect, ErrorKind, Exit, FileStat, OutputSink, Transport, TransportError,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

use super::device::{CommandOutput, Followed, Nature, SimDevice};

/// How much goes wrong: times in a thousand operations.
#[derive(Debug, Clone, Copy)]
pub struct Harshness {
    /// Faults of every kind.
    pub faults: u64,
    /// Bad moments: the connection is cut, and for seconds the device refuses something to who comes back.
    pub moments: u64,
}

/// What a device may refuse for a moment: before it ever let anybody in, and after.
const PASSING: [ErrorKind; 4] =
    [ErrorKind::NameUnavailable, ErrorKind::LoginClosed, ErrorKind::ConnectionLost, ErrorKind::HostKeyChanged];
const REFUSALS: [ErrorKind; 13] = [
    ErrorKind::NameUnavailable,
    ErrorKind::LoginClosed,
    ErrorKind::ConnectionLost,
    ErrorKind::HostKeyChanged,
    ErrorKind::NameUnknown,
    ErrorKind::LoginRefused,
    ErrorKind::LoginRunsNothing,
    ErrorKind::HostKeyUnknown,
    ErrorKind::Unreachable,
    ErrorKind::Refused,
    ErrorKind::Protocol,
    ErrorKind::File,
    ErrorKind::Timeout,
];

/// The devices, as one host reaches them.
pub struct SimFarm {
    pub devices: HashMap<String, Arc<SimDevice>>,
    pub harshness: Harshness,
}

#[async_trait]
impl Connect for SimFarm {
    async fn connect(&self, config: &TransportConfig, timeout: Duration) -> Result<Arc<dyn Transport>, TransportError> {
        let TransportConfig::Ssh(endpoint) = config else { panic!("a simulated device is reached by ssh") };
        let device = Arc::clone(&self.devices[&endpoint.host]);
        let (is_dark, wait, refuses) = {
            let mut state = device.state();
            let is_dark = state.dark_until.is_some_and(|until| until > Instant::now());
            (is_dark, state.chance.millis(1, 300), state.chance.happens(self.harshness.faults / 4))
        };
        if is_dark || device.nature == Nature::Dead {
            tokio::time::sleep(timeout).await;
            return Err(TransportError::new(ErrorKind::Unreachable, "no answer"));
        }
        tokio::time::sleep(wait).await;
        device.world.took(&device.name, wait);
        if let Some(kind) = self.bad_moment(&device) {
            return Err(TransportError::new(kind, "a bad moment"));
        }
        if refuses {
            return Err(TransportError::new(ErrorKind::Refused, "nothing listens"));
        }
        let boot = {
            let mut state = device.state();
            state.has_answered = true;
            state.boot
        };
        let harshness = self.harshness;
        Ok(Arc::new(SimTransport { device, boot, is_closed: AtomicBool::new(false), harshness }))
    }
}

impl SimFarm {
    /// What the device refuses now; such a moment may begin here.
    fn bad_moment(&self, device: &SimDevice) -> Option<ErrorKind> {
        let mut state = device.state();
        let now = Instant::now();
        match state.bad_moment {
            Some((until, kind)) if until > now => return Some(kind),
            // Who has waited for its end gets in.
            Some(_) => {
                state.bad_moment = None;
                return None;
            }
            None => {}
        }
        if !state.chance.happens(self.harshness.moments) {
            return None;
        }
        let kinds: &[ErrorKind] = if state.has_answered { &REFUSALS } else { &PASSING };
        let (kind, lasts) = (state.chance.pick(kinds), state.chance.millis(100, 5_000));
        state.bad_moment = Some((now + lasts, kind));
        Some(kind)
    }
}

/// What goes wrong in one operation.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The connection breaks before anything is done.
    CutBefore,
    /// The connection breaks once it is done.
    CutAfter,
    /// The connection breaks after so long, if the operation takes that long.
    CutAt(Duration),
    /// Nothing comes any more after so long, until the deadline.
    StallAt(Duration),
    /// What comes is no protocol.
    Garbage,
    /// A line comes twice.
    Twice,
    /// There is no space.
    DiskFull,
    /// The device boots anew.
    Reboot(Duration),
    /// Something ends the supervisor.
    Kill(Duration),
}

struct SimTransport {
    device: Arc<SimDevice>,
    boot: u64,
    is_closed: AtomicBool,
    harshness: Harshness,
}

impl SimTransport {
    fn fault(&self) -> Fault {
        let mut state = self.device.state();
        if state.chance.happens(self.harshness.moments) {
            let (kind, lasts) = (state.chance.pick(&REFUSALS), state.chance.millis(100, 5_000));
            state.bad_moment = Some((Instant::now() + lasts, kind));
            return Fault::CutAt(state.chance.millis(1, 9_000));
        }
        if !state.chance.happens(self.harshness.faults) {
            return Fault::None;
        }
        let soon = state.chance.millis(1, 9_000);
        match state.chance.below(10) {
            0 => Fault::CutBefore,
            1 => Fault::CutAfter,
            2 | 3 => Fault::CutAt(soon),
            4 => Fault::StallAt(soon),
            5 => Fault::Garbage,
            6 => Fault::Twice,
            7 => Fault::DiskFull,
            8 => Fault::Reboot(soon),
            _ => Fault::Kill(soon),
        }
    }

    fn cut(&self) -> TransportError {
        self.is_closed.store(true, Ordering::Relaxed);
        let mut state = self.device.state();
        // A bad moment says itself how long it lasts, and a cable that is out may stay out for longer than is waited.
        if self.harshness.moments == 0 && state.chance.happens(300) {
            let dark = state.chance.millis(100, 60_000);
            state.dark_until = Some(Instant::now() + dark);
        }
        TransportError::new(ErrorKind::ConnectionLost, "the cable is out")
    }

    fn check(&self) -> Result<(), TransportError> {
        let (boot, dark_until) = {
            let state = self.device.state();
            (state.boot, state.dark_until)
        };
        if self.is_closed() || boot != self.boot || dark_until.is_some_and(|until| until > Instant::now()) {
            self.is_closed.store(true, Ordering::Relaxed);
            return Err(TransportError::new(ErrorKind::ConnectionLost, "the connection is gone"));
        }
        Ok(())
    }

    /// Waits until `moment`, unless something happens before.
    async fn until(
        &self,
        moment: Instant,
        begun: Instant,
        fault: &mut Fault,
        deadline: Instant,
    ) -> Result<(), TransportError> {
        let strikes_at = match *fault {
            Fault::CutAt(after) | Fault::StallAt(after) | Fault::Reboot(after) | Fault::Kill(after) => {
                Some(begun + after)
            }
            _ => None,
        };
        if let Some(strikes_at) = strikes_at.filter(|at| *at < moment) {
            tokio::time::sleep_until(strikes_at.min(deadline)).await;
            match std::mem::replace(fault, Fault::None) {
                Fault::CutAt(_) => return Err(self.cut()),
                Fault::StallAt(_) => {
                    tokio::time::sleep_until(deadline).await;
                    return Err(TransportError::new(ErrorKind::Timeout, "nothing came any more"));
                }
                Fault::Reboot(_) => {
                    self.device.reboot();
                    return Err(self.cut());
                }
                _ => self.device.kill_supervisor(),
            }
        }
        if moment > deadline {
            tokio::time::sleep_until(deadline).await;
            return Err(TransportError::new(ErrorKind::Timeout, "its deadline passed"));
        }
        tokio::time::sleep_until(moment).await;
        self.check()
    }

    async fn follow(
        &self,
        run: &str,
        mut offset: u64,
        mut fault: Fault,
        deadline: Instant,
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        let begun = Instant::now();
        loop {
            let (bytes, next) = match self.device.follow(run, offset) {
                Followed::Lines(bytes, next) => (bytes, next),
                Followed::Unknown => {
                    output.stderr(b"failed to follow: it is not known on this device").await?;
                    return Ok(Exit::Code(farmctl_protocol::exit::UNKNOWN_RUN));
                }
            };
            offset += bytes.len() as u64;
            match fault {
                Fault::Garbage if !bytes.is_empty() => output.stdout(b"{\"kind\":\"no such thing\"}\n").await?,
                Fault::Twice if !bytes.is_empty() => {
                    output.stdout(&bytes).await?;
                    output.stdout(&bytes).await?;
                    fault = Fault::None;
                }
                // A torn line: the rest never comes.
                Fault::CutAfter if bytes.len() > 3 => {
                    output.stdout(&bytes[..bytes.len() - 3]).await?;
                    return Err(self.cut());
                }
                _ => output.stdout(&bytes).await?,
            }
            match next {
                None => return Ok(Exit::Code(0)),
                Some(next) => self.until(next, begun, &mut fault, deadline).await?,
            }
        }
    }

    async fn answer(&self, answer: CommandOutput, output: &mut dyn OutputSink) -> Result<Exit, TransportError> {
        output.stdout(&answer.stdout).await?;
        output.stderr(answer.stderr.as_bytes()).await?;
        Ok(Exit::Code(answer.code))
    }
}

#[async_trait]
impl Transport for SimTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: false, resumes_writes: true }
    }

    async fn run(
        &self,
        command: &Command,
        stdin: &mut (dyn AsyncRead + Send + Unpin),
        output: &mut dyn OutputSink,
    ) -> Result<Exit, TransportError> {
        self.check()?;
        let begun = Instant::now();
        let deadline = begun + command.deadline;
        let mut fault = self.fault();
        if matches!(fault, Fault::CutBefore) {
            return Err(self.cut());
        }
        let latency = self.device.state().chance.millis(1, 60);
        self.until(begun + latency, begun, &mut fault, deadline).await?;
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            [program, "run", ..] => {
                let mut request = Vec::new();
                stdin.read_to_end(&mut request).await.unwrap();
                match self.device.start(program, &request) {
                    Ok(run) => self.follow(&run, 0, fault, deadline, output).await,
                    Err(answer) => self.answer(answer, output).await,
                }
            }
            [_, "follow", "--run", run, "--offset", offset, ..] => {
                self.follow(run, offset.parse().unwrap(), fault, deadline, output).await
            }
            _ => {
                let answer = self.device.command(&command.argv);
                match fault {
                    Fault::CutAfter => Err(self.cut()),
                    Fault::Garbage => {
                        output.stdout(b"\x1b[2J not what you think\n").await?;
                        Ok(Exit::Code(0))
                    }
                    _ => self.answer(answer, output).await,
                }
            }
        }
    }

    async fn write(
        &self,
        path: &str,
        offset: u64,
        source: &mut (dyn AsyncRead + Send + Unpin),
        stall: Duration,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), TransportError> {
        const CHUNK: usize = 512;
        self.check()?;
        let begun = Instant::now();
        let mut fault = self.fault();
        if matches!(fault, Fault::CutBefore) {
            return Err(self.cut());
        }
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).await.unwrap();
        let mut sent = 0;
        for chunk in bytes.chunks(CHUNK) {
            let pause = self.device.state().chance.millis(1, 400);
            self.device.world.took(&self.device.name, pause);
            self.until(Instant::now() + pause, begun, &mut fault, Instant::now() + stall).await?;
            if matches!(fault, Fault::DiskFull) {
                return Err(TransportError::new(ErrorKind::DiskFull, "no space left on device"));
            }
            // Now and then a bit is wrong.
            let mut chunk = chunk.to_vec();
            if matches!(fault, Fault::Garbage) {
                chunk[0] ^= 1;
            }
            let written = self.device.write(path, offset + sent, &chunk);
            written.map_err(|what| TransportError::new(ErrorKind::Protocol, what))?;
            sent += chunk.len() as u64;
            progress(sent);
            if matches!(fault, Fault::CutAfter) && sent > bytes.len() as u64 / 2 {
                return Err(self.cut());
            }
        }
        Ok(())
    }

    async fn read(&self, _: &str, _: u64, _: u64, _: Duration) -> Result<Vec<u8>, TransportError> {
        unreachable!("nothing is read by path")
    }

    async fn stat(&self, _: &str, _: Duration) -> Result<Option<FileStat>, TransportError> {
        unreachable!("nothing is looked up by path")
    }

    async fn rename(&self, _: &str, _: &str, _: Duration) -> Result<(), TransportError> {
        unreachable!("nothing is renamed by path")
    }

    async fn remove(&self, _: &str, _: Duration) -> Result<(), TransportError> {
        unreachable!("nothing is removed by path")
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}
