use std::collections::BTreeMap;

use farmctl_protocol::{Message, Phase, RunnerFailure, TOP_CLASSES};

use crate::domain::{Job, Measurement, OutputRef};

/// Most output bytes kept of a run. The six networks have 4 kB; dense predictions reach some megabytes.
const MAX_OUTPUT_BYTES: usize = 64 << 20;
/// Most output tensors of a run: an empty one costs memory, too. Detectors have about ten.
const MAX_OUTPUTS: usize = 256;
/// Most dimensions of an output.
const MAX_DIMENSIONS: usize = 64;
/// Longest name of an output.
const MAX_NAME_BYTES: usize = 1024;
/// Most processors of a device that are kept.
const MAX_CPUS: usize = 4096;

/// Puts a run's messages together into a [`Measurement`], and refuses what does not fit together: a number in a report
/// must not come from half a stream.
#[derive(Debug)]
pub(super) struct Collector {
    max_samples: usize,
    measurement: Measurement,
    announced_samples: Option<u64>,
    outputs: BTreeMap<String, (Vec<u64>, Vec<u8>)>,
    output_bytes: usize,
    to_classify: usize,
    classes: u32,
    best_classes: Vec<Vec<u32>>,
    end: Option<End>,
}

/// How the device says a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Finished,
    Failed(RunnerFailure),
}

/// A finished run's measurement, with the bytes of its outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The numbers; its outputs name the files in `output_files`.
    pub measurement: Measurement,
    /// SHA-256 and content of each output tensor.
    pub output_files: Vec<(String, Vec<u8>)>,
    /// What the network took the job's images for, the best class first, in the images' order.
    pub best_classes: Vec<Vec<u32>>,
}

impl Collector {
    pub(super) fn new(job: &Job) -> Collector {
        let dataset = job.dataset.as_ref();
        let prepared = dataset.and_then(|dataset| dataset.prepared.as_ref());
        Collector {
            to_classify: prepared.map_or(0, |prepared| prepared.count as usize),
            classes: dataset.map_or(0, |dataset| dataset.classes),
            best_classes: Vec::new(),
            max_samples: job.limits.max_runs as usize,
            measurement: Measurement::default(),
            announced_samples: None,
            outputs: BTreeMap::new(),
            output_bytes: 0,
            end: None,
        }
    }

    /// Takes in the next message; returns the phase it announces, if it does.
    ///
    /// # Errors
    /// Says what does not fit with the messages before it.
    pub(super) fn take(&mut self, message: Message) -> Result<Option<Phase>, String> {
        if self.end.is_some() {
            return Err("a message after the last one".to_owned());
        }
        let measurement = &mut self.measurement;
        match message {
            Message::Accepted { .. } => {}
            Message::Phase { phase } => return Ok(Some(phase)),
            Message::Loaded { load_ns, engine, .. } => {
                measurement.load_ns = Some(load_ns);
                measurement.engine = engine;
            }
            Message::FirstInference { latency_ns } => measurement.first_ns = Some(latency_ns),
            Message::WarmedUp { runs, .. } => measurement.warmup_runs = Some(runs),
            Message::Samples { latencies_ns } => {
                if measurement.samples_ns.len() + latencies_ns.len() > self.max_samples {
                    return Err(format!("more samples than the {} the job allows", self.max_samples));
                }
                measurement.samples_ns.extend(latencies_ns);
            }
            Message::Measured { samples, wall_ns, cpu_user_ns, cpu_system_ns, peak_rss_bytes, cpus, threads } => {
                if cpus.len() > MAX_CPUS {
                    return Err(format!("{} processors, more than {MAX_CPUS}", cpus.len()));
                }
                self.announced_samples = Some(samples);
                measurement.wall_ns = Some(wall_ns);
                measurement.cpu_user_ns = Some(cpu_user_ns);
                measurement.cpu_system_ns = Some(cpu_system_ns);
                measurement.peak_rss_bytes = Some(peak_rss_bytes);
                measurement.cpus = cpus;
                measurement.threads = Some(threads);
            }
            Message::Reported(reported) => {
                self.announced_samples = Some(reported.samples);
                measurement.load_ns = reported.figures.load_ns;
                measurement.first_ns = reported.figures.first_ns;
                measurement.peak_rss_bytes = Some(reported.peak_rss_bytes);
                measurement.threads = Some(reported.threads);
                measurement.reported = Some(reported.figures);
            }
            Message::Output(output) => self.take_output(&output)?,
            Message::Classified { first, best } => self.take_classified(first, best)?,
            Message::Finished { .. } => {
                self.check_complete()?;
                self.end = Some(End::Finished);
            }
            Message::Failed(failure) => self.end = Some(End::Failed(failure)),
        }
        Ok(None)
    }

