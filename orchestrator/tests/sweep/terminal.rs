//! What a terminal is shown, by a pseudo-terminal for standard error.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

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
