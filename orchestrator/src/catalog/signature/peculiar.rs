//! What of an operator an engine may read otherwise than the file means it, or not at all.
//!
//! Main function: [`Known::peculiarities`]. Only what is certain is told: a network that an engine may run is not kept
//! from it.

use std::collections::{HashMap, HashSet};

use crate::catalog::onnx::{GraphProto, NodeProto};
use crate::domain::Peculiarity;

/// The version of ONNX's operators from which on shapes are stretched as NumPy does it.
pub(super) const STRETCHED_FROM: i64 = 7;
/// Operators of two inputs that could lie along any dimensions before.
const ALONG_ANY: &str = "Add And Div Equal Greater Less Mul Or Pow Sub Xor";
/// Operators that leave numbers as they are, and give them another place, shape or type.
const MOVES: &str = "Cast Concat Flatten Gather Identity Reshape Slice Squeeze Transpose Unsqueeze";

/// What is known of a graph.
pub(super) struct Known<'a> {
    /// Tensors whose numbers are those of the network's inputs.
    given: HashSet<&'a str>,
    /// Shapes, as far as they are known.
    shapes: HashMap<String, Vec<u64>>,
    opset: Option<i64>,
}

fn is_of(list: &str, op: &str) -> bool {
    list.split(' ').any(|name| name == op)
}

impl<'a> Known<'a> {
    /// Of a network's outermost graph, with the shapes of its tensors.
    pub(super) fn of(graph: &'a GraphProto, shapes: HashMap<String, Vec<u64>>, opset: Option<i64>) -> Known<'a> {
        let weights: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = graph.input.iter().map(|info| info.name.as_str());
        let mut given: HashSet<&str> = inputs.filter(|name| !weights.contains(name)).collect();
        for node in graph.node.iter().filter(|node| is_of(MOVES, &node.op_type)) {
            let mut moved = node.input.iter().take(if node.op_type == "Concat" { usize::MAX } else { 1 });
            if moved.any(|name| given.contains(name.as_str())) {
                given.extend(node.output.first().map(String::as_str));
            }
        }
        Known { given, shapes, opset }
    }

    /// What is special about a node of ONNX's own operators.
    pub(super) fn peculiarities(&self, node: &NodeProto) -> Vec<Peculiarity> {
        let mut found = Vec::new();
        let shape = match node.op_type.as_str() {
            "Expand" | "Reshape" | "Tile" => node.input.get(1),
            "ConstantOfShape" => node.input.first(),
            _ => None,
        };
        if shape.is_some_and(|name| self.given.contains(name.as_str())) {
            found.push(Peculiarity::ShapeFromInput);
        }
        if self.opset.is_some_and(|opset| opset < STRETCHED_FROM) && self.lies_elsewhere(node).unwrap_or(false) {
            found.push(Peculiarity::AlongOtherDimensions);
        }
        found
    }

    /// Whether the second input of an old operator lies along other dimensions of the first than the last ones; `None`
    /// where that is not known.
    fn lies_elsewhere(&self, node: &NodeProto) -> Option<bool> {
        let shape = |index: usize| self.shapes.get(node.input.get(index)?.as_str());
        let size = |shape: &[u64]| shape.iter().fold(1u64, |product, size| product.saturating_mul(*size));
        let (first, second) = (shape(0)?, shape(1)?);
        if size(second) == 1 {
            return Some(false);
        }
        match node.op_type.as_str() {
            // One number a channel, which is the second dimension.
            "PRelu" => Some(first.len() > 2 && second.len() == 1),
            op if is_of(ALONG_ANY, op) => {
                let axis = node.attribute.iter().find(|attribute| attribute.name == "axis")?.i?;
                let axis = if axis < 0 { axis + first.len() as i64 } else { axis };
                Some(axis + second.len() as i64 != first.len() as i64)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::onnx::{AttributeProto, TensorProto, ValueInfoProto};

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        let input = inputs.iter().map(|&name| name.to_owned()).collect();
        NodeProto { op_type: op.to_owned(), input, output: vec![output.to_owned()], ..NodeProto::default() }
    }

    #[test]
    fn a_shape_is_an_inputs_only_where_its_numbers_are_moved_about() {
        let named = |name: &str| ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() };
        let weight = TensorProto { name: "w".to_owned(), ..TensorProto::default() };
        let graph = GraphProto {
            // Old files list their weights among the inputs.
            input: vec![named("x"), named("sizes"), named("w")],
            initializer: vec![weight],
            node: vec![
                node("Cast", &["sizes"], "cast"),
                node("Concat", &["w", "cast"], "joined"),
                node("Shape", &["x"], "shape"),
                node("Gather", &["w", "sizes"], "chosen"),
            ],
            ..GraphProto::default()
        };
        let known = Known::of(&graph, HashMap::new(), Some(13));
        let told = |op: &str, inputs: &[&str]| known.peculiarities(&node(op, inputs, "y"));
        let from_input = [Peculiarity::ShapeFromInput];
        assert_eq!(told("Expand", &["x", "sizes"]), from_input);
        assert_eq!(told("Reshape", &["x", "joined"]), from_input);
        assert_eq!(told("ConstantOfShape", &["cast"]), from_input);
        for (op, inputs) in [("Expand", ["x", "shape"]), ("Tile", ["x", "w"]), ("Tile", ["x", "chosen"])] {
            assert!(told(op, &inputs).is_empty(), "{op} {inputs:?}");
        }
        assert!(told("Add", &["x", "sizes"]).is_empty());
    }

    #[test]
    fn old_operators_that_lie_along_other_dimensions_than_the_last_are_told() {
        let shapes: HashMap<String, Vec<u64>> = [
            ("x", &[2, 3, 4][..]),
            ("rows", &[2, 3]),
            ("channels", &[3]),
            ("last", &[4]),
            ("flat", &[2, 3]),
            ("one", &[1]),
        ]
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .into();
        let graph = GraphProto::default();
        let told = |opset: i64, op: &str, inputs: &[&str], axis: Option<i64>| {
            let number = |axis| AttributeProto { name: "axis".to_owned(), i: Some(axis), ..AttributeProto::default() };
            let node = NodeProto { attribute: axis.map(number).into_iter().collect(), ..node(op, inputs, "y") };
            !Known::of(&graph, shapes.clone(), Some(opset)).peculiarities(&node).is_empty()
        };
        assert!(told(6, "Add", &["x", "channels"], Some(1)));
        assert!(told(6, "Mul", &["x", "rows"], Some(0)));
        assert!(told(6, "PRelu", &["x", "channels"], None));
        // The last ones, by either way of counting, or none in particular.
        assert!(!told(6, "Add", &["x", "last"], Some(2)) && !told(6, "Add", &["x", "last"], Some(-1)));
        assert!(!told(6, "Add", &["x", "last"], None) && !told(6, "Add", &["x", "one"], Some(0)));
        assert!(!told(6, "PRelu", &["x", "one"], None) && !told(6, "PRelu", &["flat", "channels"], None));
        // Since then it is as NumPy does it.
        assert!(!told(7, "PRelu", &["x", "channels"], None) && !told(7, "Add", &["x", "channels"], Some(1)));
        assert!(!told(6, "Add", &["x", "unknown"], Some(0)));
    }
}
