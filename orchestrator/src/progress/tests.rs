#![allow(clippy::unwrap_used)]

use super::state::State;
use super::*;
use crate::domain::{EventKind, Failure, FailureKind, RunStatus, SweepId};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_474_800 + seconds).unwrap()
}

fn event(seconds: i64, device: Option<&str>, kind: EventKind) -> Event {
    let device = device.map(str::to_owned);
    Event { at: at(seconds), sweep_id: Some(SweepId("s".into())), device, job_id: None, run_id: None, kind }
}

fn finished(status: RunStatus) -> EventKind {
    let failure = (status == RunStatus::Failed).then(|| Failure::new(FailureKind::Crashed, "signal 11\u{1b}[2J\nhere"));
    EventKind::RunFinished { name: "resnet50".into(), status, p50_ns: Some(19_500_001), failure, judged: None }
}

fn push(sent_bytes: u64) -> EventKind {
    EventKind::PushProgress { name: "resnet50.onnx".into(), sent_bytes, size_bytes: 100_000_000 }
}

fn story() -> Vec<Event> {
    let (one, two) = (Some("board-1"), Some("board-22"));
    let started = EventKind::SweepStarted { name: "all".into(), jobs: 4, skipped: 1, devices: 2 };
    let push_started = EventKind::PushStarted {
        name: "resnet50.onnx".into(),
        sha256: "ab".into(),
        size_bytes: 100_000_000,
        resumed_bytes: 40_000_000,
    };
    let run = EventKind::RunStarted { name: "resnet50".into(), attempt: 1 };
    let phase = EventKind::RunPhase { phase: farmctl_protocol::Phase::Measure };
    vec![
        event(0, None, started),
        event(0, one, EventKind::DeviceConnecting),
        event(2, one, EventKind::DeviceReady { description: "RK3588".into(), duration_ns: 2_000_000_000 }),
        event(2, two, EventKind::DeviceConnecting),
        event(3, one, run.clone()),
        event(9, one, finished(RunStatus::Failed)),
        event(10, one, run),
        event(12, one, phase),
        event(20, two, push_started),
        event(30, two, push(60_000_000)),
    ]
}

fn told(events: &[Event]) -> State {
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    state
}

