//! The images whose classes a network is asked for.
//!
//! Purpose: from a file of bytes to the values that the network takes, the same to the last bit everywhere. Main type:
//! [`Images`]. Never knows what an image really shows.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use farmctl_protocol::{ElementType, Evaluation, JobSpec, Layout, Quantization, TensorInfo};

use super::element::{self, Number};
use super::input::Fed;
use crate::workdir::Workdir;

/// Most bytes of one image: far above what a network takes.
pub const MAX_IMAGE_BYTES: u64 = 1 << 26;

/// Says why the network can't be shown the job's images, if it can't.
pub(super) fn check_inputs(job: &JobSpec, inputs: &[Fed]) -> Result<(), String> {
    let Some(evaluation) = &job.evaluation else { return Ok(()) };
    let shape = evaluation.input_shape(job.batch, job.layout);
    match inputs {
        [input] if input.info.shape == shape => Ok(()),
        _ => {
            let shapes: Vec<_> = inputs.iter().map(|input| &input.info.shape).collect();
            Err(format!("the images are {shape:?}, the network takes {shapes:?}"))
        }
    }
}

/// Says why the network's answer doesn't tell the classes of the job's images, if it doesn't.
pub(super) fn check_outputs(job: &JobSpec, outputs: &[TensorInfo]) -> Result<(), String> {
    let Some(evaluation) = &job.evaluation else { return Ok(()) };
    let is_ranked = |output: &&TensorInfo| evaluation.scores.as_ref().is_none_or(|scores| output.name == *scores);
    let output = outputs.iter().find(is_ranked).ok_or_else(|| match &evaluation.scores {
        Some(scores) => format!("the network answers no output {scores:?}"),
        None => "the network answers nothing".to_owned(),
    })?;
    if output.values() != Some(u64::from(evaluation.classes) * u64::from(job.batch)) {
        return Err(format!("the images have {} classes, the network answers {:?}", evaluation.classes, output.shape));
    }
    // Each image's values are read one after the other.
    let first = output.shape.iter().find(|size| **size != 1);
    if job.batch > 1 && first.is_some_and(|size| *size != u64::from(job.batch)) {
        return Err(format!(
            "output {} {:?} does not begin with the batch of {}: which values are of which image can't be known",
            output.name, output.shape, job.batch
        ));
    }
    Ok(())
}

/// A job's images, ready to be sent.
#[derive(Debug)]
pub(super) struct Images {
    file: BufReader<File>,
    count: u32,
    batch: u32,
    channels: usize,
    image_bytes: usize,
    layout: Layout,
    element_bytes: usize,
    /// The element that each byte becomes, in each channel: one after the other.
    values: Vec<Vec<u8>>,
}

impl Images {
    /// Opens the job's file of images, which was verified before.
    pub(super) fn open(
        workdir: &Workdir,
        job: &JobSpec,
        evaluation: &Evaluation,
        input: &Fed,
    ) -> Result<Images, String> {
        let path = workdir.store().join(&evaluation.images.sha256);
        let file = File::open(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        let bytes = evaluation.image_bytes().and_then(|bytes| usize::try_from(bytes).ok());
        let kind = (input.element, input.info.quantization);
        Ok(Images {
            file: BufReader::new(file),
            count: evaluation.count,
            batch: job.batch,
            channels: evaluation.channels as usize,
            image_bytes: bytes.ok_or("an image is too large")?,
            layout: job.layout,
            element_bytes: input.element.size_bytes(),
            values: evaluation.mean.iter().zip(&evaluation.std).map(|(mean, std)| table(*mean, *std, kind)).collect(),
        })
    }

    /// Writes all images, batch by batch; what is left over in the last one is zeros.
    pub(super) fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        let mut image = vec![0; self.image_bytes];
        let mut values = vec![0; self.image_bytes * self.element_bytes];
        for _ in 0..self.count {
            self.file.read_exact(&mut image)?;
            self.convert(&image, &mut values);
            out.write_all(&values)?;
        }
        values.fill(0);
        for _ in 0..(self.batch - self.count % self.batch) % self.batch {
            out.write_all(&values)?;
        }
        out.flush()
    }

    fn convert(&self, image: &[u8], values: &mut [u8]) {
        let pixels = image.len() / self.channels;
        for (index, byte) in image.iter().enumerate() {
            let (pixel, channel) = (index / self.channels, index % self.channels);
            let at = match self.layout {
                Layout::Nchw => channel * pixels + pixel,
                Layout::Nhwc => index,
            };
            let element = &self.values[channel][usize::from(*byte) * self.element_bytes..][..self.element_bytes];
            values[at * self.element_bytes..][..self.element_bytes].copy_from_slice(element);
        }
    }
}

