//! What a network takes images for.

use farmctl_protocol::TOP_CLASSES;

use crate::backend::BackendError;
use crate::order::Order;

/// The best classes of the first `count` images of a batch, by one value a class.
///
/// # Errors
/// When there are not as many values for each image.
pub(crate) fn best_classes(values: &[f32], order: &Order, count: u32) -> Result<Vec<Vec<u32>>, BackendError> {
    let (classes, batch) = (order.classes as usize, order.batch as usize);
    if classes == 0 || classes.checked_mul(batch) != Some(values.len()) {
        let text = format!("{} values are not {classes} classes of {batch} images", values.len());
        return Err(BackendError::Inference(text));
    }
    Ok(values.chunks_exact(classes).take(count as usize).map(best_of).collect())
}

/// The indices of the highest values, the highest first, the lower index of equal ones first; none of what is no
/// number.
fn best_of(values: &[f32]) -> Vec<u32> {
    let mut best: Vec<usize> = Vec::with_capacity(TOP_CLASSES + 1);
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        let place = best.iter().position(|other| values[*other] < *value).unwrap_or(best.len());
        if place < TOP_CLASSES {
            best.insert(place, index);
            best.truncate(TOP_CLASSES);
        }
    }
    best.into_iter().map(|index| index as u32).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::sample_order;

    fn best(values: &[f32], batch: u32, classes: u32, count: u32) -> Result<Vec<Vec<u32>>, BackendError> {
        best_classes(values, &Order { batch, classes, ..sample_order() }, count)
    }

    #[test]
    fn the_five_highest_in_their_order() {
        assert_eq!(best(&[1.0, 9.0, 3.0, 9.0, -1.0, 2.0, 0.0], 1, 7, 1).unwrap(), [[1, 3, 2, 5, 0]]);
        assert_eq!(best(&[1.0, 2.0, 4.0, 3.0, 0.0, 0.0], 3, 2, 2).unwrap(), [[1, 0], [0, 1]]);
    }

    #[test]
    fn what_is_no_number_is_no_answer() {
        assert_eq!(best(&[f32::NAN, 1.0, f32::NEG_INFINITY], 1, 3, 1).unwrap(), [[1, 2]]);
        assert_eq!(best(&[f32::NAN; 3], 1, 3, 1).unwrap(), [Vec::<u32>::new()]);
    }

    #[test]
    fn an_answer_without_classes_is_an_error() {
        assert!(best(&[1.0; 5], 2, 2, 2).is_err() && best(&[], 1, 0, 1).is_err() && best(&[1.0; 4], 2, 3, 2).is_err());
    }
}
