use std::time::Duration;

use farmctl_protocol::{Calibration, MAX_LINE_BYTES, exit};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::domain::{Failure, FailureKind};
use crate::transport::{Command, Exit, run_collect};

use super::refusal::kind_of_exit;
use super::{Session, lines, run_checked, transport_failure};

/// Bytes that are pushed to find out how fast that is: a second's worth on a slow way.
const SAMPLE_BYTES: u64 = 4 << 20;
/// How long the calibration kernel may take: a second on a slow board, some under an emulator.
const CALIBRATION_DEADLINE: Duration = Duration::from_secs(60);
/// Most sensors that are told of.
const MAX_SENSORS: usize = 64;
/// The kernel's thermal zones: type and temperature in thousandths of a degree.
const SENSORS_SCRIPT: &str = r#"
for zone in /sys/class/thermal/thermal_zone*; do
  read -r temp 2> /dev/null < "$zone/temp" && read -r type < "$zone/type" && echo "$temp $type"
done
exit 0
"#;

/// Whether the end of a login ends all that it has started: where systemd-logind is told to, and this login doesn't
/// linger. root is left out of that by default.
const LOGOUT_SCRIPT: &str = r#"
command -v loginctl > /dev/null 2>&1 || exit 0
[ "$(id -u)" != 0 ] && [ ! -e "/var/lib/systemd/linger/$(id -un)" ] || exit 0
manager=org.freedesktop.login1
told=$(busctl get-property $manager /org/freedesktop/login1 $manager.Manager KillUserProcesses 2> /dev/null)
[ "$told" = 'b true' ] && echo "ends $(id -un)"
exit 0
"#;

/// A thermal sensor that can be read.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ThermalSensor {
    /// The kernel's word for what it measures.
    pub name: String,
    /// What it says.
    pub temperature_c: f64,
}

impl Session {
    /// How many bytes a second a push brings over. What is pushed is removed again.
    ///
    /// # Errors
    /// When the device does not take it.
    pub async fn push_bytes_per_second(&self) -> Result<f64, Failure> {
        let failed = |action, error| transport_failure(&self.device.name, action, &error);
        let path = format!("{}/{}", self.workdir, self.parts.sample());
        // Bytes that no connection could pack.
        let noise: Vec<u8> = (0..SAMPLE_BYTES / 32)
            .flat_map(|number| <sha2::Sha256 as sha2::Digest>::digest(number.to_le_bytes()).to_vec())
            .collect();
        let started = Instant::now();
        let written =
            self.transport.write(&path, 0, &mut noise.as_slice().take(SAMPLE_BYTES), self.stall(), &mut |_| {}).await;
        let seconds = started.elapsed().as_secs_f64();
        let removed = self.transport.remove(&path, self.stall()).await;
        written.map_err(|error| failed("push a sample", error))?;
        removed.map_err(|error| failed("remove the sample", error))?;
        Ok(SAMPLE_BYTES as f64 / seconds)
    }

    /// The thermal sensors that the login may read; none where the kernel has none or shows none.
    ///
    /// # Errors
    /// When the device does not answer.
    pub async fn thermal_sensors(&self) -> Result<Vec<ThermalSensor>, Failure> {
        let argv = ["sh", "-c", SENSORS_SCRIPT].map(str::to_owned).to_vec();
        let printed = run_checked(self.transport.as_ref(), argv, self.stall())
            .await
            .map_err(|error| transport_failure(&self.device.name, "read thermal sensors", &error))?;
        Ok(parse_sensors(&String::from_utf8_lossy(&printed)))
    }