/// The element that each byte becomes: IEEE 754 fixes the results of both steps and of the one rounding to single
/// precision.
fn table(mean: f64, std: f64, (element, quantization): (ElementType, Option<Quantization>)) -> Vec<u8> {
    let mut elements = Vec::new();
    for byte in 0..=u8::MAX {
        let value = ((f64::from(byte) - mean) / std) as f32;
        element::push(&mut elements, Number::Real(value), element, quantization);
    }
    elements
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::supervise::input::fed;

    fn written(layout: Layout, batch: u32) -> Vec<f32> {
        let mut file = tempfile();
        // Two images of 1 × 2 pixels with three channels.
        file.write_all(&[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 255]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let bytes = bytes(file, layout, batch, (ElementType::Float32, None));
        bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    }

    fn bytes(file: File, layout: Layout, batch: u32, kind: (ElementType, Option<Quantization>)) -> Vec<u8> {
        let values = [(0.0, 1.0), (1.0, 2.0), (127.0, 128.0)].map(|(mean, std)| table(mean, std, kind)).to_vec();
        let (file, element_bytes) = (BufReader::new(file), kind.0.size_bytes());
        let images = Images { file, count: 2, batch, channels: 3, image_bytes: 6, layout, element_bytes, values };
        let mut bytes = Vec::new();
        images.write(&mut bytes).unwrap();
        bytes
    }

    fn tempfile() -> File {
        let path = std::env::temp_dir().join(format!(
            "farmctl-images-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn bytes_become_values_in_the_order_of_the_layout() {
        let rows_first = written(Layout::Nhwc, 1);
        assert_eq!(rows_first[..6], [0.0, 0.0, -125.0 / 128.0, 3.0, 1.5, -122.0 / 128.0]);
        let channels_first = written(Layout::Nchw, 1);
        assert_eq!(channels_first[..6], [0.0, 3.0, 0.0, 1.5, -125.0 / 128.0, -122.0 / 128.0]);
        assert_eq!(rows_first[11], 1.0);
    }

    #[test]
    fn bytes_become_steps_where_the_network_is_quantised() {
        let mut file = tempfile();
        file.write_all(&[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 255]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let quantization = Quantization { scale: 0.5, zero_point: 1 };
        let steps = bytes(file, Layout::Nhwc, 1, (ElementType::Int8, Some(quantization)));
        assert_eq!(steps[..6], [1, 1, 255, 7, 4, 255]);
    }

    #[test]
    fn the_last_batch_is_filled_up() {
        assert_eq!([1, 2, 3, 5].map(|batch| written(Layout::Nchw, batch).len()), [12, 12, 18, 30]);
    }

    #[test]
    fn a_network_that_cannot_classify_the_images_is_told_apart() {
        let tensor = |name: &str, shape: &[u64]| TensorInfo::new(name, "f32", shape.to_vec());
        let mut job: JobSpec = serde_json::from_str(JOB).unwrap();
        let inputs = |job: &JobSpec, infos: &[TensorInfo]| check_inputs(job, &fed(job, infos).unwrap());
        assert_eq!(inputs(&job, &[tensor("x", &[2, 3, 4, 5])]), Ok(()));
        assert!(inputs(&job, &[tensor("x", &[2, 4, 5, 3])]).unwrap_err().contains("the network takes [[2, 4, 5, 3]]"));
        assert!(inputs(&job, &[]).is_err());
        let (right, wrong) = (tensor("probabilities", &[2, 10]), tensor("features", &[2, 9]));
        assert_eq!(check_outputs(&job, std::slice::from_ref(&right)), Ok(()));
        assert!(check_outputs(&job, &[wrong.clone(), right.clone()]).unwrap_err().contains("10 classes"));
        assert_eq!(check_outputs(&job, &[tensor("y", &[1, 2, 1, 10])]), Ok(()));
        for shape in [&[10, 2][..], &[1, 5, 2, 2], &[20]] {
            let refused = check_outputs(&job, &[tensor("turned", shape)]).unwrap_err();
            assert!(refused.contains("output turned") && refused.contains("the batch of 2"), "{refused}");
        }
        job.evaluation.as_mut().unwrap().scores = Some("probabilities".to_owned());
        assert_eq!(check_outputs(&job, &[wrong.clone(), right]), Ok(()));
        assert!(check_outputs(&job, &[wrong]).unwrap_err().contains("no output \"probabilities\""));
        assert!(check_outputs(&job, &[]).is_err());
        job.evaluation = None;
        assert_eq!((inputs(&job, &[]), check_outputs(&job, &[])), (Ok(()), Ok(())));
    }

    const JOB: &str = r#"{"model":{"sha256":"","size_bytes":0},"format":"onnx","backend":"tract","precision":"fp32",
        "threads":1,"cpus":null,"batch":2,"scenario":"single_stream","seed":1,"input_range":{"low":0,"high":1},
        "limits":{"warmup_min_runs":0,"warmup_min_seconds":0,"warmup_max_seconds":0,"min_runs":1,"max_runs":1,
        "min_seconds":0,"max_seconds":0},"evaluation":{"images":{"sha256":"","size_bytes":0},"count":1,"height":4,
        "width":5,"channels":3,"classes":10,"mean":[0,0,0],"std":[1,1,1]}}"#;
}
