//! Runs the script that makes a TorchScript file, on a Python that has PyTorch.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::formats::torchscript::SCRIPT;

/// Where a Python with PyTorch may be: the one that is found first, and Debian's own, which has Debian's PyTorch.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];
/// How often the script is looked after.
const POLL: Duration = Duration::from_millis(20);
/// Most of what the script says that is kept.
const TOLD_BYTES: usize = 4096;

/// Why there is no file.
#[derive(Debug)]
pub(super) enum ScriptError {
    /// It was not done in time.
    Deadline,
    /// It can't be done here, or went wrong: why.
    Failed(String),
}

/// Makes the file at `output` of what `write` gives the script.
pub(super) fn make(
    output: &Path,
    write: &(dyn Fn(&mut dyn Write) -> std::io::Result<()> + Sync),
    deadline: Instant,
) -> Result<(), ScriptError> {
    let mut reason = String::new();
    for python in PYTHONS {
        match run(python, output, write, deadline) {
            Err(ScriptError::Failed(why)) => reason = why,
            done => return done,
        }
    }
    // Debian's own Python is the likeliest to have had it: its word counts.
    Err(ScriptError::Failed(reason))
}

fn run(
    python: &str,
    output: &Path,
    write: &(dyn Fn(&mut dyn Write) -> std::io::Result<()> + Sync),
    deadline: Instant,
) -> Result<(), ScriptError> {
    let failed = |why: String| ScriptError::Failed(format!("{python}: {why}"));
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(output)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| failed(cause.to_string()))?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let (status, told) = std::thread::scope(|scope| {
        // A script that ends early breaks the pipe; why it did is in what it told.
        scope.spawn(move || stdin.map(|pipe| write(&mut std::io::BufWriter::new(pipe))));
        let told = scope.spawn(move || {
            let told = stderr.map(last_words).unwrap_or_default();
            String::from_utf8_lossy(&told).trim().to_owned()
        });
        (wait(&mut child, deadline), told.join().unwrap_or_default())
    });
    match status {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) if told.is_empty() => Err(failed(format!("the script ended with {status}"))),
        Ok(Some(_)) => Err(failed(told.lines().last().unwrap_or_default().to_owned())),
        Ok(None) => Err(ScriptError::Deadline),
        Err(cause) => Err(failed(cause.to_string())),
    }
}

/// The end of what the script says: Python tells there what went wrong. All of it is read, so that the script isn't
/// held up.
fn last_words(mut pipe: impl Read) -> Vec<u8> {
    let (mut told, mut piece) = (Vec::new(), [0; TOLD_BYTES]);
    while let Ok(read @ 1..) = pipe.read(&mut piece) {
        told.extend_from_slice(&piece[..read]);
        told.drain(..told.len().saturating_sub(TOLD_BYTES));
    }
    told
}

/// Waits for the script, and ends it at the deadline: then there is no status.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_waits_for_more_is_ended_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("net.ptl");
        let started = Instant::now();
        // The pipe stays open and empty until the script is gone.
        let nothing = |pipe: &mut dyn Write| {
            while pipe.write_all(b" ").and_then(|()| pipe.flush()).is_ok() {
                std::thread::sleep(POLL);
            }
            Ok(())
        };
        let ended = make(&output, &nothing, started + Duration::from_secs(1));
        assert!(matches!(ended, Err(ScriptError::Deadline | ScriptError::Failed(_))), "{ended:?}");
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(!output.exists());
    }

    #[test]
    fn what_a_script_says_at_its_end_is_kept() {
        let said = "a warning\n".repeat(1000) + "ImportError: no module named torch\n";
        let kept = String::from_utf8(last_words(said.as_bytes())).unwrap();
        assert!(kept.ends_with("no module named torch\n") && kept.len() <= TOLD_BYTES, "{kept}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("/nowhere/python3", Path::new("x"), &|_| Ok(()), Instant::now()).unwrap_err();
        let ScriptError::Failed(why) = error else { panic!("{error:?}") };
        assert!(why.starts_with("/nowhere/python3: "), "{why}");
    }
}