    fn take_output(&mut self, output: &farmctl_protocol::Output) -> Result<(), String> {
        let values = output.values()?;
        if output.shape.len() > MAX_DIMENSIONS || output.name.len() > MAX_NAME_BYTES {
            return Err(format!(
                "an output with more than {MAX_DIMENSIONS} dimensions or {MAX_NAME_BYTES} bytes of name"
            ));
        }
        if self.outputs.len() == MAX_OUTPUTS && !self.outputs.contains_key(&output.name) {
            return Err(format!("more than {MAX_OUTPUTS} outputs"));
        }
        self.output_bytes += values.len() * 4;
        if self.output_bytes > MAX_OUTPUT_BYTES {
            return Err(format!("more than {MAX_OUTPUT_BYTES} bytes of outputs"));
        }
        let (_, bytes) = self.outputs.entry(output.name.clone()).or_insert_with(|| (output.shape.clone(), Vec::new()));
        if output.first.checked_mul(4) != Some(bytes.len() as u64) {
            return Err(format!("a chunk of output {:?} is missing before value {}", output.name, output.first));
        }
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        Ok(())
    }

    fn take_classified(&mut self, first: u64, best: Vec<Vec<u32>>) -> Result<(), String> {
        let next = self.best_classes.len();
        if first != next as u64 || next + best.len() > self.to_classify {
            return Err(format!(
                "{} images from {first} on are not those after {next} of {}",
                best.len(),
                self.to_classify
            ));
        }
        let is_list = |best: &&Vec<u32>| best.len() <= TOP_CLASSES && best.iter().all(|class| *class < self.classes);
        if let Some(wrong) = best.iter().find(|best| !is_list(best)) {
            return Err(format!("{wrong:?} are not the best of {} classes", self.classes));
        }
        self.best_classes.extend(best);
        Ok(())
    }

