//! Daemon files.

use std::path::Path;

use crate::schedule::Schedule;

use super::{boards, catalog, said};
use crate::config::fault::ConfigErrors;
use crate::config::source::Source;

/// The schedules of a text that stands in a folder with two sweeps, one of them faulty.
fn schedules(text: &str) -> Result<Vec<Schedule>, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("night.yaml"), "models: [resnet50]\ndevices: [pi4]\n").unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "models: [resnet51]\n").unwrap();
    let source = Source::from_bytes(&folder.path().join("daemon.yaml"), text.as_bytes().to_vec()).unwrap();
    let loaded = crate::config::daemon::load(source, &boards(), &catalog());
    loaded.map(|config| config.schedules).map_err(|mut errors| {
        let strip = |text: &str| text.replace(&format!("{}/", folder.path().display()), "");
        for fault in &mut errors.faults {
            fault.file = Path::new(&strip(&fault.file.display().to_string())).to_owned();
            fault.message = strip(&fault.message);
        }
        errors
    })
}

fn one(fields: &str) -> String {
    format!(
        "schedules:\n  - name: nightly\n    cron: 0 22 * * *\n    timezone: Europe/Berlin\n    sweep: night.yaml\n\
         {fields}"
    )
}

#[test]
fn faults_of_a_daemon_file() {
    let replaced = |from: &str, to: &str| one("").replace(from, to);
    let cases = [
        ("unknown field and missing ones", "schedules:\n  - { name: x, crom: 0 1 * * * }\n".to_owned()),
        ("cron", replaced("0 22 * * *", "0 25 * * *")),
        ("cron that is never due", replaced("0 22 * * *", "0 0 30 2 *")),
        ("a star in front", replaced("0 22 * * *", "*/5 * * * *")),
        ("time zone", replaced("Europe/Berlin", "Europe/Berlinn")),
        ("window", one("    window: 22-06\n")),
        ("window that is closed when due", one("    window: 23:00-06:00\n")),
        ("words", one("    overlap: jump\n    missed: twice\n    enabled: maybe\n    jitter_seconds: -1\n")),
        ("all that were missed", one("    missed: all\n")),
        ("devices", one("    devices: [pi4, pi44, { tag: arch=mips }]\n")),
        ("name", replaced("name: nightly", "name: every night")),
        ("twice", format!("{}{}", one(""), one("").replace("schedules:\n", ""))),
        ("no such sweep", replaced("night.yaml", "nigth.yaml")),
        ("a sweep with a fault", replaced("night.yaml", "broken.yaml")),
        ("address", format!("listen: here\n{}", one(""))),
        ("an address that others reach", format!("listen: 0.0.0.0:7878\n{}", one(""))),
        ("host names", format!("host_names: [lab.example, 'http://lab.example']\n{}", one(""))),
        (
            "what to compare with",
            format!(
                "on_regression: {{ against: yesterday }}\n{}",
                one("    on_regression: { against: 'baseline:', threshold_percent: 0 }\n")
            ),
        ),
        ("half a certificate", format!("tls: {{ certificate: a.pem }}\n{}", one(""))),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(title, text)| (*title, text.as_str())).collect();
    insta::assert_snapshot!("faults_of_a_daemon_file", said(schedules, &cases));
}

#[test]
fn meaning_of_a_daemon_file() {
    let fields = [
        "devices: { tag: arch=arm64 }",
        "max_parallel: 4",
        "window: 22:00–06:00",
        "overlap: queue",
        "missed: all",
        "jitter_seconds: 90",
    ];
    let text = one(&fields.map(|field| format!("    {field}\n")).concat());
    let schedule = schedules(&text).unwrap().remove(0);
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(schedule.next_due(at("2026-07-01T12:00:00Z")), Some(at("2026-07-01T20:00:00Z")));
    assert_eq!(schedule.window.unwrap().to_string(), "22:00-06:00");
    assert!(schedule.sweep.ends_with("night.yaml") && schedule.sweep.is_absolute());
    assert_eq!((schedule.devices.len(), schedule.jitter.as_secs(), schedule.is_enabled), (1, 90, true));
    assert_eq!(schedules("probe_minutes: 5\n").unwrap().len(), 0, "a lab may want the page alone");
    assert_eq!(schedule.max_parallel, Some(4));
    let plain = schedules(&one("")).unwrap().remove(0);
    assert_eq!(plain.max_parallel, None);
    assert_eq!((plain.overlap, plain.missed), (crate::schedule::Overlap::Skip, crate::schedule::Missed::Once));
}

#[test]
fn what_a_schedule_does_not_say_of_regressions_the_file_says() {
    use crate::domain::{Against, RegressionRule};
    let rule = |text: &str| schedules(text).unwrap().remove(0).on_regression;
    assert_eq!(rule(&one("")), RegressionRule::default());
    let file = |own: &str| format!("on_regression: {{ against: 'baseline:main', notify: false }}\n{}", one(own));
    let main = Some(Against::Baseline("main".into()));
    let expected = RegressionRule { against: main.clone(), threshold_percent: 3.0, is_told: false };
    assert_eq!(rule(&file("")), expected);
    let own = file("    on_regression: { threshold_percent: 1.5, notify: true }\n");
    assert_eq!(rule(&own), RegressionRule { against: main, threshold_percent: 1.5, is_told: true });
    assert_eq!(rule(&file("    on_regression: { against: nothing }\n")).against, None);
}

#[test]
fn which_tokens_are_meant_is_known_whatever_else_is_faulty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.yaml");
    let named = |text: &str| {
        std::fs::write(&path, text).unwrap();
        crate::config::tokens_file(&path).map_err(|errors| errors.to_string())
    };
    let tokens = "tokens: { file: ../.farm/tokens }\n";
    let right = Ok(Some(folder.path().join("../.farm/tokens")));
    assert_eq!(named(&format!("{tokens}schedules: []\n")), right);
    assert_eq!(named(&format!("{tokens}listen: 7\nnonsense: 1\nschedules: [{{ name: x }}]\n")), right);
    assert_eq!(named("schedules: []\n"), Ok(None));
    for faulty in ["tokens: 7\nschedules: []\n", "tokens: { fil: x }\n", "tokens: { file: [\n", ""] {
        let told = named(faulty).unwrap_err();
        assert!(told.contains("daemon.yaml"), "{faulty}: {told}");
    }
}

#[test]
fn the_zone_of_times_is_known_whatever_else_is_faulty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.yaml");
    let zone = || crate::config::time_zone(&path).iana_name().unwrap_or("UTC").to_owned();
    assert_eq!(zone(), "UTC", "there is no file");
    for (text, wanted) in [
        ("timezone: Europe/Berlin\nnonsense: 1\n", "Europe/Berlin"),
        ("timezone: Nowhere/There\n", "UTC"),
        ("schedules: []\n", "UTC"),
        ("timezone: [\n", "UTC"),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(zone(), wanted, "{text}");
    }
}

#[test]
fn faults_of_a_daemon_file_are_told_beside_those_of_what_it_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("daemon.yaml", &format!("nonsense: 1\n{}", one("")));
    write("night.yaml", "modles: [resnet50]\n");
    let told = crate::config::check_daemon(&folder.path().join("daemon.yaml")).unwrap_err().to_string();
    assert!(told.contains("daemon.yaml:1:1") && told.contains("night.yaml:1:1"), "{told}");
    let other = crate::config::check_sweep(&folder.path().join("none.yaml"));
    let both = crate::config::both(crate::config::check_daemon(&folder.path().join("daemon.yaml")), other);
    assert!(both.unwrap_err().to_string().contains("none.yaml"));
}
