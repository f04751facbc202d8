//! What lets one doubt that an inference holds as many images as it is counted for.

use super::said::{Wanted, advice};
use crate::domain::{CatalogModel, Dimension, Layout, ModelSignature, TensorSignature, WeightsFile};

/// Says that nobody tells whether the first dimension of an input is the batch: no operator reads it as one, and its
/// entry gives no shape. `None` where that is told, and where it changes no number.
pub fn batch_doubt(model: &CatalogModel, file: &WeightsFile, batch: u32) -> Option<String> {
    let Some(Ok(signature)) = &file.signature else { return None };
    if signature.inputs.iter().any(|input| input.first_dimension.is_some()) {
        return None;
    }
    let wanted = Wanted::new(model, signature, file.layout).ok()?;
    // One image of another input shows where the batch is.
    if wanted.of_inputs.iter().flatten().any(|said| said.shape.first() == Some(&1)) {
        return None;
    }
    let unsaid = signature.inputs.iter().zip(&wanted.of_inputs).enumerate();
    let unsaid: Vec<(usize, &TensorSignature)> =
        unsaid.filter(|(_, (_, said))| said.is_none()).map(|(index, (input, _))| (index, input)).collect();
    let open = unsaid.iter().find(|(_, input)| matches!(first(input), Some(Dimension::Open(_))));
    if let Some((index, input)) = open {
        let advice = as_images(input, *index, signature, file.layout);
        return (batch > 1).then(|| {
            format!(
                "no operator tells whether the open first dimension of input {} {} is the batch: an inference counts \
                 as {batch} images; if it is so, {advice}, else ask for `batch: 1` and give its size there",
                input.name,
                input.shape_text()
            )
        });
    }
    let firsts = || signature.inputs.iter().filter_map(first);
    if firsts().any(|first| *first == Dimension::Fixed(1)) {
        return None;
    }
    let (index, input) = unsaid.into_iter().find(|(_, input)| matches!(first(input), Some(Dimension::Fixed(_))))?;
    let images = first(input)?;
    Some(format!(
        "no operator tells whether the first dimension of input {} {} is the batch: an inference counts as one image; \
         if these are {images} images, {}, and ask for `batch: {images}`",
        input.name,
        input.shape_text(),
        as_images(input, index, signature, file.layout)
    ))
}

/// The first of several dimensions: of a single one nobody expects images.
fn first(input: &TensorSignature) -> Option<&Dimension> {
    input.dims.as_deref().filter(|dims| dims.len() > 1)?.first()
}

/// What to add to the catalogue where the first dimension is the batch.
pub(super) fn as_images(input: &TensorSignature, index: usize, signature: &ModelSignature, layout: Layout) -> String {
    let mut one = input.clone();
    if let Some(first) = one.dims.as_mut().and_then(|dims| dims.first_mut()) {
        *first = Dimension::Fixed(1);
    }
    advice(&one, index, signature, layout)
}
