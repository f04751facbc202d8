//! ncnn's `benchncnn` (benchmark/ in ncnn): one line a network, in milliseconds.

use farmctl_protocol::Figures;

use super::Report;
use super::text::{MILLISECONDS, number_after, time_after};

pub(super) fn parse(output: &str) -> Result<Report, String> {
    let told = |line: &&str| ["min =", "max =", "avg ="].iter().all(|key| line.contains(key));
    let networks: Vec<&str> = output.lines().filter(told).collect();
    let [line] = networks.as_slice() else {
        let text = format!("benchncnn reported {} networks; have it measure one, by param=FILE", networks.len());
        return Err(text);
    };
    let figures = Figures {
        runs: number_after(output, "loop_count").map(|count| count as u64),
        mean_ns: time_after(line, "avg =", MILLISECONDS),
        min_ns: time_after(line, "min =", MILLISECONDS),
        max_ns: time_after(line, "max =", MILLISECONDS),
        ..Figures::default()
    };
    Ok(Report { samples_ns: Vec::new(), figures })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From Tencent/ncnn, issue 3485 (2022), cut after the second network.
    const ISSUE_3485: &str = "\
loop_count = 8
num_threads = 4
powersave = 0
gpu_device = -1
cooling_down = 1
          squeezenet  min =   30.03  max =   31.41  avg =   30.59
     squeezenet_int8  min =   27.32  max =   27.76  avg =   27.50
";

    #[test]
    fn one_network_is_a_report_and_several_are_none() {
        let (one, _) = ISSUE_3485.split_once("     squeezenet_int8").unwrap();
        let figures = parse(one).unwrap().figures;
        let times = (figures.min_ns, figures.mean_ns, figures.max_ns);
        assert_eq!((figures.runs, times), (Some(8), (Some(30_030_000), Some(30_590_000), Some(31_410_000))));
        assert!(parse(ISSUE_3485).unwrap_err().contains("2 networks"));
        assert!(parse("loop_count = 8\n").unwrap_err().contains("0 networks"));
    }
}
