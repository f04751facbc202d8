//! The shapes and types that a cell is measured with: what the file, its entry and the batch say, brought together
//! once.
//!
//! - A dimension that the file fixes stays what it is. One that it leaves open is what the entry says; without a word
//!   of the entry it takes the size that another input gives to the same symbol.
//! - The batch is a first dimension that the file leaves open, unless the entry gives it another size than 1, which is
//!   refused where an operator reads it as the batch: the entry's shape is of one image. Where an operator reads it as
//!   steps, as an LSTM does, it is no batch, and the entry must say how many there are.
//! - A first dimension that the file fixes is no batch, but for two cases: an operator reads it as one, as a
//!   convolution does, or the entry's shape, which is of one image, begins with 1 where the file has another number.
//!   Then that many images are in each inference, no more and no fewer.

use crate::domain::{
    ArtifactRef, CatalogInput, CatalogModel, Dimension, ElementType, FirstDimension, GivenValues, InputSpec, Layout,
    ModelSignature, TensorElement, TensorSignature, WeightsFile,
};

mod bounds;
mod doubt;
mod range;
mod said;
#[cfg(test)]
mod tests;

use bounds::{check_bounds, check_size};
use doubt::as_images;
pub use doubt::batch_doubt;
use range::{FLOATS, range};
use said::{Said, Wanted, advice, turned};

/// Formats whose engines must be told the shape: their files don't have it.
const SHAPELESS_FORMATS: [&str; 2] = ["caffe2", "torchscript_lite"];
/// Name of an input whose file is not read, where the catalogue names none.
const UNNAMED: &str = "input";

/// Every input of a network as it is measured with that batch, in the file's order; none where the file isn't read and
/// the catalogue does not tell them.
///
/// # Errors
/// Says why it can't be measured so, and what to do about it.
pub fn inputs(model: &CatalogModel, file: &WeightsFile, batch: u32) -> Result<Vec<InputSpec>, String> {
    let fixed = match &file.signature {
        Some(Ok(signature)) => of_signature(model, signature, file.layout, batch)?,
        Some(Err(why)) => return Err(why.clone()),
        None if SHAPELESS_FORMATS.contains(&file.format.as_str()) => of_catalog(model, file, batch)?,
        None => Vec::new(),
    };
    check_size(&fixed)?;
    Ok(fixed)
}

/// Images that an inference of a file takes at least: more than one only where the file fixes that.
pub fn least_batch(model: &CatalogModel, file: &WeightsFile) -> u32 {
    let Some(Ok(signature)) = &file.signature else { return 1 };
    let sizes = Sizes::new(model, signature, file.layout);
    sizes.ok().and_then(|sizes| sizes.fixed_batch).map_or(1, |(_, images)| u32::try_from(images).unwrap_or(u32::MAX))
}

fn of_signature(
    model: &CatalogModel,
    signature: &ModelSignature,
    layout: Layout,
    batch: u32,
) -> Result<Vec<InputSpec>, String> {
    check_bounds(signature)?;
    let sizes = Sizes::new(model, signature, layout)?;
    let images = sizes.images(signature, batch)?;
    let fixed = signature.inputs.iter().zip(&sizes.of_inputs).map(|(input, sizes)| {
        let entry = model.inputs.iter().find(|entry| entry.name == input.name);
        let TensorElement::Number(element) = input.element else {
            let (name, element) = (&input.name, &input.element);
            return Err(format!("its input {name} is a {element}, which farmctl can't feed: export it with numbers"));
        };
        if let Some(said) = entry.and_then(|entry| entry.element).filter(|said| *said != element) {
            return Err(format!("models.yaml says {said} for input {}, the file has {element}", input.name));
        }
        let shape = sizes.iter().map(|size| match size {
            Size::Number(number) => *number,
            Size::Batch => images,
        });
        let shape: Vec<u64> = shape.collect();
        Ok(InputSpec {
            name: input.name.clone(),
            element,
            values: given(entry, element, &shape)?,
            shape,
            range: match entry.and_then(|entry| entry.range) {
                // They stand for real numbers, which are what the range is of.
                own if input.is_quantised => own.or(model.input_range).unwrap_or(FLOATS),
                own => range(&input.name, model.input_range, own, element)?,
            },
        })
    });
    fixed.collect()
}

