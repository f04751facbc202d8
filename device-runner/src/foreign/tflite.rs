//! TensorFlow Lite's `benchmark_model` (tensorflow/lite/tools/benchmark).
//!
//! It prints a line `count=…` after the warm-up and one after the main loop, then a line that sums up. All times are in
//! microseconds.

use farmctl_protocol::Figures;

use super::Report;
use super::text::{MICROSECONDS, number_after, time_after};

const SUMMARY: &str = "Inference timings in us:";

pub(super) fn parse(output: &str) -> Result<Report, String> {
    // A profile that follows the summary has lines of the same form.
    let lines: Vec<&str> = output.lines().collect();
    let end = lines.iter().position(|line| line.contains(SUMMARY));
    let end = end.ok_or_else(|| format!("no line «{SUMMARY} …» in what benchmark_model printed"))?;
    let summary = lines[end];
    let main_loop = lines[..end].iter().rev().find(|line| line.contains("count=")).copied().unwrap_or_default();
    let time = |key| time_after(main_loop, key, MICROSECONDS);
    // A single inference is told as `count=1 curr=…`.
    let single = time("curr=").filter(|_| number_after(main_loop, "count=") == Some(1.0));
    let figures = Figures {
        runs: number_after(main_loop, "count=").map(|count| count as u64),
        mean_ns: time_after(summary, "Inference (avg):", MICROSECONDS),
        std_ns: time("std="),
        min_ns: time("min=").or(single),
        median_ns: time("median=").or(single),
        p95_ns: time("p95=").or(single),
        max_ns: time("max=").or(single),
        load_ns: time_after(summary, "Init:", MICROSECONDS),
        first_ns: time_after(summary, "First inference:", MICROSECONDS),
        ..Figures::default()
    };
    Ok(Report { samples_ns: Vec::new(), figures })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From tensorflow/tensorflow, issue 42507 (2020), with the start of the profile that follows.
    const ISSUE_42507: &str = "\
Initialized session in 0.855ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=15 first=49060 curr=33682 min=32825 max=49060 avg=34825.1 std=3930

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450

Inference timings in us: Init: 855, First inference: 49060, Warmup (avg): 34825.1, Inference (avg): 33209.4
Peak memory footprint (MB): init=0 overall=12.8672
Timings (microseconds): count=1 curr=1
";

    /// From the documentation of Texas Instruments' processor SDK: the form with percentiles.
    const WITH_PERCENTILES: &str = "\
   INFO: count=1 curr=1357602 p5=1357602 median=1357602 p95=1357602
   INFO: count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565 \
   p5=1238753 median=1239807 p95=1247415
   INFO: Inference timings in us: Init: 5579, First inference: 1357602, Warmup (avg): 1.3576e+06, \
   Inference (avg): 1.24027e+06
";

    #[test]
    fn the_main_loop_is_read_and_not_the_warm_up_or_the_profile() {
        let figures = parse(ISSUE_42507).unwrap().figures;
        let expected = Figures {
            runs: Some(50),
            mean_ns: Some(33_209_400),
            std_ns: Some(450_000),
            min_ns: Some(32_641_000),
            max_ns: Some(34_005_000),
            load_ns: Some(855_000),
            first_ns: Some(49_060_000),
            ..Figures::default()
        };
        assert_eq!(figures, expected);
    }

    #[test]
    fn percentiles_are_read_where_they_are_told() {
        let figures = parse(WITH_PERCENTILES).unwrap().figures;
        assert_eq!((figures.median_ns, figures.p95_ns), (Some(1_239_807_000), Some(1_247_415_000)));
        assert_eq!((figures.mean_ns, figures.runs), (Some(1_240_270_000), Some(50)));
    }

    #[test]
    fn output_without_a_summary_is_refused() {
        let cut = ISSUE_42507.split("Inference timings").next().unwrap();
        assert!(parse(cut).unwrap_err().contains("Inference timings"));
    }
}
