//! A run of a simulated device: what it will say and when, settled when it begins.

use std::time::Duration;

use farmctl_protocol::{Message, Output, PROTOCOL_VERSION, Phase, RunRequest, RunnerFailure, RunnerFailureKind};
use tokio::time::Instant;

use super::chance::Chance;
use super::world::World;

/// A model of this name fails to load, on every device, every time.
pub const BAD_MODEL_BYTES: u64 = 666;

/// A run that was started here.
#[derive(Debug, Clone)]
pub struct SimRun {
    pub lab: String,
    pub number: u64,
    /// Each line with when it is written.
    pub lines: Vec<(Instant, Vec<u8>)>,
    pub ends_at: Instant,
}

impl SimRun {
    pub fn new(
        request: &RunRequest,
        number: u64,
        boot_id: Option<String>,
        has_model: bool,
        chance: &mut Chance,
    ) -> SimRun {
        let mut at = Instant::now();
        let mut lines = Vec::new();
        let mut say = |at: Instant, message: &Message| {
            let mut line = serde_json::to_vec(message).unwrap();
            line.push(b'\n');
            lines.push((at, line));
        };
        let run_id = request.run_id.clone();
        say(at, &Message::Accepted { protocol: PROTOCOL_VERSION, run_id, pid: 7, boot_id, started_unix_ms: 0 });
        let failed = |failure: RunnerFailureKind| {
            Message::Failed(RunnerFailure {
                failure,
                message: format!("simulated: {failure}"),
                signal: None,
                exit_code: None,
                stderr_tail: vec!["last words".to_owned()],
            })
        };
        at += chance.millis(1, 400);
        if !has_model {
            say(at, &failed(RunnerFailureKind::ArtifactMissing));
        } else if request.job.model.size_bytes == BAD_MODEL_BYTES {
            say(at, &failed(RunnerFailureKind::ModelLoad));
        } else {
            say(at, &Message::Loaded { load_ns: 5, inputs: vec![], engine: None });
            at += chance.millis(1, 400);
            say(at, &Message::Phase { phase: Phase::Measure });
            at += chance.millis(500, 12_000);
            if chance.happens(5) {
                say(at, &failed(RunnerFailureKind::Crashed));
            } else {
                say(at, &Message::Samples { latencies_ns: World::samples(number) });
                let samples = World::samples(number).len() as u64;
                let (wall_ns, cpu_user_ns, cpu_system_ns, peak_rss_bytes) = (9, 9, 0, 1);
                let (cpus, threads) = (vec![0], 1);
                say(
                    at,
                    &Message::Measured {
                        samples,
                        wall_ns,
                        cpu_user_ns,
                        cpu_system_ns,
                        peak_rss_bytes,
                        cpus,
                        threads,
                        ended_by: None,
                    },
                );
                say(at, &Message::Output(Output::new("logits", &[1], 0, &[1.0])));
                say(at, &Message::Finished { finished_unix_ms: 0 });
            }
        }
        let deadline = Instant::now() + Duration::from_secs_f64(request.deadline_seconds);
        let mut run = SimRun { lab: request.fence.lab.clone(), number, lines, ends_at: at };
        if at > deadline {
            run.cut_off(deadline, RunnerFailureKind::Deadline);
        }
        run
    }

    /// The run ends now, with this as its last word.
    pub fn cut_off(&mut self, now: Instant, failure: RunnerFailureKind) {
        self.lines.retain(|(at, _)| *at <= now);
        let message = Message::Failed(RunnerFailure {
            failure,
            message: format!("simulated: run {} {failure}", self.number),
            signal: None,
            exit_code: None,
            stderr_tail: Vec::new(),
        });
        let mut line = serde_json::to_vec(&message).unwrap();
        line.push(b'\n');
        self.lines.push((now, line));
        self.ends_at = now;
    }
}
