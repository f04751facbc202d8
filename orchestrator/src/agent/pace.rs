//! How fast a device is before its runs, held against how fast it usually is: before hours are spent on one that is
//! slow.

use crate::device::Session;
use crate::domain::{CheckFigures, Device, EventKind, Pace};

use super::events::Subject;
use super::verdict::{Baseline, CHECKS_LOOKED_AT, computes_slower};
use super::{Agent, AgentError, AgentMode};

/// Times the calibration kernel, keeps it in the device's history, and warns of a device that is slower than usual.
/// `None` where it can't be timed now: a run is under way there, or it does not answer, which others find out.
///
/// # Errors
/// When the store can't be read.
pub(super) async fn measure(agent: &Agent, device: &Device, session: &Session) -> Result<Option<Pace>, AgentError> {
    if agent.assignment.mode != AgentMode::Jobs || session.hello.running.is_some() {
        return Ok(None);
    }
    let calibration = match session.calibrate().await {
        Ok(calibration) => calibration,
        Err(failure) => {
            tracing::warn!(device = %device.name, %failure, "how fast it is is not known");
            return Ok(None);
        }
    };
    let (store, target) = (&agent.store, session.hello.target.clone());
    let checks = store.device_checks(&device.name, CHECKS_LOOKED_AT)?;
    let mut past: Vec<CheckFigures> = checks.into_iter().map(|past| past.check.figures).collect();
    past.extend(store.device_paces(&device.name, CHECKS_LOOKED_AT)?.iter().map(Pace::figures));
    let mut pace = Pace { target, calibration, usual_compute_ns: None };
    let baseline = Baseline::of(&pace.figures(), &past);
    pace.usual_compute_ns = baseline.compute_ns;
    let kind = EventKind::DeviceCalibrated(Box::new(pace.clone()));
    agent.events.emit(Subject::device(&device.name), kind).await;
    // Memory is shared with whatever else runs: a check may tell of it, a warning of each sweep would not be read.
    if let Some(finding) = computes_slower(&pace.calibration, &baseline) {
        let kind = EventKind::DeviceWarning { message: finding.to_string() };
        agent.events.emit(Subject::device(&device.name), kind).await;
    }
    Ok(Some(pace))
}
