//! What no engine should be asked to run: a graph that ONNX does not allow. One engine refuses it, another one takes it
//! for some network.
//!
//! Main function: [`check`], of a model as its file has it.

use std::collections::HashSet;

use super::onnx::{external_length, value_bytes, weights};
use crate::catalog::onnx::{DataType, GraphProto, ModelProto, TensorProto};

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
    check_nodes(graph)?;
    weights(graph).find_map(misfit).map_or(Ok(()), Err)
}

/// Says where a tensor has more or fewer values than its shape has places.
fn misfit(tensor: &TensorProto) -> Option<String> {
    let wanted_bytes = value_bytes(tensor);
    let remedy = "get it anew, or export it again";
    let wrong = |there: u64, unit: &str, wanted: u64| {
        let (name, dims) = (shown(&tensor.name), &tensor.dims);
        format!("its weights {name:?} of the shape {dims:?} take {wanted} {unit}, and have {there}: {remedy}")
    };
    // Of a type that is not counted, or with no place for a value.
    if wanted_bytes == 0 {
        return None;
    }
    if tensor.data_location == 1 {
        let there = external_length(tensor).filter(|there| *there != wanted_bytes)?;
        return Some(wrong(there, "bytes", wanted_bytes));
    }
    let raw_bytes = tensor.raw_data.len() as u64;
    if raw_bytes > 0 {
        return (raw_bytes != wanted_bytes).then(|| wrong(raw_bytes, "bytes", wanted_bytes));
    }
    let (values, bytes_of_one) = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => (tensor.float_data.len(), 4),
        Ok(DataType::Double) => (tensor.double_data.len(), 8),
        Ok(DataType::Int32) => (tensor.int32_data.len(), 4),
        Ok(DataType::Int64) => (tensor.int64_data.len(), 8),
        // Others are packed into numbers of another type.
        _ => return None,
    };
    let (values, wanted) = (values as u64, wanted_bytes / bytes_of_one);
    // An outline of a network has none at all.
    (values > 0 && values != wanted).then(|| wrong(values, "values", wanted))
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
    use crate::catalog::onnx::{NodeProto, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto};

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
    fn weights_have_as_many_values_as_their_shape_has_places() {
        let fault = |tensor: TensorProto| {
            let mut model = model(vec![node("Relu", "x", &["y"])]);
            let name = "w".to_owned();
            model.graph.as_mut().unwrap().initializer = vec![TensorProto { name, dims: vec![2, 3], ..tensor }];
            check(&model).err()
        };
        let of = |data_type: DataType| TensorProto { data_type: data_type.into(), ..TensorProto::default() };
        let raw = |bytes: usize| TensorProto { raw_data: vec![0; bytes].into(), ..of(DataType::Float) };
        assert_eq!(fault(raw(24)), None);
        assert!(fault(raw(20)).unwrap().contains("\"w\" of the shape [2, 3] take 24 bytes, and have 20"));
        assert!(fault(raw(28)).unwrap().contains("take 24 bytes, and have 28"));
        assert_eq!(fault(TensorProto { int64_data: vec![0; 6], ..of(DataType::Int64) }), None);
        let few = TensorProto { int64_data: vec![0; 5], ..of(DataType::Int64) };
        assert!(fault(few).unwrap().contains("take 6 values, and have 5"));
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
        let outside = |length: &str| TensorProto {
            data_location: 1,
            external_data: vec![entry("location", "w.data"), entry("length", length)],
            ..of(DataType::Float)
        };
        assert_eq!(fault(outside("24")), None);
        assert!(fault(outside("16")).unwrap().contains("take 24 bytes, and have 16"));
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
