//! The inputs that a model's file has, held against those that the job says.
//!
//! Purpose: the one rule by which an engine's shapes are settled. Main function: [`settle`]. Never changes a dimension
//! that the file fixes.

use std::fmt;

use farmctl_protocol::{ElementType, TensorInfo};

use crate::backend::BackendError;
use crate::order::Order;

/// An input as the model's file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInput {
    /// Its name.
    pub name: String,
    /// Word for its element type.
    pub element: String,
    /// Its dimensions, `None` for one that is open; `None` for all where the file does not even tell how many there
    /// are.
    pub shape: Option<Vec<Option<u64>>>,
}

/// As people write it: `f32 [?, 3, 224, 224]`.
impl fmt::Display for FileInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shape) = &self.shape else { return write!(f, "{} of any shape", self.element) };
        let shape: Vec<String> =
            shape.iter().map(|size| size.map_or_else(|| "?".to_owned(), |size| size.to_string())).collect();
        write!(f, "{} [{}]", self.element, shape.join(", "))
    }
}

/// An input whose type and shape are settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Its place among the file's inputs.
    pub place: usize,
    /// Name, type and shape.
    pub info: TensorInfo,
    /// Its type.
    pub element: ElementType,
}

/// The inputs of a network with types and shapes, in the order in which their values come.
///
/// # Errors
/// When the order says others than the file has, or the file leaves open what the order does not say.
pub fn settle(order: &Order, file: &[FileInput]) -> Result<Vec<Settled>, BackendError> {
    if order.inputs.is_empty() {
        let settled = file.iter().enumerate().map(|(place, input)| by_batch(order.batch, place, input));
        return settled.collect::<Result<_, String>>().map_err(BackendError::Unsupported);
    }
    let names = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if file.len() != order.inputs.len() {
        return Err(BackendError::Unsupported(format!(
            "the model's file has the inputs {}, the job says {}",
            names(file.iter().map(|input| input.name.as_str()).collect()),
            names(order.inputs.iter().map(|input| input.name.as_str()).collect()),
        )));
    }
    let settled = order.inputs.iter().map(|wanted| {
        let info = TensorInfo::new(wanted.name.clone(), wanted.element.as_str(), wanted.shape.clone());
        let place = file.iter().position(|input| input.name == wanted.name);
        let place = place.ok_or_else(|| format!("the model's file has no input {:?}", wanted.name))?;
        let input = &file[place];
        let fits = |shape: &Vec<Option<u64>>| {
            let agrees = |(fixed, size): (&Option<u64>, &u64)| fixed.is_none_or(|fixed| fixed == *size);
            shape.len() == wanted.shape.len() && shape.iter().zip(&wanted.shape).all(agrees)
        };
        if input.element != wanted.element.as_str() || !input.shape.as_ref().is_none_or(fits) {
            return Err(format!("input {} is {input} in the model's file, the job says {info}", wanted.name));
        }
        Ok(Settled { place, info, element: wanted.element })
    });
    let settled = settled.collect::<Result<Vec<Settled>, String>>().map_err(BackendError::Unsupported)?;
    let twice =
        settled.iter().enumerate().find(|(index, it)| settled[..*index].iter().any(|other| other.place == it.place));
    match twice {
        Some((_, it)) => Err(BackendError::Unsupported(format!("the job says input {} twice", it.info.name))),
        None => Ok(settled),
    }
}

