//! A device that gets slower is told of once, until somebody says that it is as it should be.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::daemon::{Daemon, json, schedule, wait_until};
use super::support::{HOST_TARGET, Lab, farm, local_device};

/// A sweep of one network whose runs take a fraction of a second.
pub const SWEEP: &str = "
models: [digits]
weights: [trained]
backends: [busy]
limits:
  warmup: { min_runs: 1, min_seconds: 0, max_seconds: 5 }
  measure: { min_runs: 25, max_runs: 25, min_seconds: 0, max_seconds: 60 }
";

/// Adds a benchmark program that is busy for so long with each inference, and slower while the lab's file `slow-now` is
/// there.
pub fn add_busy(lab: &Lab, name: &str, busy_ns: u64) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sweep/engine/busy.c");
    let mut compile = Command::new("cc");
    compile.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]).arg(format!("-DBUSY_NS={busy_ns}"));
    compile.arg(format!("-DSLOW_FILE=\"{}\"", lab.path("slow-now").display()));
    compile.arg("-o").arg(lab.path(&format!("configs/{name}"))).arg(source);
    assert!(compile.status().expect("a C compiler (scripts/prepare)").success());
}

/// A file of engines with these programs.
pub fn backends(names: &[&str]) -> String {
    let entry = |name: &&str| {
        format!(
            "
  - name: {name}
    version: '1'
    formats: onnx
    dialect: json_lines
    command: [{name}, '{{runs}}']
    targets: [{{ target: {HOST_TARGET}, files: [{{ path: {name} }}] }}]"
        )
    };
    format!("backends:{}\n", names.iter().map(entry).collect::<String>())
}

fn lab() -> Lab {
    let lab = Lab::new();
    add_busy(&lab, "busy", 2_000_000);
    lab.write("configs/backends.yaml", &backends(&["busy"]));
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", SWEEP);
    lab
}

fn finished(lab: &Lab) -> usize {
    json(lab, &["sweeps", "list"]).iter().filter(|sweep| sweep["state"] == "finished").count()
}

#[test]
fn a_slower_device_is_told_once_until_it_is_acknowledged() {
    let lab = lab();
    let command = "notifications:\n  - command: [sh, -c, 'cat >> told; echo $FARMCTL_EVENT >> told']\n";
    lab.write("configs/daemon.yaml", &schedule(2, command));
    let daemon = Daemon::start(&lab, "d", &[]);
    let pass = |sweeps: usize| {
        let wanted = finished(&lab) + sweeps;
        wait_until(|| finished(&lab) >= wanted, || format!("{wanted} sweeps:\n{}", daemon.told()));
    };
    let told = || std::fs::read_to_string(lab.path("told")).unwrap_or_default();
    let times_told = || told().lines().filter(|line| *line == "regressions").count();
    pass(6);
    lab.write("slow-now", "");
    wait_until(|| times_told() == 1, || format!("an alarm:\n{}\n{}", daemon.told(), told()));
    let message = told();
    for part in ["this-host: digits busy fp32", " since 20", "Slower no more: nothing."] {
        assert!(message.contains(part), "{part} in:\n{message}");
    }
    let alarms = json(&lab, &["history", "alarms"]);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    let percent = alarms[0]["percent"].as_f64().unwrap();
    assert!((40.0..60.0).contains(&percent), "{alarms:?}");
    let name = alarms[0]["id"].as_str().unwrap().to_owned();

    pass(3);
    assert_eq!(times_told(), 1, "{}", told());
    let (_, history, _) = lab.run(&["history", "digits"]);
    assert!(history.contains("slower") && history.contains(&format!("{name} open")), "{history}");

    let (code, _, stderr) = lab.run(&["history", "ack", &name]);
    assert!(code == 0 && stderr.contains("is acknowledged"), "{stderr}");
    let (code, _, stderr) = lab.run(&["history", "ack", &name]);
    assert!(code == 2 && stderr.contains("acknowledged already"), "{stderr}");
    pass(2);
    assert_eq!((times_told(), json(&lab, &["history", "alarms"])), (1, Vec::<Value>::new()), "{}", told());
    let (_, history, _) = lab.run(&["history", "digits"]);
    assert!(history.contains(&format!("{name} acknowledged by ")), "{history}");
    assert!(lab.run(&["audit"]).1.contains(&format!("acknowledged {name}")));
    assert!(daemon.stop().success());
    assert_eq!(lab.run(&["store", "check"]).0, 0);
}