/// What is not in the file stands in the catalogue: each input, or the shape of the only one.
fn of_catalog(model: &CatalogModel, file: &WeightsFile, batch: u32) -> Result<Vec<InputSpec>, String> {
    let only = CatalogInput { name: UNNAMED.to_owned(), shape: None, range: None, element: None, values: None };
    let entries = if model.inputs.is_empty() { std::slice::from_ref(&only) } else { model.inputs.as_slice() };
    let images = u64::from(batch);
    let mut has_batch = false;
    let mut fixed = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let of_model = model.input_shape.as_ref().filter(|_| index == 0).map(|shape| turned(shape, file.layout));
        let of_values = known_values(entry)?.and_then(|values| values.shape.clone());
        let Some(mut shape) = entry.shape.clone().or(of_model).or(of_values) else {
            let format = &file.format;
            return Err(match model.inputs.is_empty() {
                true => {
                    format!("a {format} file does not tell the shape of its input: add `input_shape` to models.yaml")
                }
                false => {
                    format!("a {format} file does not tell the shape of its inputs: add the `shape` of {}", entry.name)
                }
            });
        };
        if let Some(first) = shape.first_mut().filter(|first| **first == 1) {
            (*first, has_batch) = (images, true);
        }
        let element = entry.element.unwrap_or(ElementType::Float32);
        let range = range(&entry.name, model.input_range, entry.range, element)?;
        let values = given(Some(entry), element, &shape)?;
        fixed.push(InputSpec { name: entry.name.clone(), element, shape, range, values });
    }
    if images > 1 && !has_batch {
        return Err(format!("no shape in models.yaml begins with 1, which is the batch, and batch {batch} is asked"));
    }
    Ok(fixed)
}

/// The values that an entry gives, as they were read; an error says why they can't be used.
fn known_values(entry: &CatalogInput) -> Result<Option<&GivenValues>, String> {
    match entry.values.as_ref().and_then(|values| values.found.as_ref()) {
        None => Ok(None),
        Some(Ok(values)) => Ok(Some(values)),
        Some(Err(why)) => Err(why.clone()),
    }
}

/// The values that an input is given, which must be of the very type and shape that is measured.
fn given(entry: Option<&CatalogInput>, element: ElementType, shape: &[u64]) -> Result<Option<ArtifactRef>, String> {
    let Some((entry, values)) = entry.and_then(|entry| Some((entry, entry.values.as_ref()?))) else { return Ok(None) };
    let (name, path) = (&entry.name, values.path.display());
    let Some(values) = known_values(entry)? else { return Err(format!("the values in {path} were not read")) };
    if let Some(other) = values.element.filter(|other| *other != element) {
        return Err(format!("the values in {path} are {other}, input {name} is {element}: save them as {element}"));
    }
    if let Some(other) = values.shape.as_ref().filter(|other| *other != shape) {
        return Err(format!(
            "the values in {path} are {other:?}, input {name} is measured as {shape:?}: give others, or ask for the \
             batch that they are"
        ));
    }
    let count = shape.iter().try_fold(element.size_bytes() as u64, |product, size| product.checked_mul(*size));
    if count != Some(values.artifact.size_bytes) {
        let bytes = values.artifact.size_bytes;
        return Err(format!(
            "the values in {path} have {bytes} bytes, which are not {element} {shape:?} of input {name}"
        ));
    }
    Ok(Some(values.artifact.clone()))
}

/// A size of a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Number(u64),
    Batch,
}

/// The sizes of all inputs, as far as the batch leaves them to be said.
struct Sizes {
    of_inputs: Vec<Vec<Size>>,
    /// The batch that the file fixes, and the input that shows it.
    fixed_batch: Option<(usize, u64)>,
    layout: Layout,
}

impl Sizes {
    fn new(model: &CatalogModel, signature: &ModelSignature, layout: Layout) -> Result<Sizes, String> {
        let wanted = Wanted::new(model, signature, layout)?;
        let symbols = wanted.symbols(signature);
        let (mut of_inputs, mut fixed_batch) = (Vec::new(), None);
        for (index, (input, said)) in signature.inputs.iter().zip(&wanted.of_inputs).enumerate() {
            let Some(dims) = &input.dims else {
                // Of what isn't fed, the shape does not matter: the reason is told with its type.
                let is_number = matches!(input.element, TensorElement::Number(_));
                let said = said.as_ref().map(|said| said.shape.as_slice());
                if said.is_none() && is_number {
                    let advice = advice(input, index, signature, layout);
                    return Err(format!(
                        "the file does not fix how many dimensions its input {} has: {advice}",
                        input.name
                    ));
                }
                let size = |(axis, size): (usize, &u64)| {
                    if (axis, *size) == (0, 1) { Size::Batch } else { Size::Number(*size) }
                };
                of_inputs.push(said.unwrap_or_default().iter().enumerate().map(size).collect());
                continue;
            };
            let mut sizes = Vec::new();
            for (axis, dim) in dims.iter().enumerate() {
                let wanted = said.as_ref().map(|said| said.shape[axis]);
                let has_batch = input.first_dimension == Some(FirstDimension::Batch);
                sizes.push(match (dim, wanted) {
                    (Dimension::Fixed(size), said) if axis == 0 && *size != 1 && (said == Some(1) || has_batch) => {
                        fixed_batch = fixed_batch.or(Some((index, *size)));
                        Size::Number(*size)
                    }
                    (Dimension::Fixed(size), _) => Size::Number(*size),
                    (Dimension::Open(symbol), wanted) => {
                        let known = symbol.as_deref().and_then(|symbol| symbols.get(symbol)).copied();
                        let size = if axis == 0 { open_first(input, said.as_ref(), known)? } else { None };
                        size.or(wanted.map(Size::Number)).or(known).ok_or_else(|| {
                            let advice = advice(input, index, signature, layout);
                            let (name, shape) = (&input.name, input.shape_text());
                            let steps =
                                if axis == 0 { ", and an operator reads it as steps of a sequence" } else { "" };
                            format!(
                                "dimension {axis} ({dim}) of input {name} {shape} is open in the file{steps}: {advice}"
                            )
                        })?
                    }
                });
            }
            of_inputs.push(sizes);
        }
        Ok(Sizes { of_inputs, fixed_batch, layout })
    }

