//! ONNX Runtime's `onnxruntime_perf_test` (onnxruntime/test/perftest). Its words have changed over the years; all
//! forms are read.

use farmctl_protocol::Figures;

use super::Report;
use super::text::{MILLISECONDS, SECONDS, number_after, time_after};

pub(super) fn parse(output: &str) -> Result<Report, String> {
    let averages = ["Average inference time cost total:", "Average inference time cost:", "Average time cost:"];
    let mean_ns = averages.iter().find_map(|key| time_after(output, key, MILLISECONDS));
    if mean_ns.is_none() {
        return Err("no line «Average inference time cost …» in what onnxruntime_perf_test printed".to_owned());
    }
    let percentile = |name: &str| {
        let keys = [format!("{name} Latency:"), format!("{name} Latency is")];
        keys.iter().find_map(|key| time_after(output, key, SECONDS))
    };
    let counts = ["Total inference requests:", "Total iterations:"];
    let figures = Figures {
        runs: counts.iter().find_map(|key| number_after(output, key)).map(|count| count as u64),
        mean_ns,
        min_ns: percentile("Min"),
        median_ns: percentile("P50"),
        p90_ns: percentile("P90"),
        p95_ns: percentile("P95"),
        p99_ns: percentile("P99"),
        max_ns: percentile("Max"),
        load_ns: time_after(output, "Session creation time cost:", SECONDS),
        first_ns: time_after(output, "First inference time cost:", MILLISECONDS),
        ..Figures::default()
    };
    Ok(Report { samples_ns: Vec::new(), figures })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From microsoft/onnxruntime, issue 4647 (2020).
    const ISSUE_4647: &str = "\
Session creation time cost: 0.127918 s
Total inference time cost: 1.44871 s
Total inference requests: 10
Average inference time cost: 144.871 ms
Total inference run time: 1.44916 s
Avg CPU usage: 68 %
Peak working set size: 158171136 bytes
";

    /// From microsoft/onnxruntime, issue 17313 (2023).
    const ISSUE_17313: &str = "\
Total time cost: 58.8053
Total iterations: 1000
Average time cost: 58.8053 ms
Total run time: 58.8102 s
Min Latency is 0.0559777 sec
Max Latency is 0.0623472 sec
P50 Latency is 0.0587108 sec
P90 Latency is 0.0599845 sec
P95 Latency is 0.0605676 sec
P99 Latency is 0.0619517 sec
P999 Latency is 0.0623472 sec
";

    #[test]
    fn both_forms_are_read() {
        let old = parse(ISSUE_4647).unwrap().figures;
        assert_eq!((old.runs, old.mean_ns, old.load_ns), (Some(10), Some(144_871_000), Some(127_918_000)));
        let figures = parse(ISSUE_17313).unwrap().figures;
        assert_eq!((figures.runs, figures.mean_ns), (Some(1000), Some(58_805_300)));
        assert_eq!((figures.min_ns, figures.max_ns), (Some(55_977_700), Some(62_347_200)));
        assert_eq!((figures.median_ns, figures.p90_ns), (Some(58_710_800), Some(59_984_500)));
        assert_eq!((figures.p95_ns, figures.p99_ns), (Some(60_567_600), Some(61_951_700)));
    }

    /// From Arm's learning path on ONNX Runtime with SME2 (2025), ResNet-50 on a C1-Pro core.
    const LEARNING_PATH: &str = "\
Setting intra_op_num_threads to 1
Disabling intra-op thread spinning between runs
Session creation time cost: 0.217932 s
First inference time cost: 196 ms
Total inference time cost: 0.49481 s
Total inference requests: 5
Average inference time cost total: 98.961997 ms
Total inference run time: 0.494854 s
Number of inferences per second: 10.104
Avg CPU usage:11
Runs:5
Min Latency: 0.0958204 s
Max Latency: 0.101519 s
P50 Latency: 0.0995086 s
P90 Latency: 0.101519 s
";

    #[test]
    fn the_words_of_today_are_read_too() {
        let figures = parse(LEARNING_PATH).unwrap().figures;
        assert_eq!((figures.mean_ns, figures.median_ns), (Some(98_961_997), Some(99_508_600)));
        assert_eq!((figures.load_ns, figures.first_ns), (Some(217_932_000), Some(196_000_000)));
        assert!(parse("Session creation time cost: 0.1 s").is_err());
    }
}
