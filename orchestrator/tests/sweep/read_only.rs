//! A lab whose disk was mounted for reading only: an archive, a disk with faults. It can be read.

use std::process::Command;

use super::support::{Lab, QUICK, farm, local_device};

/// Runs farmctl where the lab's folder can only be read; needs root.
fn run(lab: &Lab, words: &[&str]) -> (i32, String, String) {
    let as_ever = lab.command(words);
    let script = "mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.arg(as_ever.get_program()).args(as_ever.get_args()).current_dir(lab.path(""));
    for (name, value) in as_ever.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn says_why(text: &str) -> bool {
    text.contains("mounted for reading only") || text.contains("Read-only file system")
}

#[test]
fn a_lab_on_a_disk_that_can_only_be_read_is_read() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let verbs: [&[&str]; 8] = [
        &["sweeps", "list"],
        &["sweeps", "show"],
        &["devices", "list"],
        &["devices", "history", "this-host"],
        &["why", "this-host"],
        &["store", "check"],
        &["store", "export"],
        &["score", "latest", "--kind", "throughput"],
    ];
    for words in verbs {
        let (code, stdout, stderr) = run(&lab, words);
        assert!(code == 0 && !stdout.is_empty(), "{words:?}: {code}: {stdout}{stderr}");
        assert!(!stderr.contains("error"), "{words:?}: {stderr}");
    }
    // What has to write says why it can't, and not that the store is damaged.
    let writing: [&[&str]; 3] = [
        &["sweep", "configs/quick.yaml"],
        &["devices", "lock", "this-host", "--for", "1h", "--why", "x"],
        &["report", "latest"],
    ];
    for words in writing {
        let (code, _, stderr) = run(&lab, words);
        assert!(code != 0 && says_why(&stderr), "{words:?}: {code}: {stderr}");
        assert!(!stderr.contains("damaged") && !stderr.contains("backup"), "{words:?}: {stderr}");
    }
    // It is as it was.
    assert_eq!(lab.run(&["store", "check"]).0, 0);
}

#[test]
fn a_lab_that_cannot_be_made_on_such_a_disk_says_so() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let (code, _, stderr) = run(&lab, &["sweeps", "list"]);
    assert!(code != 0 && says_why(&stderr), "{code}: {stderr}");
}