    /// The size of the batch, which must be the file's where that has one.
    fn images(&self, signature: &ModelSignature, batch: u32) -> Result<u64, String> {
        let images = u64::from(batch);
        if let Some((index, fixed)) = self.fixed_batch {
            if fixed != images {
                let input = &signature.inputs[index];
                return Err(format!(
                    "the batch is fixed at {fixed} in the file (input {} {}), and batch {batch} is asked: ask for \
                     `batch: {fixed}`, or export it with an open batch",
                    input.name,
                    input.shape_text()
                ));
            }
            return Ok(fixed);
        }
        let has_batch = self.of_inputs.iter().flatten().any(|size| *size == Size::Batch);
        match signature.inputs.first() {
            Some(first) if images > 1 && !has_batch => Err(no_batch(first, signature, self.layout, batch)),
            None if images > 1 => Err(format!("it has no input, and batch {batch} is asked")),
            _ => Ok(images),
        }
    }
}

/// The size of a first dimension that the file leaves open; `None` where it is that which the entry says, or which
/// another input gives to the same symbol.
fn open_first(input: &TensorSignature, said: Option<&Said>, known: Option<Size>) -> Result<Option<Size>, String> {
    let wanted = said.map(|said| (said, said.shape[0]));
    match (input.first_dimension, wanted) {
        (Some(FirstDimension::Steps), _) => Ok(None),
        (_, Some((_, 1))) => Ok(Some(Size::Batch)),
        // Values must be those of the whole batch.
        (Some(FirstDimension::Batch), Some((said, _))) if said.is_of_values => Ok(Some(Size::Batch)),
        (Some(FirstDimension::Batch), Some((said, images))) => {
            let (name, shape, text) = (&input.name, input.shape_text(), &said.text);
            Err(format!(
                "models.yaml says {text} for input {name} {shape}, whose first dimension is the batch: the shape there \
                 is of one image, so begin it with 1, and ask for `batch: {images}`"
            ))
        }
        (None, Some(_)) => Ok(None),
        (_, None) => Ok(Some(known.filter(|known| *known != Size::Batch).unwrap_or(Size::Batch))),
    }
}

/// Says that an input has no batch which could be another than it is.
fn no_batch(input: &TensorSignature, signature: &ModelSignature, layout: Layout, batch: u32) -> String {
    let (name, shape) = (&input.name, input.shape_text());
    let dims = input.dims.as_deref().unwrap_or_default();
    let fixed = format!("the first dimension of input {name} {shape} is fixed in the file, and batch {batch} is asked");
    match dims {
        [_, ..] if input.first_dimension == Some(FirstDimension::Steps) => format!(
            "the first dimension of input {name} {shape} is read as steps of a sequence, which are no batch, and batch \
             {batch} is asked: ask for `batch: 1`"
        ),
        [Dimension::Fixed(1), ..] => format!("{fixed}: export it with an open batch, or ask for `batch: 1`"),
        [Dimension::Fixed(first), ..] => format!(
            "{fixed}: ask for `batch: 1`, which measures it as it is; where these {first} are images, {}, and ask for \
             `batch: {first}`",
            as_images(input, 0, signature, layout)
        ),
        [Dimension::Open(_), ..] => format!(
            "models.yaml gives the first dimension of input {name} {shape} a size of its own, so that it is no \
             batch, and batch {batch} is asked: ask for `batch: 1`, or begin its shape with 1 where these are images"
        ),
        [] => format!("input {name} {shape} has no batch, and batch {batch} is asked: ask for `batch: 1`"),
    }
}
