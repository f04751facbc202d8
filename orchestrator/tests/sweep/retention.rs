//! What the rules do not keep leaves: shown first, then taken out; what is pinned stays.

use super::support::{Lab, QUICK, farm, local_device};

#[test]
fn old_sweeps_leave_with_their_reports_and_a_pinned_one_stays() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    let rules = "schedules:\n  - { name: n, cron: 0 2 * * *, timezone: Etc/UTC, sweep: quick.yaml, enabled: false }\n";
    lab.write("configs/daemon.yaml", rules);
    assert_eq!(lab.run(&["retention"]).0, 4, "no rules");
    lab.write("configs/daemon.yaml", &format!("{rules}retention: {{ at: '04:30', sweeps: {{ count: 1 }} }}\n"));
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let outcome = lab.sweep(&["configs/quick.yaml"]);
            outcome.expect_code(0);
            outcome.events[0]["sweep_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(lab.run(&["sweeps", "pin", &ids[0]]).0, 0);
    let reports = || ids.iter().map(|id| lab.path("reports").join(id).is_dir()).collect::<Vec<_>>();

    let (code, stdout, stderr) = lab.run(&["retention", "--dry-run", "--format", "csv"]);
    assert_eq!(code, 0, "{stderr}");
    let rows: Vec<&str> = stdout.lines().skip(1).collect();
    assert!(rows.len() == 1 && rows[0].contains(&ids[1]) && rows[0].ends_with("older than the newest 1"), "{stdout}");
    assert_eq!(reports(), [true, true, true], "it was only shown");

    let (code, _, stderr) = lab.run(&["retention"]);
    assert!(code == 0 && stderr.contains("1 × sweep left"), "{stderr}");
    assert_eq!(reports(), [true, false, true]);
    let (_, listed, _) = lab.run(&["sweeps", "list", "--format", "csv"]);
    assert!(listed.contains(&ids[0]) && !listed.contains(&ids[1]) && listed.contains(&ids[2]), "{listed}");
    assert_eq!(lab.run(&["store", "check"]).0, 0);
    let (code, _, stderr) = lab.run(&["retention"]);
    assert!(code == 0 && stderr.contains("nothing leaves"), "{stderr}");
}
