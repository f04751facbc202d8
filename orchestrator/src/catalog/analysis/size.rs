//! Tensors that are larger than engines count.

use serde::{Deserialize, Serialize};

use super::branches::{Scope, Taken};
use super::value::TooMany;
use super::{GraphProto, ModelProto, ValueInfoProto, Walk, declared_sizes, opset};

/// Engines count the values of a tensor, or some of its dimensions, in 32 bits: from here on they would measure another
/// network than the file's, without a word.
const LIMIT: u64 = 1 << 32;

/// So many graphs inside of each other are looked into: more than the reader takes, which bounds how deep messages
/// nest.
const MAX_NESTING: usize = 40;

/// A tensor that is larger than engines count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TooLarge {
    /// Which, with its shape.
    pub what: String,
    /// Whether every inference has it. A branch of `If` whose condition is computed from values may never be taken.
    pub is_certain: bool,
}

impl TooLarge {
    /// Says what to make of it.
    pub fn consequence(&self) -> String {
        let what = &self.what;
        if self.is_certain {
            return format!("{what}, and engines count fewer than 2^32 values: it can't be measured as it is");
        }
        format!(
            "{what}, in a branch that a computed condition may take, and engines count fewer than 2^32 values: where \
             it is taken, another network is measured"
        )
    }
}

/// Says which tensor of a graph is larger than engines count with inputs of these shapes; `None` where none is, as far
/// as shapes are known. The bodies of loops and branches are looked into, whether they will be carried out or not, but
/// for the branch that a condition rules out.
pub fn too_large(model: &ModelProto, shapes: &[(&str, &[u64])]) -> Option<TooLarge> {
    let certain = |what| TooLarge { what, is_certain: true };
    too_large_in(model.graph.as_ref()?, opset(model), shapes, None, &certain)
}

fn too_large_in<'a>(
    graph: &'a GraphProto,
    opset: i64,
    shapes: &[(&str, &[u64])],
    outer: Option<&Scope<'_, 'a>>,
    told: &dyn Fn(String) -> TooLarge,
) -> Option<TooLarge> {
    let mut walk = Walk::new(graph, opset);
    // What is at odds is told by those who count.
    let _ = walk.take_weights();
    let _ = walk.take_inputs(shapes);
    if let Some(outer) = outer {
        for name in graph.node.iter().flat_map(|node| &node.input) {
            if let (false, Some(value)) = (walk.values.contains_key(name.as_str()), outer.find(name)) {
                walk.values.insert(name, value.clone());
            }
        }
    }
    walk.visit_all();
    let written = graph.node.iter().flat_map(|node| &node.output);
    let inferred = written.filter_map(|name| Some((name.as_str(), walk.values.get(name.as_str())?.shape.clone()?)));
    let found = stated(graph).chain(inferred).find(|(_, shape)| is_too_large(shape));
    match (found, walk.too_many) {
        (Some((name, shape)), _) => return Some(told(format!("its tensor {name:?} has the shape {shape:?}"))),
        (None, Some(TooMany(shape))) => return Some(told(format!("a tensor of it has the shape {shape:?}"))),
        (None, None) => {}
    }
    let scope = Scope::new(graph, &walk.values, outer);
    if scope.nesting > MAX_NESTING {
        return None;
    }
    let mut doubtful = None;
    for node in &graph.node {
        for attribute in &node.attribute {
            let may_be = |what| TooLarge { what, is_certain: false };
            let told = match scope.taken(node, &attribute.name) {
                Taken::Never => continue,
                Taken::Always => told,
                Taken::Perhaps => &may_be,
            };
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                match too_large_in(inner, opset, &[], Some(&scope), told) {
                    Some(found) if found.is_certain => return Some(found),
                    found => doubtful = doubtful.or(found),
                }
            }
        }
    }
    doubtful
}

/// The shapes that the file itself gives: those of weights, and of other tensors without what is open.
fn stated(graph: &GraphProto) -> impl Iterator<Item = (&str, Vec<u64>)> {
    let sizes = |dims: &[i64]| dims.iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect();
    let weights = graph.initializer.iter().map(move |tensor| (tensor.name.as_str(), sizes(&tensor.dims)));
    let sparse = graph.sparse_initializer.iter().filter_map(move |sparse| {
        let values = sparse.values.as_ref()?;
        Some((values.name.as_str(), sizes(&sparse.dims)))
    });
    let constants = graph.node.iter().filter_map(move |node| {
        let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?;
        Some((node.output.first()?.as_str(), sizes(&tensor.dims)))
    });
    let fixed = |info: &ValueInfoProto| declared_sizes(info).into_iter().flatten().flatten().collect();
    let infos = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
    weights.chain(sparse).chain(constants).chain(infos.map(move |info| (info.name.as_str(), fixed(info))))
}

fn is_too_large(shape: &[u64]) -> bool {
    let values = shape.iter().try_fold(1u64, |product, size| product.checked_mul((*size).max(1)));
    values.is_none_or(|values| values >= LIMIT)
}