/// What a file says of an input of which the order says nothing: an open first dimension is the batch.
fn by_batch(batch: u32, place: usize, input: &FileInput) -> Result<Settled, String> {
    let FileInput { name, element, shape } = input;
    let element: ElementType =
        element.parse().map_err(|_| format!("input {name} is made of {element}, which can't be fed"))?;
    let shape = shape.as_ref().ok_or_else(|| format!("the model's file tells no shape of input {name}"))?;
    let size = |(dimension, size): (usize, &Option<u64>)| match (dimension, size) {
        (_, Some(size)) => Ok(*size),
        (0, None) => Ok(u64::from(batch)),
        (dimension, None) => Err(format!("dimension {dimension} of input {name} is not fixed in the model's file")),
    };
    let sizes = shape.iter().enumerate().map(size).collect::<Result<Vec<u64>, String>>()?;
    if batch != 1 && shape.first().is_none_or(|first| first.is_some_and(|first| first != u64::from(batch))) {
        return Err(format!("input {name} is {input} in the model's file, the job asks for a batch of {batch}"));
    }
    Ok(Settled { place, info: TensorInfo::new(name.clone(), element.as_str(), sizes), element })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::{OrderedInput, sample_order};

    fn input(name: &str, element: &str, shape: &[i64]) -> FileInput {
        let shape = shape.iter().map(|size| u64::try_from(*size).ok()).collect();
        FileInput { name: name.to_owned(), element: element.to_owned(), shape: Some(shape) }
    }

    /// Name, type and shape of an input that the job says.
    type Said<'a> = (&'a str, ElementType, &'a [u64]);

    fn order(batch: u32, inputs: &[Said<'_>]) -> Order {
        let ordered = |(name, element, shape): &Said<'_>| OrderedInput {
            name: (*name).to_owned(),
            element: *element,
            shape: shape.to_vec(),
        };
        Order { batch, inputs: inputs.iter().map(ordered).collect(), ..sample_order() }
    }

    #[test]
    fn the_order_fills_what_is_open_and_keeps_its_own_sequence() {
        let file = [input("ids", "i64", &[-1, 128]), input("image", "f32", &[-1, 3, -1, -1])];
        let wanted: [Said<'_>; 2] =
            [("image", ElementType::Float32, &[2, 3, 48, 192]), ("ids", ElementType::Int64, &[2, 128])];
        let settled = settle(&order(1, &wanted), &file).unwrap();
        let told: Vec<_> = settled.iter().map(|it| (it.place, it.info.to_string())).collect();
        assert_eq!(told, [(1, "f32 [2, 3, 48, 192]".to_owned()), (0, "i64 [2, 128]".to_owned())]);
        let unsaid = FileInput { shape: None, ..input("image", "f32", &[]) };
        assert_eq!(settle(&order(1, &wanted[..1]), &[unsaid]).unwrap()[0].info.shape, [2, 3, 48, 192]);
    }

    #[test]
    fn what_the_file_fixes_stays() {
        let file = [input("x", "f32", &[3, -1])];
        let cases: [(&[Said<'_>], &str); 5] = [
            (&[("x", ElementType::Float32, &[1, 8])], "x is f32 [3, ?] in the model's file, the job says f32 [1, 8]"),
            (&[("x", ElementType::Float32, &[3])], "the job says f32 [3]"),
            (&[("x", ElementType::Float16, &[3, 8])], "the job says f16 [3, 8]"),
            (&[("y", ElementType::Float32, &[3, 8])], "no input \"y\""),
            (
                &[("x", ElementType::Float32, &[3, 8]), ("y", ElementType::Float32, &[1])],
                "has the inputs x, the job says x, y",
            ),
        ];
        for (wanted, part) in cases {
            let error = settle(&order(1, wanted), &file).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn without_a_word_of_the_order_an_open_first_dimension_is_the_batch() {
        let shapes = |batch, shape: &[i64]| {
            let settled = settle(&order(batch, &[]), &[input("x", "f32", shape)]);
            settled.map(|settled| settled[0].info.shape.clone()).map_err(|error| error.to_string())
        };
        assert_eq!(shapes(4, &[-1, 3]), Ok(vec![4, 3]));
        assert_eq!(shapes(1, &[3, 512]), Ok(vec![3, 512]));
        assert!(
            shapes(4, &[1, 3]).unwrap_err().contains("f32 [1, 3] in the model's file, the job asks for a batch of 4")
        );
        assert!(shapes(1, &[1, -1]).unwrap_err().contains("dimension 1 of input x"));
        let text = settle(&order(1, &[]), &[input("x", "string", &[1])]).unwrap_err().to_string();
        assert!(text.contains("made of string"), "{text}");
    }
}
