//! Tensors that are larger than engines count.

use std::collections::HashMap;

use super::value::{TooMany, Value};
use super::{DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, Walk, declared_sizes, opset};

/// Engines count the values of a tensor, or some of its dimensions, in 32 bits: from here on they would measure another
/// network than the file's, without a word.
const LIMIT: u64 = 1 << 32;

/// So many graphs inside of each other are looked into: more than the reader takes, which bounds how deep messages
/// nest.
const MAX_NESTING: usize = 40;

/// Says which tensor of a graph is larger than engines count with inputs of these shapes; `None` where none is, as far
/// as shapes are known. The bodies of loops and branches are looked into, whether they will be carried out or not, but
/// for the branch that a condition in the file rules out.
pub fn too_large(model: &ModelProto, shapes: &[(&str, &[u64])]) -> Option<String> {
    let what = too_large_in(model.graph.as_ref()?, opset(model), shapes, None)?;
    Some(format!("{what}, and engines count fewer than 2^32 values: it can't be measured as it is"))
}

/// The values that a graph inside of an operator may read, from the graphs around it.
struct Scope<'s, 'a> {
    graph: &'a GraphProto,
    values: &'s HashMap<&'a str, Value>,
    outer: Option<&'s Scope<'s, 'a>>,
    nesting: usize,
}

impl Scope<'_, '_> {
    fn find(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.outer?.find(name))
    }

    /// Whether a condition is true, where it stands in the file.
    fn condition(&self, name: &str) -> Option<bool> {
        let made_by = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        let is_given = self.graph.input.iter().any(|info| info.name == name);
        let constant = match self.graph.initializer.iter().find(|tensor| tensor.name == name) {
            Some(weight) => Some(weight),
            None => match self.graph.node.iter().find(made_by) {
                Some(node) if node.op_type == "Constant" => node.attribute.iter().find_map(|it| it.t.as_ref()),
                Some(_) => return None,
                None if is_given => return None,
                None => return self.outer?.condition(name),
            },
        };
        constant.and_then(truth)
    }

    /// Whether a graph inside of a node is never carried out.
    fn is_ruled_out(&self, node: &NodeProto, branch: &str) -> bool {
        let condition = || self.condition(node.input.first()?);
        node.op_type == "If"
            && match branch {
                "then_branch" => condition() == Some(false),
                "else_branch" => condition() == Some(true),
                _ => false,
            }
    }
}

/// The value of a tensor that is one boolean.
fn truth(tensor: &TensorProto) -> Option<bool> {
    let is_one = tensor.data_type() == DataType::Bool && tensor.dims.iter().all(|size| *size == 1);
    let value = tensor.raw_data.first().map(|byte| i32::from(*byte)).or_else(|| tensor.int32_data.first().copied());
    value.filter(|_| is_one && tensor.data_location == 0).map(|value| value != 0)
}

fn too_large_in<'a>(
    graph: &'a GraphProto,
    opset: i64,
    shapes: &[(&str, &[u64])],
    outer: Option<&Scope<'_, 'a>>,
) -> Option<String> {
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
        (Some((name, shape)), _) => return Some(format!("its tensor {name:?} has the shape {shape:?}")),
        (None, Some(TooMany(shape))) => return Some(format!("a tensor of it has the shape {shape:?}")),
        (None, None) => {}
    }
    let nesting = outer.map_or(0, |outer| outer.nesting) + 1;
    let scope = Scope { graph, values: &walk.values, outer, nesting };
    if nesting > MAX_NESTING {
        return None;
    }
    let inside = |node: &'a NodeProto| {
        let attributes = node.attribute.iter().filter(|attribute| !scope.is_ruled_out(node, &attribute.name));
        attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)).collect::<Vec<_>>()
    };
    let mut inner = graph.node.iter().flat_map(inside);
    inner.find_map(|graph| too_large_in(graph, opset, &[], Some(&scope)))
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
