//! What a network answered for the seeded input.
//!
//! Purpose: copy what is kept of it, outside of any timed window, and say what is left out. Main type: [`Answer`].
//! Never copies an output that is too large to be kept.

use std::io;

use farmctl_protocol::{MAX_OUTPUT_VALUES, Message, Output, Remark, RemarkKind, TensorInfo, VALUES_PER_MESSAGE};

use crate::backend::Session;

/// Outputs that a remark names; of more it says how many there are.
const NAMED: usize = 8;

/// The outputs of one inference, as far as they are kept.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    kept: Vec<(TensorInfo, Vec<f32>)>,
    left_out: Vec<String>,
}

impl Answer {
    /// Copies the outputs of the last inference, each whole or not at all.
    pub(crate) fn of(session: &dyn Session, outputs: Vec<TensorInfo>) -> Answer {
        let mut answer = Answer::default();
        let mut left = MAX_OUTPUT_VALUES;
        for (index, info) in outputs.into_iter().enumerate() {
            let Some(count) = info.values().filter(|count| *count <= left) else {
                let name = &info.name;
                let text = format!("{name} ({info}) is too large: of a run, {MAX_OUTPUT_VALUES} values are kept");
                answer.left_out.push(text);
                continue;
            };
            match session.output(index) {
                Ok(values) if values.len() as u64 == count => {
                    left -= count;
                    answer.kept.push((info, values));
                }
                Ok(values) => answer.left_out.push(format!("{} ({info}) has {} values", info.name, values.len())),
                Err(error) => answer.left_out.push(format!("{} ({info}): {error}", info.name)),
            }
        }
        answer
    }

    /// The remark on what is not kept, if anything isn't.
    fn remark(&self) -> Option<Remark> {
        let mut named = self.left_out.iter().take(NAMED).cloned().collect::<Vec<String>>().join("; ");
        if self.left_out.is_empty() {
            return None;
        }
        if self.left_out.len() > NAMED {
            named.push_str(&format!("; and {} more", self.left_out.len() - NAMED));
        }
        let message = format!("outputs are left out: {named}");
        Some(Remark { remark: RemarkKind::OutputsLeftOut, message })
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// When it can't be sent.
    pub(crate) fn send(&self, mut send: impl FnMut(&Message) -> io::Result<()>) -> io::Result<()> {
        for (info, values) in &self.kept {
            // An output without values is one, too.
            let empty: &[f32] = &[];
            let chunks = values.chunks(VALUES_PER_MESSAGE).chain(values.is_empty().then_some(empty));
            for (index, chunk) in chunks.enumerate() {
                let first = (index * VALUES_PER_MESSAGE) as u64;
                send(&Message::Output(Output::new(&info.name, &info.shape, first, chunk)))?;
            }
        }
        self.remark().map_or(Ok(()), |remark| send(&Message::Remark(remark)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backend::BackendError;
    use crate::values::Values;

    /// Answers each output with its first dimension as the number of values, and has a text for its second.
    struct Wide;

    impl Session for Wide {
        fn inputs(&self) -> &[TensorInfo] {
            &[]
        }
        fn set_inputs(&mut self, _values: Vec<Values>) -> Result<(), BackendError> {
            Ok(())
        }
        fn infer(&mut self) -> Result<(), BackendError> {
            Ok(())
        }
        fn outputs(&self) -> Result<Vec<TensorInfo>, BackendError> {
            Ok(Vec::new())
        }
        fn output(&self, index: usize) -> Result<Vec<f32>, BackendError> {
            match index {
                1 => Err(BackendError::Inference("it is made of string".to_owned())),
                _ => Ok(vec![1.0; [3, 0, 0, 5][index]]),
            }
        }
        fn threads(&self) -> u32 {
            1
        }
    }

    #[test]
    fn what_can_not_be_kept_is_named_and_the_rest_is_sent() {
        let info = |name: &str, element: &str, shape: &[u64]| TensorInfo::new(name, element, shape.to_vec());
        let outputs = vec![
            info("a", "f32", &[3]),
            info("words", "string", &[2]),
            info("none", "i64", &[0, 4]),
            info("b", "f32", &[5]),
            info("wide", "f32", &[1 << 20, 17]),
            info("endless", "f32", &[u64::MAX, 2]),
        ];
        let mut sent = Vec::new();
        let answer = Answer::of(&Wide, outputs);
        answer
            .send(|message| {
                sent.push(message.clone());
                Ok(())
            })
            .unwrap();
        let told = sent.iter().map(|message| match message {
            Message::Output(output) => format!("{} {}", output.name, output.values().unwrap().len()),
            Message::Remark(remark) => remark.message.clone(),
            other => panic!("{other:?}"),
        });
        let told: Vec<String> = told.collect();
        assert_eq!(told[..3], ["a 3", "none 0", "b 5"]);
        for part in ["words (string [2]): ", "wide (f32 [1048576, 17]) is too large", "endless"] {
            assert!(told[3].contains(part), "{told:?}");
        }
        assert_eq!(told.len(), 4);
    }
}
