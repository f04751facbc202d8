use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::{Hello, MAX_LINE_BYTES, PROTOCOL_VERSION};
use tokio::io::AsyncSeekExt as _;

use crate::domain::{ArtifactRef, Device, DeviceFacts, Failure, FailureKind, Timeouts};
use crate::transport::{Command, ConnectOptions, ErrorKind, Exit, Transport, connect, run_collect};

use super::{classify, lines, run_checked, target_of_machine, transport_failure};

/// Prepares the workdir and says in one round trip what a host must know before it has a runner there. `$1` is the
/// workdir as declared.
const PROBE_SCRIPT: &str = r#"
case $1 in
'~') dir=$HOME ;;
'~/'*) dir=$HOME/${1#'~/'} ;;
/*) dir=$1 ;;
*) dir=$HOME/$1 ;;
esac
mkdir -p "$dir/bin" "$dir/partial" "$dir/store" "$dir/runs" || exit 1
cd "$dir" || exit 1
printf 'workdir %s\n' "$PWD"
printf 'system %s\n' "$(uname -s)"
printf 'machine %s\n' "$(uname -m)"
for file in bin/* partial/*; do
  [ -f "$file" ] && printf 'file %s %s\n' "$(($(wc -c < "$file")))" "$file"
done
exit 0
"#;

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

/// Where bring-up gets the runner from.
#[async_trait]
pub trait RunnerProvider: Send + Sync {
    /// The runner for a target, built now when it has to be.
    async fn runner(&self, target: &str) -> Result<RunnerFile, Failure>;
}

/// What bring-up works with.
pub struct BringUp<'a> {
    /// How to connect.
    pub options: &'a ConnectOptions,
    /// How long steps may take.
    pub timeouts: &'a Timeouts,
    /// Where the runner comes from.
    pub runners: &'a dyn RunnerProvider,
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
    /// SHA-256 of the runner that answers there.
    pub runner_sha256: String,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) timeouts: Timeouts,
    pub(super) connect_options: ConnectOptions,
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
}

/// What a device says before a runner is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProbe {
    /// Absolute path of its workdir.
    pub workdir: String,
    /// `uname -s`.
    pub system: String,
    /// `uname -m`.
    pub machine: String,
    files: Vec<(String, u64)>,
}

impl DeviceProbe {
    fn size_of(&self, path: &str) -> Option<u64> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, size_bytes)| *size_bytes)
    }

    fn parse(text: &str) -> Result<DeviceProbe, String> {
        let mut probe =
            DeviceProbe { workdir: String::new(), system: String::new(), machine: String::new(), files: Vec::new() };
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("workdir", path)) => probe.workdir = path.to_owned(),
                Some(("system", name)) => probe.system = name.to_owned(),
                Some(("machine", name)) => probe.machine = name.to_owned(),
                Some(("file", rest)) => {
                    let (size, path) = rest.split_once(' ').ok_or_else(|| line.to_owned())?;
                    probe.files.push((path.to_owned(), size.parse().map_err(|_| line.to_owned())?));
                }
                // A login shell may greet before the script runs.
                _ => {}
            }
        }
        if probe.workdir.starts_with('/') && !probe.machine.is_empty() { Ok(probe) } else { Err(text.to_owned()) }
    }
}

/// Connects to a device and asks what can be asked without a runner.
///
/// # Errors
/// When it can't be reached, or its workdir can't be made.
pub async fn connect_and_probe(
    device: &Device,
    options: &ConnectOptions,
    timeouts: &Timeouts,
) -> Result<(Arc<dyn Transport>, DeviceProbe), Failure> {
    let options = ConnectOptions { connect_timeout: timeouts.connect(), ..options.clone() };
    let transport = connect(&device.transport, &options)
        .await
        .map_err(|error| transport_failure(&device.name, "connect", &error))?;
    let argv = ["sh", "-c", PROBE_SCRIPT, "sh", &device.workdir].map(str::to_owned).to_vec();
    let output = run_checked(transport.as_ref(), argv, timeouts.bring_up())
        .await
        .map_err(|error| transport_failure(&device.name, &format!("prepare the workdir {}", device.workdir), &error))?;
    let probe = DeviceProbe::parse(&String::from_utf8_lossy(&output)).map_err(|text| {
        Failure::new(
            FailureKind::TransportProtocol,
            format!("failed to probe {}: its shell answered {}", device.name, lines::excerpt(text.as_bytes())),
        )
    })?;
    Ok((transport, probe))
}

impl Session {
    /// Connects, chooses and pushes the runner, and lets it speak. Two round trips when the runner is there already.
    ///
    /// # Errors
    /// When any of that fails; the failure's kind tells whose fault it is.
    pub async fn bring_up(device: &Device, mut with: BringUp<'_>) -> Result<Session, Failure> {
        const TRIES: u32 = 3;
        let mut tries = 1;
        loop {
            match Session::bring_up_once(device, &mut with).await {
                // The push of the runner goes on where it broke off.
                Err(failure) if failure.kind == FailureKind::ConnectionLost && tries < TRIES => {
                    tracing::warn!(device = %device.name, %failure, "trying to bring it up again");
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn bring_up_once(device: &Device, with: &mut BringUp<'_>) -> Result<Session, Failure> {
        let (transport, probe) = connect_and_probe(device, with.options, with.timeouts).await?;
        let target = target_of_machine(&probe.system, &probe.machine).ok_or_else(|| {
            Failure::new(
                FailureKind::RunnerMissing,
                format!("no runner exists for {}, which is a {} {}", device.name, probe.system, probe.machine),
            )
        })?;
        let runner = with.runners.runner(target).await?;
        let sha256 = runner.artifact.sha256.clone();
        if probe.size_of(&format!("bin/{sha256}")) != Some(runner.artifact.size_bytes) {
            RunnerPush {
                device,
                transport: transport.as_ref(),
                probe: &probe,
                runner: &runner,
                timeouts: with.timeouts,
            }
            .push(with.pushing)
            .await?;
        }
        let hello = say_hello(device, transport.as_ref(), &probe.workdir, &sha256, with.timeouts).await?;
        Ok(Session {
            device: device.clone(),
            hello,
            workdir: probe.workdir,
            runner_sha256: sha256,
            transport,
            timeouts: *with.timeouts,
            connect_options: with.options.clone(),
        })
    }

    /// The device's facts as records keep them.
    pub fn facts(&self) -> DeviceFacts {
        DeviceFacts {
            target: self.hello.target.clone(),
            soc: self.hello.soc.clone(),
            os: self.hello.os.clone(),
            kernel: self.hello.kernel.clone(),
            boot_id: self.hello.boot_id.clone(),
            cpus: u32::try_from(self.hello.cpus.len()).unwrap_or(u32::MAX),
            memory_total_bytes: self.hello.memory_total_bytes,
        }
    }

    /// Ends the connection.
    pub async fn close(&self) {
        self.transport.close().await;
    }

    /// The runner's command line with these words and the workdir.
    pub(super) fn runner_argv(&self, words: &[&str]) -> Vec<String> {
        runner_argv(&self.workdir, &self.runner_sha256, words)
    }

    /// Makes the connection anew after it broke, trying until the sweep's limit for that has passed.
    ///
    /// # Errors
    /// The last try's failure, when the device did not come back in time; at once for a failure that time won't mend.
    pub async fn reconnect(&mut self) -> Result<(), Failure> {
        const FIRST_PAUSE: Duration = Duration::from_millis(250);
        const LONGEST_PAUSE: Duration = Duration::from_secs(5);
        let give_up_at = tokio::time::Instant::now() + self.timeouts.reconnect();
        let mut pause = FIRST_PAUSE;
        self.transport.close().await;
        loop {
            let failure = match self.reconnect_once().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.kind.may_retry() || tokio::time::Instant::now() + pause >= give_up_at {
                return Err(Failure::new(
                    failure.kind,
                    format!(
                        "{}; it did not come back within {} s (timeouts.reconnect_seconds)",
                        failure.message, self.timeouts.reconnect_seconds
                    ),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn reconnect_once(&mut self) -> Result<(), Failure> {
        let (transport, _) = connect_and_probe(&self.device, &self.connect_options, &self.timeouts).await?;
        let boot_id = self.hello.boot_id.clone();
        self.hello =
            say_hello(&self.device, transport.as_ref(), &self.workdir, &self.runner_sha256, &self.timeouts).await?;
        self.transport = transport;
        if boot_id != self.hello.boot_id {
            tracing::warn!(device = %self.device.name, "the device booted anew");
        }
        Ok(())
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
) -> Result<Hello, Failure> {
    let name = &device.name;
    let command = Command { argv: runner_argv(workdir, sha256, &["hello"]), deadline: timeouts.bring_up() };
    let finished = run_collect(transport, &command, b"", MAX_LINE_BYTES)
        .await
        .map_err(|error| transport_failure(name, "start the runner", &error))?;
    if !finished.exit.success() {
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        let kind = match classify(&stderr, ErrorKind::CommandNotFound) {
            // A program that may not be run there (noexec) is the workdir's fault, any other end the runner's.
            ErrorKind::CommandNotFound => FailureKind::RunnerUnusable,
            other => other.into(),
        };
        return Err(Failure::new(
            kind,
            format!("the runner on {name} ended with {}: {}", finished.exit, lines::excerpt(stderr.trim().as_bytes())),
        ));
    }
    let hello: Hello = serde_json::from_slice(&finished.stdout).map_err(|error| {
        Failure::new(
            FailureKind::RunnerProtocol,
            format!("the runner on {name} introduced itself with {} ({error})", lines::excerpt(&finished.stdout)),
        )
    })?;
    check_hello(name, sha256, hello)
}

/// Refuses a runner that is not the one that was pushed.
fn check_hello(name: &str, sha256: &str, hello: Hello) -> Result<Hello, Failure> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(Failure::new(
            FailureKind::RunnerProtocol,
            format!(
                "the runner on {name} speaks protocol {}, this farmctl {PROTOCOL_VERSION}: build it from the same source",
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

/// A runner on its way to a device.
struct RunnerPush<'a> {
    device: &'a Device,
    transport: &'a dyn Transport,
    probe: &'a DeviceProbe,
    runner: &'a RunnerFile,
    timeouts: &'a Timeouts,
}

impl RunnerPush<'_> {
    async fn push(&self, pushing: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_probe_is_read_past_a_greeting() {
        let text = "Welcome to board-1!\nworkdir /home/a b/farm\nsystem Linux\nmachine aarch64\nfile 12 bin/ab\n";
        let probe = DeviceProbe::parse(text).unwrap();
        assert_eq!((probe.workdir.as_str(), probe.machine.as_str()), ("/home/a b/farm", "aarch64"));
        assert_eq!(probe.size_of("bin/ab"), Some(12));
        assert_eq!(probe.size_of("partial/ab"), None);
    }

    #[test]
    fn half_a_probe_is_refused() {
        assert!(DeviceProbe::parse("machine x86_64\n").is_err());
        assert!(DeviceProbe::parse("workdir /a\nmachine m\nfile many bin/x\n").is_err());
        assert!(DeviceProbe::parse("workdir relative\nmachine m\n").is_err());
    }
}
