use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::domain::Notice;

use super::Failed;

/// How often it is looked whether the program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What is kept of what it says: its end, where programs say what went wrong.
const TAIL_BYTES: u64 = 2_000;

/// Runs a program with the message on its standard input; no shell reads its arguments.
pub(super) fn send(argv: &[String], notice: &Notice, deadline: Duration) -> Result<(), Failed> {
    let always = |error: std::io::Error| Failed::Always(error.to_string());
    let Some((program, arguments)) = argv.split_first() else { return Err(Failed::Always("it is empty".to_owned())) };
    // Files, so that a program which reads nothing, or says much, is never waited for.
    let mut input = tempfile::tempfile().map_err(always)?;
    input.write_all(notice.text().as_bytes()).map_err(always)?;
    input.rewind().map_err(always)?;
    let said = tempfile::tempfile().map_err(always)?;
    let mut command = Command::new(program);
    command.args(arguments).env("FARMCTL_EVENT", notice.event).env("FARMCTL_ABOUT", &notice.about);
    command.env("FARMCTL_SUBJECT", &notice.subject);
    command.stdin(input).stdout(Stdio::null()).stderr(said.try_clone().map_err(always)?).process_group(0);
    let mut child = command.spawn().map_err(always)?;
    let give_up_at = Instant::now() + deadline;
    let status = loop {
        match child.try_wait().map_err(always)? {
            Some(status) => break status,
            None if Instant::now() < give_up_at => std::thread::sleep(POLL_INTERVAL),
            None => {
                // With all that it has started.
                let _ = i32::try_from(child.id()).map(|id| killpg(Pid::from_raw(id), Signal::SIGKILL));
                let _ = child.wait();
                return Err(Failed::Always(format!("it did not end within {} s", deadline.as_secs())));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    let (mut said, mut text) = (said, Vec::new());
    let length = said.metadata().map_or(0, |it| it.len());
    let begin = SeekFrom::Start(length.saturating_sub(TAIL_BYTES));
    let _ = said.seek(begin).and_then(|_| said.take(TAIL_BYTES).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Failed::Always(format!("it ended with {status}: {text}")))
}
