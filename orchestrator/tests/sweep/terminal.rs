//! What a terminal is shown, by a pseudo-terminal for standard error.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{Lab, QUICK, farm, local_device};

/// What a sweep writes to a terminal of this kind.
fn shown(lab: &Lab, kind: Option<&str>) -> String {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = lab.command(&["sweep", "configs/quick.yaml"]);
    match kind {
        Some(kind) => command.env("TERM", kind),
        None => command.env_remove("TERM"),
    };
    let mut child = command.stdout(Stdio::null()).stderr(terminal.slave).spawn().unwrap();
    drop(command);
    let mut bytes = Vec::new();
    // It ends with an error once nobody has the other side open.
    let _ = File::from(terminal.master).read_to_end(&mut bytes);
    let ended = child.wait().unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(ended.code(), Some(0), "{text}");
    text
}

#[test]
fn a_terminal_that_cannot_draw_is_shown_plain_lines() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    for kind in [Some("dumb"), None] {
        let text = shown(&lab, kind);
        assert!(!text.contains('\x1b'), "{kind:?}: {text:?}");
        assert!(text.contains("digits") && text.lines().count() > 4, "{kind:?}: {text:?}");
    }
    let text = shown(&lab, Some("xterm"));
    assert!(text.contains("\x1b["), "{text:?}");
}

/// A pager that nobody scrolls on, a terminal that was stopped by Ctrl-S: what is measured is written all the same.
#[test]
fn a_reader_that_stands_still_does_not_hold_up_the_sweep() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", &format!("{QUICK}repeats: 12\n"));
    let (mut out, writer) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(writer.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = lab.command(&["sweep", "configs/quick.yaml", "--format", "json"]);
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let table = lab.path("reports/latest/results.csv");
    let patience = Instant::now() + Duration::from_secs(300);
    while !table.exists() {
        assert!(Instant::now() < patience, "the sweep waits for its reader");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lab.rows().len(), 12);
    // Whoever reads on gets all of it.
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert!(text.len() > 4096, "the pipe was full: {}", text.len());
    assert_eq!(text.lines().filter(|line| line.contains("\"run_finished\"")).count(), 12);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
