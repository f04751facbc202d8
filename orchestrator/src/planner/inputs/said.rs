//! What the catalogue says of shapes, held against the file.

use std::collections::BTreeMap;

use super::{Size, known_values};
use crate::domain::{CatalogModel, Dimension, FirstDimension, Layout, ModelSignature, TensorSignature};

/// A shape that the catalogue says, in the file's order of dimensions.
pub(super) struct Said {
    pub(super) shape: Vec<u64>,
    /// As it is written there.
    pub(super) text: String,
    /// Whether it is that of values which the entry gives, and not the shape for one image.
    pub(super) is_of_values: bool,
}

/// What the catalogue says of each input's shape.
pub(super) struct Wanted {
    pub(super) of_inputs: Vec<Option<Said>>,
}

impl Wanted {
    pub(super) fn new(model: &CatalogModel, signature: &ModelSignature, layout: Layout) -> Result<Wanted, String> {
        let names = || signature.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(entry) = model.inputs.iter().find(|it| signature.inputs.iter().all(|input| input.name != it.name)) {
            return Err(format!("models.yaml tells of an input {}, and the file has {}", entry.name, names()));
        }
        if signature.inputs.is_empty() && model.input_shape.is_some() {
            return Err("models.yaml tells the shape of an input, and the file has none".to_owned());
        }
        let said = |(index, input): (usize, &TensorSignature)| {
            let entry = model.inputs.iter().find(|entry| entry.name == input.name);
            let own = entry.and_then(|entry| entry.shape.as_ref());
            let said = |shape: &Vec<u64>, text| Said { shape: shape.clone(), text, is_of_values: false };
            let own = own.map(|shape| said(shape, format!("{shape:?}")));
            let of_values = entry.map(known_values).transpose()?.flatten().and_then(|values| values.shape.as_ref());
            let of_values =
                of_values.map(|shape| Said { is_of_values: true, ..said(shape, format!("{shape:?} by its values")) });
            let own = own.or(of_values);
            let first = model.input_shape.as_ref().filter(|_| index == 0).map(|shape| {
                let turned = turned(shape, layout);
                let text =
                    if turned == *shape { format!("{shape:?}") } else { format!("{shape:?}, in {layout} {turned:?},") };
                Said { shape: turned, text, is_of_values: false }
            });
            let said = match (own, first) {
                (Some(own), Some(first)) if own.shape != first.shape => {
                    let (name, own, first) = (&input.name, own.text, first.text);
                    return Err(format!(
                        "models.yaml says two shapes of input {name}: {own} and, by `input_shape`, {first}"
                    ));
                }
                (own, first) => own.or(first),
            };
            said.map(|said| check_fits(input, said)).transpose()
        };
        let of_inputs = signature.inputs.iter().enumerate().map(said).collect::<Result<_, _>>()?;
        Ok(Wanted { of_inputs })
    }

    /// The size of each symbol that means one thing: it stands nowhere twice in an input, and what is said of it
    /// agrees.
    pub(super) fn symbols<'a>(&self, signature: &'a ModelSignature) -> BTreeMap<&'a str, Size> {
        let mut found: BTreeMap<&str, Option<Size>> = BTreeMap::new();
        for (input, said) in signature.inputs.iter().zip(&self.of_inputs) {
            let mut seen: Vec<&str> = Vec::new();
            let has_steps = input.first_dimension == Some(FirstDimension::Steps);
            for (axis, dim) in input.dims.iter().flatten().enumerate() {
                let Dimension::Open(Some(symbol)) = dim else { continue };
                let size = match said.as_ref().map(|said| said.shape[axis]) {
                    Some(1) if axis == 0 && !has_steps => Some(Size::Batch),
                    Some(size) => Some(Size::Number(size)),
                    None => None,
                };
                if seen.contains(&symbol.as_str()) {
                    found.insert(symbol, None);
                } else if let Some(size) = size {
                    let agreed = found.entry(symbol).or_insert(Some(size));
                    *agreed = agreed.filter(|agreed| *agreed == size);
                }
                seen.push(symbol);
            }
        }
        // Without a word of it anywhere, what is first in an input is the batch.
        for input in signature.inputs.iter().filter(|input| input.first_dimension != Some(FirstDimension::Steps)) {
            if let Some([Dimension::Open(Some(symbol)), ..]) = input.dims.as_deref() {
                found.entry(symbol).or_insert(Some(Size::Batch));
            }
        }
        found.into_iter().filter_map(|(symbol, size)| Some((symbol, size?))).collect()
    }
}

/// A shape is refused that the file's own contradicts.
fn check_fits(input: &TensorSignature, said: Said) -> Result<Said, String> {
    let Some(dims) = &input.dims else { return Ok(said) };
    let may_be_images = input.first_dimension != Some(FirstDimension::Steps);
    let fits = |(axis, (dim, size)): (usize, (&Dimension, &u64))| {
        dim.size().is_none_or(|fixed| fixed == *size || (axis == 0 && *size == 1 && may_be_images))
    };
    if dims.len() == said.shape.len() && dims.iter().zip(&said.shape).enumerate().all(fits) {
        if said.shape.first() == Some(&0) && dims[0].size().is_none() {
            let (name, text) = (&input.name, said.text);
            return Err(format!("models.yaml says {text} for input {name}: that is of no image, and none is measured"));
        }
        return Ok(said);
    }
    let (name, shape, text) = (&input.name, input.shape_text(), said.text);
    Err(format!("models.yaml says {text} for input {name}, and the file has {shape}: correct models.yaml, or the file"))
}

/// What to add to the catalogue so that an input's shape is known.
pub(super) fn advice(input: &TensorSignature, index: usize, signature: &ModelSignature, layout: Layout) -> String {
    let size = |(axis, dim): (usize, &Dimension)| match dim {
        Dimension::Open(_) if axis == 0 && input.first_dimension != Some(FirstDimension::Steps) => "1".to_owned(),
        Dimension::Open(_) => "…".to_owned(),
        Dimension::Fixed(size) => size.to_string(),
    };
    let mut sizes: Vec<String> = match &input.dims {
        Some(dims) => dims.iter().enumerate().map(size).collect(),
        // Which dimensions there are is known to whoever made it.
        None => vec!["1".to_owned(), "…".to_owned()],
    };
    if index == 0 && signature.inputs.len() == 1 {
        if let (Layout::Nhwc, 4) = (layout, sizes.len()) {
            let channels = sizes.remove(3);
            sizes.insert(1, channels);
        }
        return format!("add `input_shape: [{}]` to its entry in models.yaml", sizes.join(", "));
    }
    let name = &input.name;
    format!("add `inputs: {{ {name}: {{ shape: [{}] }} }}` to its entry in models.yaml", sizes.join(", "))
}

/// A shape of the catalogue, where images have their channels first, in the order of the file.
pub(super) fn turned(shape: &[u64], layout: Layout) -> Vec<u64> {
    match (layout, shape) {
        (Layout::Nhwc, &[batch, channels, height, width]) => vec![batch, height, width, channels],
        _ => shape.to_vec(),
    }
}