#[test]
fn live_lines() {
    let lines = render::lines(&told(&story()), at(40), 80, 24);
    let expected = [
        "all: [#####---------------] 1 of 4 jobs, 1 failed, 40s, ETA 2m 00s",
        "board-1   measure resnet50 28s, 1 failed",
        "board-22  push resnet50.onnx 60% of 100.0 MB, ETA 40s",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn numbers_in_names_are_read_as_numbers() {
    let events = ["b10", "b9", "b1"].map(|device| event(1, Some(device), EventKind::DeviceConnecting));
    let lines = render::lines(&told(&events), at(2), 80, 24).join("");
    let place = |device: &str| lines.find(&format!("{device} ")).unwrap();
    assert!(place("b1") < place("b9") && place("b9") < place("b10"), "{lines}");
}

#[test]
fn hundreds_of_devices_fit_the_terminal() {
    let mut events = story();
    events.extend((0..300).map(|number| event(3, Some(&format!("phone-{number:03}")), EventKind::DeviceConnecting)));
    let ready = EventKind::DeviceReady { description: String::new(), duration_ns: 1 };
    events.extend((0..100).map(|number| event(4, Some(&format!("phone-{number:03}")), ready.clone())));
    let lines = render::lines(&told(&events), at(40), 60, 10);
    assert_eq!(lines.len(), 8);
    assert!(lines.iter().all(|line| console::measure_text_width(line) <= 60), "{lines:#?}");
    assert!(lines[3].contains("phone-100"), "busy ones come first: {lines:#?}");
    assert_eq!(lines[7], "… and 296 more devices: 196 busy, 100 idle, 0 unusable");
    assert_eq!(render::lines(&told(&events), at(40), 60, 0).len(), 1);
}

#[test]
fn text_from_devices_can_not_steer_the_terminal() {
    let evil = "b\u{1b}]0;title\u{7}\r\nx";
    let failure = Failure::new(FailureKind::Refused, evil);
    let events = [
        event(0, Some(evil), EventKind::RunStarted { name: evil.into(), attempt: 1 }),
        event(1, Some("dead"), EventKind::DeviceFailed { failure }),
    ];
    let mut lines = render::lines(&told(&events), at(2), 80, 24);
    lines.extend(events.iter().filter_map(crate::wording::event_sentence));
    assert_eq!(lines.len(), 4);
    assert!(!lines.concat().contains(char::is_control), "{lines:?}");
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn log_has_one_line_an_event() {
    let buffer = Buffer::default();
    let progress = Progress::with_view(Box::new(LogLines::new(Box::new(buffer.clone()), TimeZone::UTC)));
    story().iter().for_each(|event| progress.event(event));
    progress.close().unwrap();
    let text = buffer.text();
    assert_eq!(text.lines().count(), story().len() - 1, "the live one is left out");
    assert_eq!(
        text.lines().next(),
        Some("2026-11-23T23:00:00Z sweep all started: 4 jobs on 2 devices, 1 cell skipped")
    );
    let failed = "2026-11-23T23:00:09Z board-1: run failed: resnet50, p50 19.5 ms, crashed: signal 11 [2J here";
    assert!(text.lines().any(|line| line == failed), "{text}");
}

#[test]
fn a_log_tells_times_by_the_labs_clocks() {
    let buffer = Buffer::default();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let progress = Progress::with_view(Box::new(LogLines::new(Box::new(buffer.clone()), zone)));
    let until = at(3_600);
    let locked = EventKind::DeviceLocked { by: "ann".into(), why: "x".into(), until };
    progress.event(&event(0, Some("a"), locked));
    progress.close().unwrap();
    let text = buffer.text();
    assert!(text.starts_with("2026-11-24 00:00:00 CET a: locked by ann until 2026-11-24 01:00:00 CET"), "{text}");
}

#[tokio::test]
async fn json_lines_are_the_events() {
    let (out, log) = (Buffer::default(), Buffer::default());
    let progress = Progress::with_view(Box::new(JsonLines::new(
        Box::new(out.clone()),
        LogLines::new(Box::new(log.clone()), TimeZone::UTC),
    )));
    let mut task = progress.start_task("runner", Some(300), Unit::Crates);
    task.advance(150);
    let (sender, receiver) = mpsc::channel(2);
    let sending = async {
        for event in story() {
            sender.send(event).await.unwrap();
        }
        drop(sender);
    };
    tokio::join!(progress.follow(receiver), sending);
    drop(task);
    progress.close().unwrap();
    let events: Vec<Event> = out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, story());
    let log: Vec<_> = log.text().lines().map(|line| line[21..].to_owned()).collect();
    assert_eq!(log, ["runner (300 crates): started", "runner: broken off"]);
}

#[test]
fn tasks_have_a_bar_and_an_eta() {
    let mut state = State::default();
    let mut task = state::TaskState::new("runner", Some(300), Unit::Crates, at(0));
    task.done = 75;
    state.tasks.insert(TaskId(1), task);
    assert_eq!(render::lines(&state, at(20), 80, 24), ["runner: [#####---------------] 75 of 300 crates, ETA 1m 00s"]);
    // The crates that are left may be the large ones.
    state.tasks.get_mut(&TaskId(1)).unwrap().fraction = Some(0.1);
    assert_eq!(render::lines(&state, at(20), 80, 24), ["runner: [##------------------] 75 of 300 crates, ETA 3m 00s"]);
    let mut task = state::TaskState::new("getting x", Some(5_000_000), Unit::Bytes, at(0));
    task.done = 2_500_000;
    assert_eq!(render::task_progress(&task, at(2)), "2.5 of 5.0 MB, ETA 2.0s");
}

#[test]
fn a_log_tells_of_long_work_now_and_then() {
    let out = Buffer::default();
    let mut log = LogLines::new(Box::new(out.clone()), TimeZone::UTC);
    log.task_started(TaskId(1), "build", Some(100), Unit::Crates, at(0));
    (1..=65).for_each(|second: u32| log.task_advanced(TaskId(1), second.into(), None, at(second.into())));
    let text = out.text();
    let told: Vec<_> = text.lines().map(|line| &line[21..]).collect();
    assert_eq!(
        told,
        ["build (100 crates): started", "build: 30 of 100 crates, ETA 1m 10s", "build: 60 of 100 crates, ETA 40s"]
    );
}

/// A stream whose reader is gone.
struct Broken;

impl io::Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn broken_stream_is_told_at_the_end() {
    let progress = Progress::with_view(Box::new(LogLines::new(Box::new(Broken), TimeZone::UTC)));
    story().iter().for_each(|event| progress.event(event));
    assert_eq!(progress.close().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert!(progress.close().is_ok());
}

/// A stream whose reader stands still until it is told to go on.
struct Paused(std::sync::mpsc::Receiver<()>, Buffer);

impl io::Write for Paused {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Ends when nobody holds it up any more.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_stands_still_holds_nobody_up() {
    let (go_on, paused) = std::sync::mpsc::channel();
    let out = Buffer::default();
    let progress = Progress::with_view(Box::new(LogLines::new(Box::new(Paused(paused, out.clone())), TimeZone::UTC)));
    let many = 10_000;
    let connecting = event(0, Some("a"), EventKind::DeviceConnecting);
    let run = event(1, Some("a"), EventKind::RunStarted { name: "resnet50".into(), attempt: 1 });
    (0..many).for_each(|_| progress.event(&run));
    let mut task = progress.start_task("runner", Some(3), Unit::Crates);
    (0..70_000).for_each(|done| task.advance_to(done));
    progress.event(&connecting);
    task.finish("done");
    assert_eq!(out.text(), "", "nobody has read a word");
    drop(go_on);
    let closed = progress.close();
    assert_eq!(out.text().lines().count(), many + 1, "all that had room, in one go");
    assert!(closed.unwrap_err().to_string().contains("2 lines were left out"), "what found no room is told");
}

#[test]
fn terminal_follows_the_number_of_lines() {
    let size: Box<dyn Fn() -> (u16, u16) + Send> = Box::new(|| (24, 80));
    let mut terminal = Terminal::new(indicatif::ProgressDrawTarget::hidden(), size, TimeZone::UTC);
    story().iter().for_each(|event| terminal.event(event));
    assert_eq!(terminal.shown().len(), 3);
    assert!(terminal.shown()[2].contains("60%"), "{:?}", terminal.shown());
    terminal.task_started(TaskId(1), "build", Some(2), Unit::Crates, at(41));
    assert!(terminal.shown()[0].starts_with("build: ["), "{:?}", terminal.shown());
    terminal.task_finished(TaskId(1), "done", at(42));
    assert_eq!(terminal.shown().len(), 3);
    terminal.close().unwrap();
}