    /// Who is logged in there, where the end of the login ends a run, too.
    ///
    /// # Errors
    /// When the device does not answer.
    pub async fn user_without_lingering(&self) -> Result<Option<String>, Failure> {
        let argv = ["sh", "-c", LOGOUT_SCRIPT].map(str::to_owned).to_vec();
        let printed = run_checked(self.transport.as_ref(), argv, self.stall())
            .await
            .map_err(|error| transport_failure(&self.device.name, "ask what the end of a login ends", &error))?;
        let text = String::from_utf8_lossy(&printed).into_owned();
        let user = text.lines().find_map(|line| line.trim().strip_prefix("ends "));
        Ok(user.map(|user| user.chars().filter(|c| !c.is_control()).take(64).collect()))
    }

    /// How fast the device is right now.
    ///
    /// # Errors
    /// With [`FailureKind::Busy`] when a run is under way there, whoever ordered it; or when the device does not
    /// answer.
    pub async fn calibrate(&self) -> Result<Calibration, Failure> {
        let name = &self.device.name;
        let command = Command { argv: self.runner_argv(&["calibrate"]), deadline: CALIBRATION_DEADLINE };
        let finished = run_collect(self.transport.as_ref(), &command, b"", MAX_LINE_BYTES)
            .await
            .map_err(|error| transport_failure(name, "run the calibration kernel", &error))?;
        let said = || {
            let stderr = String::from_utf8_lossy(&finished.stderr);
            lines::excerpt(stderr.trim().as_bytes())
        };
        match finished.exit {
            Exit::Code(exit::OK) => {}
            Exit::Code(exit::BUSY) => {
                return Err(Failure::new(FailureKind::Busy, format!("{name} is busy: {}", said())));
            }
            other => {
                let message = format!("the calibration kernel on {name} ended with {other}: {}", said());
                let failure = Failure::new(kind_of_exit(other), message);
                return Err(match failure.kind {
                    // The runner spoke before: what ended it without a code of its own is not the file's fault.
                    FailureKind::RunnerUnusable => {
                        self.tried_out(Failure { kind: FailureKind::Crashed, ..failure }).await
                    }
                    FailureKind::OutOfMemory => self.tried_out(failure).await,
                    _ => failure,
                });
            }
        }
        serde_json::from_slice(&finished.stdout).map_err(|error| {
            let answer = lines::excerpt(&finished.stdout);
            let message = format!("the calibration kernel on {name} answered {answer} ({error})");
            Failure::new(FailureKind::RunnerProtocol, message)
        })
    }

    fn stall(&self) -> Duration {
        Duration::from_secs_f64(self.timeouts.push_stall_seconds)
    }
}

fn parse_sensors(text: &str) -> Vec<ThermalSensor> {
    let sensor = |line: &str| {
        let (temperature, name) = line.split_once(' ')?;
        let temperature_c = temperature.parse::<i32>().ok().map(|thousandths| f64::from(thousandths) / 1e3)?;
        let name = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
        Some(ThermalSensor { name, temperature_c })
    };
    text.lines().filter_map(sensor).take(MAX_SENSORS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_takes_its_processes_along_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        };
        let paths = [folder.path().to_owned(), "/usr/bin".into(), "/bin".into()];
        let path = std::env::join_paths(paths).expect("a path");
        let said = || {
            let argv = ["-c", LOGOUT_SCRIPT];
            let output = std::process::Command::new("sh").args(argv).env("PATH", &path).output().expect("sh runs");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        program("loginctl", "exit 0");
        program("id", "[ \"$1\" = -u ] && echo 1000 || echo nobody-in-particular");
        program("busctl", "echo b false");
        assert_eq!(said(), "");
        program("busctl", "echo b true");
        assert_eq!(said(), "ends nobody-in-particular\n");
    }

    #[test]
    fn sensors_are_what_the_kernel_says() {
        let sensors = parse_sensors("42350 cpu-thermal\nnone at all\n\n-5000 modem\n");
        let said: Vec<(&str, f64)> = sensors.iter().map(|it| (it.name.as_str(), it.temperature_c)).collect();
        assert_eq!(said, [("cpu-thermal", 42.35), ("modem", -5.0)]);
    }
}
