//! What the devices of a sweep did when.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::{Event, EventKind, Record};

/// What a device does for a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A file is sent to it.
    Push,
    /// It is given time to cool down.
    CoolDown,
    /// A job is under way.
    Run,
}

impl Work {
    /// All of it.
    pub const ALL: [Work; 3] = [Work::Push, Work::CoolDown, Work::Run];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Work::Push => "push",
            Work::CoolDown => "cool-down",
            Work::Run => "run",
        }
    }
}

/// A time in which a device did one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSpan {
    /// The device.
    pub device: String,
    /// What it did.
    pub work: Work,
    /// When that began.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
}

/// Makes spans of the events of a sweep, which it takes in their order.
#[derive(Debug, Default)]
pub struct SpanReader {
    current: HashMap<String, (Work, Timestamp)>,
    spans: Vec<DeviceSpan>,
}

impl SpanReader {
    /// Takes the next event.
    pub fn take(&mut self, event: &Event) {
        let Some(device) = &event.device else { return };
        let next = match &event.kind {
            EventKind::PushStarted { .. } => Some(Work::Push),
            EventKind::RunCooling { .. } => Some(Work::CoolDown),
            EventKind::RunStarted { .. } | EventKind::RunTakenOver { .. } | EventKind::RunPhase { .. } => {
                Some(Work::Run)
            }
            // What is pushed for a run is pushed within it; the runner's own file before any.
            EventKind::PushFinished { .. } => event.run_id.is_some().then_some(Work::Run),
            EventKind::RunFinished { .. }
            | EventKind::RunRequeued { .. }
            | EventKind::RunLeft { .. }
            | EventKind::DeviceReady { .. }
            | EventKind::DeviceFailed { .. }
            | EventKind::DeviceRetrying { .. }
            | EventKind::DeviceQuarantined { .. } => None,
            _ => return,
        };
        let current = self.current.get(device).copied();
        if current.map(|(work, _)| work) == next {
            return;
        }
        if let Some((work, from)) = current {
            self.spans.push(DeviceSpan { device: device.clone(), work, from, until: event.at });
        }
        match next {
            Some(work) => self.current.insert(device.clone(), (work, event.at)),
            None => self.current.remove(device),
        };
    }

    /// What was found; what is under way still has no end, and is none.
    pub fn finish(self) -> Vec<DeviceSpan> {
        self.spans
    }
}

/// What records alone tell: when their runs were.
pub(super) fn spans_of(records: &[Record]) -> Vec<DeviceSpan> {
    let span = |record: &Record| {
        let (device, until) = (record.job.device.clone(), record.finished_at);
        Some(DeviceSpan { device, work: Work::Run, from: record.started_at?, until })
    };
    records.iter().filter_map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RunId, RunStatus, sample};

    #[test]
    fn each_thing_that_a_device_does_is_a_span() {
        let mut reader = SpanReader::default();
        let mut at = 0;
        let mut happens = |device: &str, kind: EventKind| {
            at += 10;
            reader.take(&Event {
                at: sample::at(at),
                sweep_id: None,
                device: Some(device.into()),
                job_id: None,
                run_id: Some(RunId("r".into())),
                kind,
            });
        };
        let name = || "tiny".to_owned();
        let push = EventKind::PushStarted { name: name(), sha256: String::new(), size_bytes: 9, resumed_bytes: 0 };
        happens("a", EventKind::DeviceConnecting);
        happens("a", EventKind::RunStarted { name: name(), attempt: 1 });
        happens("a", push);
        happens("b", EventKind::RunStarted { name: name(), attempt: 1 });
        happens("a", EventKind::PushFinished { name: name(), sent_bytes: 9, duration_ns: 1 });
        let cooling = EventKind::RunCooling { celsius: None, goal_c: None, thermal_status: None, longest_ns: 1 };
        happens("a", cooling);
        happens("a", EventKind::RunPhase { phase: farmctl_protocol::Phase::Load });
        happens("a", EventKind::RunPhase { phase: farmctl_protocol::Phase::Measure });
        let (status, p50_ns, failure, judged) = (RunStatus::Ok, None, None, None);
        happens("a", EventKind::RunFinished { name: name(), status, p50_ns, failure, judged });
        let spans = reader.finish();
        let told: Vec<(Work, i64, i64)> = spans
            .iter()
            .map(|span| {
                (
                    span.work,
                    span.from.duration_since(sample::at(0)).as_secs(),
                    span.until.duration_since(sample::at(0)).as_secs(),
                )
            })
            .collect();
        let expected = [
            (Work::Run, 20, 30),
            (Work::Push, 30, 50),
            (Work::Run, 50, 60),
            (Work::CoolDown, 60, 70),
            (Work::Run, 70, 90),
        ];
        assert_eq!(told, expected);
        assert!(spans.iter().all(|span| span.device == "a"), "the run of b has not ended");
    }
}
