//! Loops that end when they are good enough, sustained load, and presets, by the program as a person starts it.

use crate::support::{Lab, farm, local_device};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab
}

#[test]
fn rows_say_what_ended_their_loops_and_whether_the_warm_up_was_steady() {
    let lab = lab();
    // Wide limits: how noisy the machine is must not matter.
    lab.write(
        "configs/enough.yaml",
        "models: digits\nweights: trained\nscenario: [single_stream, offline]\npreset: quick\nlimits:\n  warmup: { \
         max_seconds: 60, steady_percent: 100 }\n  measure: { min_seconds: 0, max_seconds: 60, \
         max_runs: 1000000, interval_percent: 60 }\n",
    );
    let plain = "models: digits\nweights: trained\npreset: quick\nlimits: { measure: { min_seconds: 0 } }\n";
    lab.write("configs/plain.yaml", plain);
    lab.sweep(&["configs/enough.yaml"]).expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row["steady"].as_str(), row["ended_by"].as_str()), ("yes", "interval"), "{row:?}");
        let count = |column: &str| row[column].parse::<u32>().unwrap();
        assert!(count("runs") >= 200 && count("warmup_runs") >= 20, "{row:?}");
    }
    lab.sweep(&["configs/plain.yaml"]).expect_code(0);
    let row = &lab.rows()[0];
    assert_eq!((row["steady"].as_str(), row["ended_by"].as_str()), ("", "minima"), "{row:?}");
}

#[test]
fn sustained_load_tells_what_is_left_of_its_throughput() {
    let lab = lab();
    let seconds = "limits: { sustained: { seconds: 2 } }\n";
    lab.write("configs/load.yaml", &format!("models: digits\nweights: trained\nscenario: sustained\n{seconds}"));
    lab.sweep(&["configs/load.yaml"]).expect_code(0);
    let row = &lab.rows()[0];
    let number = |column: &str| row[column].parse::<f64>().unwrap_or_else(|_| panic!("{column}: {row:?}"));
    assert!((2_000.0..20_000.0).contains(&number("wall_ms")), "{row:?}");
    let (first, last) = (number("sustained_first_per_s"), number("sustained_last_per_s"));
    assert!(first > 0.0 && (number("sustained_kept_percent") - last / first * 100.0).abs() < 1e-6, "{row:?}");
    assert_eq!((row["ended_by"].as_str(), row["scenario"].as_str()), ("minima", "sustained"), "{row:?}");
}
