use std::collections::BTreeMap;

use farmctl_protocol::{MAX_NAME_BYTES, MAX_OUTPUT_VALUES, MAX_RANK, MAX_TENSORS, Output};

use crate::domain::{OutputRef, sha256_hex};

/// Bytes of a value.
const VALUE_BYTES: usize = size_of::<f32>();
/// Outputs that a remark names; of more it says how many there are.
const NAMED: usize = 8;

/// Output tensors of a run, put together from their chunks. One that is too large, or does not fit together, is left
/// out: that says nothing against what was measured.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    gathered: BTreeMap<String, Gathered>,
    values: u64,
    left_out: BTreeMap<String, String>,
    /// Left out as well; their names were not kept.
    more_left_out: u64,
}

#[derive(Debug)]
struct Gathered {
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Outputs {
    /// Takes in the next chunk.
    pub(super) fn take(&mut self, chunk: &Output) {
        if self.left_out.contains_key(&chunk.name) {
            return;
        }
        if let Err(why) = self.add(chunk) {
            self.leave_out(&chunk.name, why);
        }
    }

    fn add(&mut self, chunk: &Output) -> Result<(), String> {
        let values = chunk.values()?;
        if chunk.shape.len() > MAX_RANK || chunk.name.len() > MAX_NAME_BYTES {
            return Err(format!("it has more than {MAX_RANK} dimensions or {MAX_NAME_BYTES} bytes of name"));
        }
        if self.gathered.len() + self.left_out.len() >= MAX_TENSORS && !self.gathered.contains_key(&chunk.name) {
            return Err(format!("there are more than {MAX_TENSORS}"));
        }
        self.values += values.len() as u64;
        if self.values > MAX_OUTPUT_VALUES {
            self.values -= values.len() as u64;
            return Err(format!("more than {MAX_OUTPUT_VALUES} values are not kept of a run"));
        }
        let gathered = self.gathered.entry(chunk.name.clone());
        let gathered = gathered.or_insert_with(|| Gathered { shape: chunk.shape.clone(), bytes: Vec::new() });
        gathered.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let before = gathered.bytes.len() / VALUE_BYTES - values.len();
        if chunk.first == before as u64 {
            return Ok(());
        }
        Err(format!("a chunk is missing before value {}", chunk.first))
    }

    fn leave_out(&mut self, name: &str, why: String) {
        if let Some(gathered) = self.gathered.remove(name) {
            self.values -= (gathered.bytes.len() / VALUE_BYTES) as u64;
        }
        if self.left_out.len() < MAX_TENSORS {
            self.left_out.insert(name.chars().take(MAX_NAME_BYTES).collect(), why);
        } else {
            self.more_left_out += 1;
        }
    }

    /// The outputs that arrived whole, with their bytes, and remarks: on the others, and on values that are no numbers.
    pub(super) fn finish(mut self) -> (Vec<(OutputRef, Vec<u8>)>, Vec<String>) {
        let mut kept = Vec::new();
        for (name, Gathered { shape, bytes }) in std::mem::take(&mut self.gathered) {
            let values = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
            let got = bytes.len() / VALUE_BYTES;
            if values == Some(got as u64) {
                kept.push((OutputRef { name, shape, sha256: sha256_hex(&bytes) }, bytes));
            } else {
                self.leave_out(&name, format!("it has {got} values, its shape is {shape:?}"));
            }
        }
        let no_numbers = no_numbers(&kept);
        let count = self.left_out.len() as u64 + self.more_left_out;
        let named = self.left_out.iter().take(NAMED).map(|(name, why)| {
            let name: String = name.chars().take(80).collect();
            format!("{name}: {why}")
        });
        let named = named.collect::<Vec<String>>().join("; ");
        let left_out = (count > 0).then(|| format!("outputs are left out ({count} in all): {named}"));
        (kept, left_out.into_iter().chain(no_numbers).collect())
    }
}

/// Says which outputs have values that are no numbers, as after a division by zero or an overflow.
fn no_numbers(kept: &[(OutputRef, Vec<u8>)]) -> Option<String> {
    let named = kept.iter().filter_map(|(output, bytes)| {
        let values = bytes.as_chunks::<VALUE_BYTES>().0;
        let count = values.iter().filter(|value| f32::from_le_bytes(**value).is_nan()).count();
        let name: String = output.name.chars().take(80).collect();
        (count > 0).then(|| format!("{count} of {} in {name}", values.len()))
    });
    let named: Vec<String> = named.take(NAMED).collect();
    (!named.is_empty()).then(|| format!("the network answers values that are no numbers (NaN): {}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_left_out_and_the_rest_is_kept() {
        let cases = [
            ("missing before", vec![Output::new("o", &[4], 2, &[1.0])]),
            ("missing before", vec![Output::new("o", &[4], 1 << 62, &[1.0])]),
            ("missing before", vec![Output::new("o", &[2], 0, &[1.0]), Output::new("o", &[2], u64::MAX, &[1.0])]),
            ("64 dimensions", vec![Output::new("o", &[1; 65], 0, &[1.0])]),
            ("bytes of name", vec![Output::new(&"o".repeat(1025), &[1], 0, &[1.0])]),
            ("it has 1 values, its shape is [4]", vec![Output::new("o", &[4], 0, &[1.0])]),
            ("base64", vec![Output { values_base64: "?".to_owned(), ..Output::new("o", &[1], 0, &[1.0]) }]),
            ("(3 in all)", (0..MAX_TENSORS + 2).map(|n| Output::new(&n.to_string(), &[0], 0, &[])).collect()),
        ];
        for (expected, chunks) in cases {
            let mut outputs = Outputs::default();
            outputs.take(&Output::new("good", &[1], 0, &[1.0]));
            chunks.iter().for_each(|chunk| outputs.take(chunk));
            // One value may still wait for the rest of its output.
            assert!(outputs.values <= 2, "{expected}");
            let (kept, remark) = outputs.finish();
            assert!(kept.iter().any(|(output, _)| output.name == "good"), "{expected}");
            assert!(remark[0].contains(expected), "{remark:?}");
        }
    }

    #[test]
    fn an_output_that_is_too_much_leaves_room_for_the_next() {
        let mut outputs = Outputs { values: MAX_OUTPUT_VALUES - 2, ..Outputs::default() };
        outputs.take(&Output::new("large", &[3], 0, &[1.0]));
        outputs.take(&Output::new("large", &[3], 1, &[1.0, 1.0]));
        outputs.take(&Output::new("large", &[3], 3, &[1.0]));
        outputs.take(&Output::new("small", &[2], 0, &[1.0, 2.0]));
        let (kept, remark) = outputs.finish();
        assert_eq!(kept.iter().map(|(output, _)| output.name.as_str()).collect::<Vec<_>>(), ["small"]);
        assert!(remark[0].contains("large: more than 16777216 values"), "{remark:?}");
    }

    #[test]
    fn values_that_are_no_numbers_are_told() {
        let mut outputs = Outputs::default();
        outputs.take(&Output::new("fine", &[2], 0, &[1.0, f32::INFINITY]));
        outputs.take(&Output::new("y", &[3], 0, &[f32::NAN, 1.0, -f32::NAN]));
        assert_eq!(outputs.finish().1, ["the network answers values that are no numbers (NaN): 2 of 3 in y"]);
    }
}