    fn check_complete(&self) -> Result<(), String> {
        let got = self.measurement.samples_ns.len() as u64;
        match self.announced_samples {
            None => return Err("the run ended without its measurement".to_owned()),
            // A program that isn't farmctl's may tell averages only.
            Some(0) if self.measurement.reported.is_none_or(|figures| figures.mean_ns.is_none()) => {
                return Err("the run ended without a single sample".to_owned());
            }
            Some(announced) if announced != got => {
                return Err(format!("{got} samples arrived of the {announced} announced"));
            }
            Some(_) => {}
        }
        if self.best_classes.len() != self.to_classify {
            return Err(format!("{} images of {} were classified", self.best_classes.len(), self.to_classify));
        }
        for (name, (shape, bytes)) in &self.outputs {
            let values = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
            if values != Some(bytes.len() as u64 / 4) {
                return Err(format!("output {name:?} has {} values, its shape is {shape:?}", bytes.len() / 4));
            }
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What had been measured of a run that failed. Its outputs may be half of what they should be: none is kept, so
    /// none is named.
    pub(super) fn into_unfinished(self) -> Measurement {
        self.measurement
    }

    pub(super) fn into_collected(mut self) -> Collected {
        let mut output_files = Vec::new();
        for (name, (shape, bytes)) in self.outputs {
            let sha256 = crate::domain::sha256_hex(&bytes);
            self.measurement.outputs.push(OutputRef { name, shape, sha256: sha256.clone() });
            output_files.push((sha256, bytes));
        }
        Collected { measurement: self.measurement, output_files, best_classes: self.best_classes }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::lines::MessageDecoder;
    use super::*;
    use crate::domain::{ArtifactRef, JobDataset, PreparedImages, Preprocessing, ResizeFilter, ResizeRule, sample};
    use farmctl_protocol::{Figures, MAX_LINE_BYTES, Output, Reported};
    use proptest::prelude::*;

    fn measured(samples: u64) -> Message {
        Message::Measured {
            samples,
            wall_ns: 10,
            cpu_user_ns: 1,
            cpu_system_ns: 1,
            peak_rss_bytes: 1,
            cpus: vec![0],
            threads: 1,
        }
    }

    fn finished() -> Message {
        Message::Finished { finished_unix_ms: 1 }
    }

    #[test]
    fn a_whole_stream_becomes_a_measurement() {
        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        for message in [
            Message::Loaded { load_ns: 7, inputs: vec![], outputs: vec![], engine: None },
            Message::Samples { latencies_ns: vec![3, 4] },
            Message::Samples { latencies_ns: vec![5] },
            measured(3),
            Message::Output(Output::new("logits", &[1, 3], 0, &[1.0, 2.0])),
            Message::Output(Output::new("logits", &[1, 3], 2, &[3.0])),
            finished(),
        ] {
            collector.take(message).unwrap();
        }
        assert_eq!(collector.end(), Some(&End::Finished));
        let collected = collector.into_collected();
        assert_eq!(collected.measurement.samples_ns, [3, 4, 5]);
        assert_eq!(collected.output_files[0].1.len(), 12);
        assert_eq!(collected.measurement.outputs[0].sha256, collected.output_files[0].0);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let cases: Vec<(&str, Vec<Message>)> = vec![
            ("without its measurement", vec![finished()]),
            ("single sample", vec![measured(0), finished()]),
            ("1 samples arrived of the 2", vec![Message::Samples { latencies_ns: vec![1] }, measured(2), finished()]),
            ("more samples", vec![Message::Samples { latencies_ns: vec![1; 101] }]),
            ("missing before", vec![Message::Output(Output::new("o", &[4], 2, &[1.0]))]),
            ("missing before", vec![Message::Output(Output::new("o", &[4], 1 << 62, &[1.0]))]),
            ("missing before", vec![Message::Output(Output::new("o", &[4], u64::MAX, &[1.0]))]),
            ("dimensions", vec![Message::Output(Output::new("o", &[1; 65], 0, &[1.0]))]),
            ("bytes of name", vec![Message::Output(Output::new(&"o".repeat(1025), &[1], 0, &[1.0]))]),
            (
                "processors",
                vec![Message::Measured {
                    samples: 1,
                    wall_ns: 1,
                    cpu_user_ns: 1,
                    cpu_system_ns: 1,
                    peak_rss_bytes: 1,
                    cpus: vec![0; 4097],
                    threads: 1,
                }],
            ),
            (
                "more than 256 outputs",
                (0..=256).map(|n| Message::Output(Output::new(&n.to_string(), &[0], 0, &[]))).collect(),
            ),
            (
                "its shape is",
                vec![
                    Message::Samples { latencies_ns: vec![1] },
                    measured(1),
                    Message::Output(Output::new("o", &[4], 0, &[1.0])),
                    finished(),
                ],
            ),
        ];
        for (expected, messages) in cases {
            let mut collector = Collector::new(&sample::job("board-1", "tiny"));
            let error = messages.into_iter().find_map(|message| collector.take(message).err()).unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }

    fn reported(samples: u64, mean_ns: Option<u64>) -> Message {
        Message::Reported(Reported {
            samples,
            figures: Figures { mean_ns, load_ns: Some(9), ..Figures::default() },
            process_wall_ns: 20,
            process_cpu_user_ns: 1,
            process_cpu_system_ns: 1,
            peak_rss_bytes: 5,
            threads: 2,
        })
    }

    #[test]
    fn averages_are_a_measurement_where_they_are_said_to_be_all() {
        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        collector.take(reported(0, Some(7))).unwrap();
        collector.take(finished()).unwrap();
        let measurement = collector.into_collected().measurement;
        assert_eq!(measurement.averages_only().unwrap().mean_ns, Some(7));
        assert_eq!((measurement.load_ns, measurement.wall_ns, measurement.threads), (Some(9), None, Some(2)));

        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        collector.take(reported(0, None)).unwrap();
        assert!(collector.take(finished()).unwrap_err().contains("single sample"));

        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        collector.take(Message::Samples { latencies_ns: vec![3] }).unwrap();
        collector.take(reported(1, None)).unwrap();
        collector.take(finished()).unwrap();
        assert_eq!(collector.into_collected().measurement.averages_only(), None);
    }

    /// A job that shows its network two images of ten classes.
    fn job_with_images() -> Job {
        let (rule, images) = (ResizeRule::None, ArtifactRef { sha256: "c".repeat(64), size_bytes: 128 });
        let (mean, std) = (vec![0.0], vec![16.0]);
        let prepared = PreparedImages {
            images,
            count: 2,
            labels_sha256: "d".repeat(64),
            left_out: Vec::new(),
            changed: Vec::new(),
            empty_classes: 0,
        };
        let dataset = JobDataset {
            name: "digits".to_owned(),
            list_sha256: "e".repeat(64),
            images: 2,
            classes: 10,
            shape: [8, 8, 1],
            preprocessing: Preprocessing { resize: rule, filter: ResizeFilter::Bilinear, mean, std },
            prepared: Some(prepared),
        };
        Job { dataset: Some(dataset), ..sample::job("board-1", "digits") }
    }

    #[test]
    fn all_images_are_classified_or_the_run_has_failed() {
        let begin = || vec![Message::Samples { latencies_ns: vec![1] }, measured(1)];
        let classified = |first, best: &[&[u32]]| Message::Classified {
            first,
            best: best.iter().map(|classes| classes.to_vec()).collect(),
        };
        let run = |rest: Vec<Message>| {
            let mut collector = Collector::new(&job_with_images());
            begin().into_iter().chain(rest).try_for_each(|message| collector.take(message).map(drop))?;
            Ok::<_, String>(collector.into_collected().best_classes)
        };
        let whole = vec![classified(0, &[&[3, 1]]), classified(1, &[&[]]), finished()];
        assert_eq!(run(whole).unwrap(), [vec![3, 1], vec![]]);
        for (rest, expected) in [
            (vec![classified(0, &[&[3]]), finished()], "1 images of 2 were classified"),
            (vec![classified(1, &[&[3]])], "not those after 0"),
            (vec![classified(0, &[&[3], &[3], &[3]])], "not those after 0 of 2"),
            (vec![classified(0, &[&[10]])], "not the best of 10"),
        ] {
            let error = run(rest).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nothing_follows_the_last_message() {
        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        collector.take(Message::Samples { latencies_ns: vec![1] }).unwrap();
        collector.take(measured(1)).unwrap();
        collector.take(finished()).unwrap();
        assert!(collector.take(finished()).is_err());
    }

    /// Feeds a device's whole output through what reads it, as the follower does; returns the bytes that are kept.
    fn read_all(stream: &[u8], chunk: usize) -> (Result<(), String>, usize) {
        let (mut decoder, mut collector) = (MessageDecoder::default(), Collector::new(&sample::job("board-1", "tiny")));
        let fed = stream
            .chunks(chunk)
            .try_for_each(|bytes| decoder.feed(bytes, &mut |message| collector.take(message).map(drop)));
        let collected = collector.into_collected();
        let of_files: usize = collected.output_files.iter().map(|(_, bytes)| bytes.len()).sum();
        (fed, of_files + collected.measurement.samples_ns.len() * 8 + collected.measurement.cpus.len() * 4)
    }

    /// A number of any size and form, or something else in its place.
    fn hostile_value() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => any::<u64>().prop_map(|number| number.to_string()),
            2 => (0u64..20).prop_map(|number| number.to_string()),
            1 => prop::sample::select(vec![
                "18446744073709551615", "18446744073709551616", "4611686018427387904", "-1", "1e400", "-0", "0.5",
                "null", "true", "\"5\"", "[]", "{}", "NaN", "1e999999999", "\"\\u0000\"", "[[[[]]]]",
            ]).prop_map(str::to_owned),
            1 => (1usize..400).prop_map(|digits| "9".repeat(digits)),
            1 => (1usize..400).prop_map(|depth| "[".repeat(depth)),
            1 => prop::collection::vec(any::<u64>(), 0..50).prop_map(|numbers| format!("{numbers:?}")),
        ]
    }

    /// A line that is nearly a message.
    fn hostile_line() -> impl Strategy<Value = String> {
        let templates = vec![
            r#"{"kind":"accepted","protocol":$,"run_id":$,"pid":$,"boot_id":$,"started_unix_ms":$}"#,
            r#"{"kind":"phase","phase":$}"#,
            r#"{"kind":"phase","phase":"measure","phase":$}"#,
            r#"{"kind":"loaded","load_ns":$,"inputs":$,"outputs":[{"name":"a","element":"f32","shape":[$,$]}]}"#,
            r#"{"kind":"first_inference","latency_ns":$}"#,
            r#"{"kind":"warmed_up","runs":$,"duration_ns":$}"#,
            r#"{"kind":"samples","latencies_ns":[$,$,$]}"#,
            r#"{"kind":"samples","latencies_ns":$}"#,
            r#"{"kind":"measured","samples":$,"wall_ns":$,"cpu_user_ns":$,"cpu_system_ns":$,"peak_rss_bytes":$,"cpus":[$],"threads":$}"#,
            r#"{"kind":"output","name":"../../x","shape":[$,$],"first":$,"values_base64":"AAAAAAAAAAA="}"#,
            r#"{"kind":"output","name":"o","shape":[2],"first":0,"values_base64":"AAAAAAAAAAA="}"#,
            r#"{"kind":"output","name":$,"shape":$,"first":$,"values_base64":$}"#,
            r#"{"kind":"finished","finished_unix_ms":$}"#,
            r#"{"kind":"failed","failure":"crashed","message":"x","signal":$,"exit_code":$,"stderr_tail":$}"#,
            r#"{"kind":$}"#,
            "$",
        ];
        (prop::sample::select(templates), prop::collection::vec(hostile_value(), 8)).prop_map(|(template, values)| {
            let mut values = values.into_iter();
            let parts = template.split('$').map(str::to_owned);
            parts.reduce(|line, part| line + &values.next().unwrap_or_default() + &part).unwrap_or_default()
        })
    }

    /// More than one line and all the outputs and samples of a run can't be kept, whatever is sent.
    const MOST_KEPT: usize = MAX_OUTPUT_BYTES + MAX_LINE_BYTES + 100 * 8;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hostile_messages_end_in_an_error_or_a_measurement(
            lines in prop::collection::vec(hostile_line(), 0..12), chunk in 1usize..200,
        ) {
            let (_, kept) = read_all((lines.join("\n") + "\n").as_bytes(), chunk);
            prop_assert!(kept <= MOST_KEPT);
        }

        #[test]
        fn any_bytes_are_read_or_refused(stream in prop::collection::vec(any::<u8>(), 0..600), chunk in 1usize..200) {
            let _ = read_all(&stream, chunk);
        }

        #[test]
        fn a_changed_stream_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let messages = [
                Message::Loaded { load_ns: 7, inputs: vec![], outputs: vec![], engine: None },
                Message::Samples { latencies_ns: vec![3, 4] },
                measured(2),
                Message::Output(Output::new("logits", &[1, 2], 0, &[1.0, 2.0])),
                finished(),
            ];
            let mut stream: Vec<u8> =
                messages.iter().flat_map(|message| serde_json::to_string(message).unwrap().into_bytes().into_iter().chain([b'\n'])).collect();
            prop_assert!(read_all(&stream, 64).0.is_ok());
            for (at, byte) in changes {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            let _ = read_all(&stream, 64);
        }
    }

    #[test]
    fn what_is_kept_stays_bounded_however_much_is_sent() {
        // Names without values, samples without end, and one value more than there is room for.
        let mut names = (0..).map(|n: u64| Message::Output(Output::new(&format!("{n:0900}"), &[0], 0, &[])));
        let mut values = (0..).map(|n: u64| Message::Output(Output::new("o", &[1], n, &[0.0])));
        let mut samples = (0..).map(|_: u64| Message::Samples { latencies_ns: vec![1; 64] });
        let streams: [&mut dyn Iterator<Item = Message>; 3] = [&mut names, &mut values, &mut samples];
        for messages in streams {
            let mut collector = Collector::new(&sample::job("board-1", "tiny"));
            collector.output_bytes = MAX_OUTPUT_BYTES - 40;
            let refused = messages.take(1000).find_map(|message| collector.take(message).err());
            assert!(refused.is_some_and(|error| error.contains("more")));
        }
    }
}
