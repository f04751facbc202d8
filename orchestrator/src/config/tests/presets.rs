//! Presets: what they set, and that the file goes before them.

use crate::domain::{Limits, Sweep};

use super::sweep;

fn read(yaml: &str) -> Sweep {
    sweep(&format!("models: resnet50\n{yaml}")).unwrap()
}

#[test]
fn a_preset_is_its_rules() {
    let tflite = read("preset: tflite").limits;
    assert_eq!((tflite.warmup_min_runs, tflite.warmup_min_seconds), (1, 0.5));
    assert_eq!((tflite.min_runs, tflite.min_seconds, tflite.max_seconds), (50, 1.0, 150.0));
    let mlperf = read("preset: mlperf_mobile");
    assert_eq!((mlperf.limits.min_runs, mlperf.limits.min_seconds), (1_024, 60.0));
    assert_eq!(mlperf.timeouts.run_seconds, 900.0, "a slow device needs more than the usual ten minutes");
    assert_eq!(mlperf.cooldown.map(|rest| (rest.min_seconds, rest.pause_seconds)), Some((300.0, 300.0)));
    let own = read("preset: mlperf_mobile\ncooldown: { max_seconds: 7 }").cooldown;
    assert_eq!(own.map(|rest| (rest.min_seconds, rest.max_seconds)), Some((0.0, 7.0)));
    assert!(read("preset: quick").limits.max_seconds <= 2.0);
    assert_eq!(read("preset: aiotbench").limits, Limits { max_seconds: 20.0, ..read("").limits });
}

#[test]
fn what_the_file_says_goes_before_its_preset() {
    let yaml = "preset: mlperf_mobile\nlimits: { measure: { min_seconds: 5, interval_percent: 2 }, warmup: { \
                steady_percent: 3, max_seconds: 20 } }\ntimeouts: { run_seconds: 700 }\n";
    let sweep = read(yaml);
    let expected = Limits {
        min_seconds: 5.0,
        interval_percent: Some(2.0),
        steady_percent: Some(3.0),
        warmup_max_seconds: 20.0,
        ..read("preset: mlperf_mobile").limits
    };
    assert_eq!((sweep.limits, sweep.timeouts.run_seconds), (expected, 700.0));
}

#[test]
fn sustained_load_has_its_own_length() {
    assert_eq!(read("scenario: sustained").sustained_seconds, 300.0);
    assert_eq!(read("scenario: sustained\nlimits: { sustained: { seconds: 60 } }").sustained_seconds, 60.0);
}
