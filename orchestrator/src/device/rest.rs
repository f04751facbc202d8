use std::time::Duration;

use farmctl_protocol::{DeviceRest, MAX_SENSOR_NAME_BYTES};

use crate::domain::{Failure, FailureKind};

use super::{Session, lines, run_checked, transport_failure};

/// How long a device may take to say how hot it is.
const DEADLINE: Duration = Duration::from_secs(20);
/// Temperatures that are believed: no device that answers is colder or hotter.
const TEMPERATURES_C: std::ops::RangeInclusive<f64> = -100.0..=300.0;
/// Android's thermal service, where there is one, in its own time: it asks the vendor's.
const THERMAL_SCRIPT: &str = "dumpsys -t 10 thermalservice 2> /dev/null | head -c 65536; exit 0";
/// The highest of Android's thermal statuses: shutdown.
const HIGHEST_STATUS: u32 = 6;

impl Session {
    /// Whether the device is cool and quiet.
    ///
    /// # Errors
    /// When it does not answer, or its runner does not say.
    pub async fn rest(&self) -> Result<DeviceRest, Failure> {
        let name = &self.device.name;
        let printed = run_checked(self.transport.as_ref(), self.runner_argv(&["rest"]), DEADLINE)
            .await
            .map_err(|error| transport_failure(name, "ask how hot it is", &error))?;
        let rest = serde_json::from_slice(&printed).map_err(|error| {
            let answer = lines::excerpt(&printed);
            let message = format!("asked how hot it is, the runner on {name} answered {answer} ({error})");
            Failure::new(FailureKind::RunnerProtocol, message)
        })?;
        Ok(bounded(rest))
    }

    /// Android's thermal status, 0 being none; `None` where there is no such service, or it says nothing that is
    /// understood.
    ///
    /// # Errors
    /// When the device does not answer.
    pub async fn thermal_status(&self) -> Result<Option<u32>, Failure> {
        if self.android.is_none() {
            return Ok(None);
        }
        let argv = ["sh", "-c", THERMAL_SCRIPT].map(str::to_owned).to_vec();
        let printed = run_checked(self.transport.as_ref(), argv, DEADLINE)
            .await
            .map_err(|error| transport_failure(&self.device.name, "ask for the thermal status", &error))?;
        Ok(parse_thermal_status(&String::from_utf8_lossy(&printed)))
    }
}

/// What a device may say, with its texts cut; what can't be is taken for not told.
fn bounded(mut rest: DeviceRest) -> DeviceRest {
    rest.hottest = rest.hottest.filter(|hottest| TEMPERATURES_C.contains(&hottest.celsius));
    if let Some(hottest) = &mut rest.hottest {
        let mut end = hottest.sensor.len().min(MAX_SENSOR_NAME_BYTES);
        while !hottest.sensor.is_char_boundary(end) {
            end -= 1;
        }
        hottest.sensor.truncate(end);
    }
    rest
}

/// The first line that has the status. An override (`cmd thermalservice override-status`) counts as what it says.
fn parse_thermal_status(text: &str) -> Option<u32> {
    let told = text.lines().find_map(|line| line.trim().strip_prefix("Thermal Status:"))?;
    told.trim().parse().ok().filter(|status| *status <= HIGHEST_STATUS)
}

#[cfg(test)]
mod tests {
    use farmctl_protocol::Temperature;

    use super::*;

    #[test]
    fn the_thermal_status_is_read_from_what_the_service_dumps() {
        let dump = "IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 2\nThermalStatusListeners:\n\
                    \tcallbacks: 3\nThermal Status: 2\r\nCached temperatures:\n\
                    \tTemperature{mValue=39.5, mType=3, mName=skin, mStatus=0}\nHAL Ready: true\nThermal Status: 0\n";
        assert_eq!(parse_thermal_status(dump), Some(2));
        assert_eq!(parse_thermal_status("Thermal Status: 0\n"), Some(0));
        for hostile in [
            "",
            "Can't find service: thermalservice\n",
            "Thermal Status:\n",
            "Thermal Status: -1\n",
            "Thermal Status: 7\n",
            "Thermal Status: 99999999999999999999\n",
            "Thermal Status: 0; reboot\n",
            "mThermal Status: 0\u{0}\n",
        ] {
            assert_eq!(parse_thermal_status(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn what_no_device_has_is_not_believed() {
        let told = |sensor: &str, celsius| {
            let hottest = Some(Temperature { sensor: sensor.to_owned(), celsius });
            bounded(DeviceRest { hottest, ..DeviceRest::default() }).hottest
        };
        assert_eq!(told("cpu", 61.5).map(|it| it.celsius), Some(61.5));
        assert_eq!((told("cpu", 1e9), told("cpu", -300.0)), (None, None));
        assert!(told(&"ä".repeat(10_000), 40.0).is_some_and(|it| it.sensor.len() <= MAX_SENSOR_NAME_BYTES));
    }
}
