//! Tensors that are larger than engines count.

use super::value::TooMany;
use super::{GraphProto, ModelProto, TensorProto, ValueInfoProto, Walk, declared_sizes, opset};

/// Engines count the values of a tensor, or some of its dimensions, in 32 bits: from here on they would measure another
/// network than the file's, without a word.
const LIMIT: u64 = 1 << 32;

/// Says which tensor of a graph is larger than engines count with inputs of these shapes; `None` where none is, as far
/// as shapes are known.
pub fn too_large(model: &ModelProto, shapes: &[(&str, &[u64])]) -> Option<String> {
    let graph = model.graph.as_ref()?;
    let mut walk = Walk::new(graph, opset(model));
    // What is at odds is told by those who count.
    let _ = walk.take_weights();
    let _ = walk.take_inputs(shapes);
    walk.visit_all();
    let written = graph.node.iter().flat_map(|node| &node.output);
    let inferred = written.filter_map(|name| Some((name.as_str(), walk.values.get(name.as_str())?.shape.clone()?)));
    let found = stated(graph).chain(inferred).find(|(_, shape)| is_too_large(shape));
    let what = match (found, walk.too_many) {
        (Some((name, shape)), _) => format!("its tensor {name:?} has the shape {shape:?}"),
        (None, Some(TooMany(shape))) => format!("a tensor of it has the shape {shape:?}"),
        (None, None) => return None,
    };
    Some(format!("{what}, and engines count fewer than 2^32 values: it can't be measured as it is"))
}

/// The shapes that the file itself gives: those of weights, and of other tensors without what is open.
fn stated(graph: &GraphProto) -> impl Iterator<Item = (&str, Vec<u64>)> {
    let sizes = |tensor: &TensorProto| tensor.dims.iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect();
    let weights = graph.initializer.iter().map(move |tensor| (tensor.name.as_str(), sizes(tensor)));
    let constants = graph.node.iter().filter_map(move |node| {
        let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?;
        Some((node.output.first()?.as_str(), sizes(tensor)))
    });
    let fixed = |info: &ValueInfoProto| declared_sizes(info).into_iter().flatten().flatten().collect();
    let infos = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
    weights.chain(constants).chain(infos.map(move |info| (info.name.as_str(), fixed(info))))
}

fn is_too_large(shape: &[u64]) -> bool {
    let values = shape.iter().try_fold(1u64, |product, size| product.checked_mul((*size).max(1)));
    values.is_none_or(|values| values >= LIMIT)
}
