//! Which outputs are probabilities: how they round is known.

use std::collections::HashSet;

use crate::catalog::onnx::GraphProto;

/// Operators whose values lie between 0 and 1.
const MAKERS: [&str; 3] = ["HardSigmoid", "Sigmoid", "Softmax"];
/// Operators that leave values as they are.
const MOVES: [&str; 10] =
    ["Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"];

/// The tensors of a graph that a sigmoid or a softmax makes, wherever their values were moved since.
pub(super) fn of(graph: &GraphProto) -> HashSet<&str> {
    let mut found: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        let op = node.op_type.as_str();
        let read = node.input.iter().take(if op == "Concat" { usize::MAX } else { 1 });
        let is_moved =
            || MOVES.contains(&op) && !node.input.is_empty() && read.clone().all(|it| found.contains(it.as_str()));
        if MAKERS.contains(&op) || is_moved() {
            found.extend(node.output.iter().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::onnx::NodeProto;

    #[test]
    fn probabilities_stay_so_where_they_are_moved_and_not_where_they_are_computed_with() {
        let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        let node = vec![
            node("Sigmoid", &["x"], "s"),
            node("Softmax", &["x"], "t"),
            node("Concat", &["s", "t"], "both"),
            node("Concat", &["s", "x"], "mixed"),
            node("Reshape", &["both", "shape"], "turned"),
            node("Mul", &["s", "x"], "product"),
        ];
        let graph = GraphProto { node, ..GraphProto::default() };
        let mut found: Vec<&str> = of(&graph).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, ["both", "s", "t", "turned"]);
    }
}
