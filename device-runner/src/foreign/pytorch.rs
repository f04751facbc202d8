//! PyTorch's `speed_benchmark_torch` and Caffe2's `speed_benchmark` (both in PyTorch's binaries/): they print the same
//! line.
//!
//! With `--report_pep true` the first also prints each inference.

use farmctl_protocol::Figures;

use super::Report;
use super::text::{MICROSECONDS, MILLISECONDS, nanoseconds, number_after};

const MAIN_RUN: &str = "Main run finished.";

pub(super) fn parse(output: &str) -> Result<Report, String> {
    let line = output.lines().find(|line| line.contains(MAIN_RUN));
    let line = line.ok_or_else(|| format!("no line «{MAIN_RUN} …» in what the benchmark program printed"))?;
    // Versions that sum up in milliseconds print each inference in milliseconds too, and call them microseconds.
    let (key, unit) = if line.contains("Milliseconds per iter") {
        ("Milliseconds per iter:", MILLISECONDS)
    } else {
        ("Microseconds per iter:", MICROSECONDS)
    };
    let mean = number_after(line, key).ok_or_else(|| format!("no latency in the line {line:?}"))?;
    let whole = |line: &str| line.contains("PyTorchObserver") && line.contains("\"type\": \"NET\"");
    let each = output.lines().filter(|line| whole(line)).map(|line| {
        number_after(line, "\"value\":")
            .and_then(|value| nanoseconds(value, unit))
            .ok_or_else(|| format!("no latency in the line {line:?}"))
    });
    let samples_ns = each.collect::<Result<Vec<u64>, String>>()?;
    let runs = (!samples_ns.is_empty()).then_some(samples_ns.len() as u64);
    Ok(Report { samples_ns, figures: Figures { runs, mean_ns: nanoseconds(mean, unit), ..Figures::default() } })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From PyTorch's tutorial «PyTorch Mobile Performance Recipes».
    const TUTORIAL: &str = "\
Starting benchmark.
Running warmup runs.
Main runs.
Main run finished. Microseconds per iter: 121318. Iters per second: 8.24281
";

    /// From a page of instructions for building PyTorch 1.7.1's benchmark for Android: ResNet-18, `--report_pep=true`.
    const WITH_EACH: &str = "\
Starting benchmark.
Running warmup runs.
Main runs.
PyTorchObserver {\"type\": \"NET\", \"unit\": \"us\", \"metric\": \"latency\", \"value\": \"599746\"}
PyTorchObserver {\"type\": \"NET\", \"unit\": \"us\", \"metric\": \"latency\", \"value\": \"570505\"}
PyTorchObserver {\"type\": \"NET\", \"unit\": \"us\", \"metric\": \"latency\", \"value\": \"583396\"}
Main run finished. Microseconds per iter: 584558. Iters per second: 1.71069
";

    /// From the benchmarks in the repository rwightman/gen-efficientnet-pytorch: Caffe2, operators after the whole.
    const CAFFE2: &str = "\
Main run finished. Milliseconds per iter: 49.2862. Iters per second: 20.2897
Time per operator type:
        29.7378 ms.    60.5145%. Conv
        12.1785 ms.    24.7824%. Sigmoid
";

    /// The same as Caffe2's log writes it, from a log of convnet_benchmarks.
    const LOGGED: &str = "I0719 20:34:25.308698    11 net_dag.cc:605] Main run finished. Milliseconds per iter: \
                          3908.79. Iters per second: 0.255834";

    #[test]
    fn averages_in_either_unit() {
        for (output, mean_ns) in [(TUTORIAL, 121_318_000), (CAFFE2, 49_286_200), (LOGGED, 3_908_790_000)] {
            let report = parse(output).unwrap();
            assert_eq!((report.figures.mean_ns, report.samples_ns.len()), (Some(mean_ns), 0));
        }
    }

    #[test]
    fn each_inference_where_it_is_told() {
        let report = parse(WITH_EACH).unwrap();
        assert_eq!(report.samples_ns, [599_746_000, 570_505_000, 583_396_000]);
        assert_eq!((report.figures.runs, report.figures.mean_ns), (Some(3), Some(584_558_000)));
        let old = WITH_EACH.replace("Microseconds per iter: 584558", "Milliseconds per iter: 584558");
        assert_eq!(parse(&old).unwrap().samples_ns[0], 599_746_000_000);
    }

    #[test]
    fn output_that_breaks_off_is_refused() {
        let cut = WITH_EACH.split("Main run finished").next().unwrap();
        assert!(parse(cut).unwrap_err().contains("Main run"));
        assert!(parse("Main run finished. Microseconds per iter: nan.").is_err());
    }
}
