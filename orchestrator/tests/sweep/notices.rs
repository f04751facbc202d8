//! The end of a sweep is told, once, whoever carried it out.

use super::daemon::{Daemon, schedule, wait_until};
use super::support::{Lab, QUICK, farm, local_device};

#[test]
fn the_end_of_a_sweep_is_told_once() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    let command = "notifications:\n  - command: [sh, -c, 'cat >> told; echo $FARMCTL_EVENT >> told']\n";
    lab.write("configs/daemon.yaml", &schedule(5, &format!("    enabled: false\n{command}")));
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("goes by");
    let told = || std::fs::read_to_string(lab.path("told")).unwrap_or_default();
    for rounds in 1..=2 {
        let local: &[&str] = if rounds == 1 { &["configs/quick.yaml"] } else { &["configs/quick.yaml", "--local"] };
        lab.sweep(local).expect_code(0);
        wait_until(|| told().matches("sweep_finished").count() >= rounds, told);
    }
    let text = told();
    assert_eq!(text.lines().count(), 8, "{text}");
    for part in ["finished: 1 ok, in ", "Nothing failed.", "farmctl sweeps show "] {
        assert_eq!(text.matches(part).count(), 2, "{part} in: {text}");
    }
    assert!(daemon.stop().success());
}
