//! What no engine should be asked to run: a graph that ONNX does not allow. One engine refuses it, another one takes it
//! for some network.
//!
//! Main function: [`check`], of a model as its file has it.

use std::collections::HashSet;

use super::onnx::weights;
use crate::catalog::onnx::{GraphProto, ModelProto};

/// Characters of a tensor's name that are told.
const SHOWN_CHARACTERS: usize = 100;
/// Version of the file format from which on a file says which versions of operators it means.
const TELLS_OPSET_FROM: i64 = 3;

/// Says what is wrong with a model.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    check_opsets(model)?;
    if graph.output.is_empty() {
        return Err("its graph has no output".to_owned());
    }
    check_edges(graph)?;
    check_nodes(graph)
}

/// Which operators a file means hangs on the versions of their sets.
fn check_opsets(model: &ModelProto) -> Result<(), String> {
    let remedy = "export it again";
    if model.opset_import.is_empty() && model.ir_version >= TELLS_OPSET_FROM {
        return Err(format!("it does not say which opset its operators are of: {remedy}"));
    }
    let named = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { shown(domain) };
    let mut seen = Vec::new();
    for set in &model.opset_import {
        let (domain, version) = (named(&set.domain), set.version);
        if version < 1 {
            return Err(format!(
                "its operators are of {domain} in version {version}, which there is none of: {remedy}"
            ));
        }
        if let Some((_, other)) = seen.iter().find(|(known, other)| *known == domain && *other != version) {
            return Err(format!("its operators are of {domain} in two versions, {other} and {version}: {remedy}"));
        }
        seen.push((domain, version));
    }
    Ok(())
}

/// What a graph takes it takes once, what it gives is made in it, and its weights have sizes.
fn check_edges(graph: &GraphProto) -> Result<(), String> {
    let mut names: HashSet<&str> = HashSet::new();
    if let Some(twice) = graph.input.iter().find(|info| !names.insert(&info.name)) {
        return Err(format!("its graph has two inputs {:?}: export it again", shown(&twice.name)));
    }
    if let Some(tensor) = weights(graph).find(|tensor| tensor.dims.iter().any(|size| *size < 0)) {
        let name = shown(&tensor.name);
        return Err(format!("its weights {name:?} have a dimension below zero: get it anew, or export it again"));
    }
    names.extend(weights(graph).map(|tensor| tensor.name.as_str()));
    names.extend(graph.node.iter().flat_map(|node| &node.output).map(String::as_str));
    let mut given: HashSet<&str> = HashSet::new();
    for info in &graph.output {
        let name = shown(&info.name);
        if !names.contains(info.name.as_str()) {
            return Err(format!("nothing in its graph makes its output {name:?}: export it again"));
        }
        if !given.insert(&info.name) {
            return Err(format!("its graph has two outputs {name:?}: export it again"));
        }
    }
    Ok(())
}

/// Each node is of an operator, and makes what nothing else does: engines differ in which of two they take.
fn check_nodes(graph: &GraphProto) -> Result<(), String> {
    let given = graph.input.iter().map(|info| info.name.as_str());
    let mut made: HashSet<&str> = given.chain(weights(graph).map(|tensor| tensor.name.as_str())).collect();
    for node in &graph.node {
        if node.op_type.is_empty() {
            let output = node.output.first().map(String::as_str).unwrap_or_default();
            return Err(format!("the node that makes {:?} has no operator: export it again", shown(output)));
        }
        // An output that nobody wants has no name.
        if let Some(name) = node.output.iter().find(|name| !name.is_empty() && !made.insert(name)) {
            return Err(format!("its graph makes {:?} more than once: export it again", shown(name)));
        }
    }
    Ok(())
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::onnx::{NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};

    fn named(name: &str) -> ValueInfoProto {
        ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() }
    }

    fn node(op: &str, input: &str, outputs: &[&str]) -> NodeProto {
        let output = outputs.iter().map(|&name| name.to_owned()).collect();
        NodeProto { op_type: op.to_owned(), input: vec![input.to_owned()], output, ..NodeProto::default() }
    }

    fn model(nodes: Vec<NodeProto>) -> ModelProto {
        let graph = GraphProto {
            // Old files list their weights among the inputs.
            input: vec![named("x"), named("w")],
            output: vec![named("y")],
            initializer: vec![TensorProto { name: "w".to_owned(), ..TensorProto::default() }],
            node: nodes,
            ..GraphProto::default()
        };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
        ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() }
    }

    #[test]
    fn what_a_graph_makes_twice_is_refused() {
        let fault = |nodes: Vec<NodeProto>| check(&model(nodes)).err();
        assert_eq!(fault(vec![node("Split", "x", &["y", ""]), node("Split", "x", &["z", ""])]), None);
        for nodes in [
            vec![node("Relu", "x", &["y"]), node("Neg", "x", &["y"])],
            vec![node("Split", "x", &["y", "y"])],
            vec![node("Neg", "x", &["x"]), node("Relu", "x", &["y"])],
            vec![node("Neg", "x", &["w"]), node("Relu", "w", &["y"])],
        ] {
            assert!(fault(nodes.clone()).unwrap().contains("more than once"), "{nodes:?}");
        }
        assert!(fault(vec![node("", "x", &["y"])]).unwrap().contains("the node that makes \"y\" has no operator"));
    }

    #[test]
    fn a_file_means_one_version_of_each_set_of_operators() {
        let fault = |ir_version: i64, sets: &[(&str, i64)]| {
            let set = |&(domain, version): &(&str, i64)| OperatorSetIdProto { domain: domain.to_owned(), version };
            let opset_import = sets.iter().map(set).collect();
            check(&ModelProto { ir_version, opset_import, ..model(vec![node("Relu", "x", &["y"])]) }).err()
        };
        assert_eq!(fault(8, &[("", 13), ("ai.onnx.ml", 2), ("ai.onnx", 13)]), None);
        assert_eq!(fault(2, &[]), None);
        assert!(fault(3, &[]).unwrap().contains("does not say which opset"));
        assert!(fault(8, &[("", 11), ("ai.onnx", 13)]).unwrap().contains("of ai.onnx in two versions, 11 and 13"));
        assert!(fault(8, &[("", -3)]).unwrap().contains("ai.onnx in version -3, which there is none of"));
    }
}
