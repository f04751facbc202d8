//! The order of a graph's nodes: each after those it reads from.
//!
//! Main function: [`sort`]. ONNX asks for such an order. Some tools write another one, which engines forgive, so it is
//! no fault: it is mended here. Nodes that read from each other in a circle have no such order, and no engine runs
//! them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use super::messages::{GraphProto, NodeProto};

/// Characters of a name that are told.
const SHOWN_CHARACTERS: usize = 100;
/// Nodes of a circle that are told.
const SHOWN_NODES: usize = 3;

/// Sorts the nodes of a graph, and of those inside its operators: each comes after those it reads from, and else stays
/// where it is.
///
/// # Errors
/// Names the nodes that read from each other in a circle.
pub(super) fn sort(graph: &mut GraphProto) -> Result<(), String> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs)).try_for_each(sort)?;
    let order = order(graph)?;
    if !order.is_sorted() {
        let mut nodes: Vec<Option<NodeProto>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
        graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
    }
    Ok(())
}

/// Where the nodes stand now, in the order in which they can be computed.
fn order(graph: &GraphProto) -> Result<Vec<usize>, String> {
    let needs = needs(graph);
    let mut waits: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (reader, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|maker| readers[*maker].push(reader));
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for reader in &readers[index] {
            waits[*reader] -= 1;
            if waits[*reader] == 0 {
                ready.push(Reverse(*reader));
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(circle(graph, &needs, &waits)) }
}

/// For each node, those that make what it reads.
fn needs(graph: &GraphProto) -> Vec<BTreeSet<usize>> {
    let given = given(graph);
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().map(String::as_str).filter(|name| !name.is_empty() && !given.contains(name)) {
            makers.entry(name).or_insert(index);
        }
    }
    let of_node = |node: &NodeProto| -> BTreeSet<usize> {
        read_by(node).into_iter().filter_map(|name| makers.get(name).copied()).collect()
    };
    graph.node.iter().map(of_node).collect()
}

/// Names that a graph has before any of its nodes is computed.
fn given(graph: &GraphProto) -> HashSet<&str> {
    let inputs = graph.input.iter().map(|info| info.name.as_str());
    let weights = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| Some(sparse.values.as_ref()?.name.as_str()));
    inputs.chain(weights).chain(sparse).collect()
}

/// Names that a node reads, with those that the graphs inside of it take from around them.
pub(in crate::catalog) fn read_by(node: &NodeProto) -> HashSet<&str> {
    let mut names: HashSet<&str> = node.input.iter().map(String::as_str).collect();
    let graphs = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    for graph in graphs {
        let mut own = given(graph);
        own.extend(graph.node.iter().flat_map(|node| &node.output).map(String::as_str));
        let outputs = graph.output.iter().map(|info| info.name.as_str());
        let read = graph.node.iter().flat_map(read_by).chain(outputs);
        names.extend(read.filter(|name| !own.contains(name)));
    }
    names.remove("");
    names
}

/// Tells a circle among the nodes that still wait: each of these needs another one that waits.
fn circle(graph: &GraphProto, needs: &[BTreeSet<usize>], waits: &[usize]) -> String {
    let mut path: Vec<usize> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut next = waits.iter().position(|waits| *waits > 0);
    while let Some(index) = next {
        if let Some(start) = places.insert(index, path.len()) {
            path.drain(..start);
            break;
        }
        path.push(index);
        next = needs[index].iter().copied().find(|maker| waits[*maker] > 0);
    }
    let names: Vec<String> = path.iter().take(SHOWN_NODES).map(|index| shown(&graph.node[*index])).collect();
    let more = if path.len() > SHOWN_NODES { format!(" and {} more", path.len() - SHOWN_NODES) } else { String::new() };
    match names.as_slice() {
        [one] => format!("{one} reads what it makes itself"),
        _ => format!("{}{more} read from each other in a circle", names.join(", ")),
    }
}

fn shown(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    let short = |text: &str| text.chars().take(SHOWN_CHARACTERS).collect::<String>();
    format!("node {:?} ({})", short(name), short(&node.op_type))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::onnx::{AttributeProto, ValueInfoProto};

    fn node(inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        NodeProto { op_type: "Add".to_owned(), input: owned(inputs), output: owned(outputs), ..NodeProto::default() }
    }

    fn graph(nodes: Vec<NodeProto>) -> GraphProto {
        let x = ValueInfoProto { name: "x".to_owned(), ..ValueInfoProto::default() };
        GraphProto { input: vec![x], node: nodes, ..GraphProto::default() }
    }

    fn sorted(nodes: Vec<NodeProto>) -> Result<Vec<String>, String> {
        let mut graph = graph(nodes);
        sort(&mut graph)?;
        Ok(graph.node.into_iter().map(|node| node.output[0].clone()).collect())
    }

    #[test]
    fn nodes_come_after_those_they_read_from() {
        let nodes = vec![node(&["b", ""], &["c"]), node(&["x"], &["a"]), node(&["a"], &["b"]), node(&["x"], &["d"])];
        assert_eq!(sorted(nodes).unwrap(), ["a", "b", "c", "d"]);
        // What is in order stays as it is.
        let nodes = vec![node(&["x"], &["d"]), node(&["x"], &["a"]), node(&["a"], &["b"])];
        assert_eq!(sorted(nodes).unwrap(), ["d", "a", "b"]);
    }

    #[test]
    fn what_a_graph_inside_of_a_node_reads_counts() {
        let inner = |reads: &str| {
            let graph = graph(vec![node(&[reads, "x"], &["i"]), node(&["i"], &["o"])]);
            AttributeProto { g: Some(graph), ..AttributeProto::default() }
        };
        let branch = |reads: &str| NodeProto { attribute: vec![inner(reads)], ..node(&["x"], &["c"]) };
        assert_eq!(sorted(vec![branch("a"), node(&["x"], &["a"])]).unwrap(), ["a", "c"]);
        // Names of its own are none of the graph around it.
        assert_eq!(sorted(vec![branch("x"), node(&["c"], &["i"])]).unwrap(), ["c", "i"]);
        assert!(sorted(vec![branch("a"), node(&["c"], &["a"])]).unwrap_err().contains("circle"));
        let mut around = graph(vec![branch("o")]);
        assert_eq!(
            sort(&mut around).unwrap_err(),
            "node \"i\" (Add), node \"o\" (Add) read from each other in a circle"
        );
    }

    #[test]
    fn a_circle_is_told_with_its_nodes() {
        let itself = NodeProto { name: "n1".to_owned(), ..node(&["x", "a"], &["a"]) };
        assert_eq!(sorted(vec![itself]).unwrap_err(), "node \"n1\" (Add) reads what it makes itself");
        // One that only reads from it is none of the circle.
        let nodes = vec![node(&["b"], &["y"]), node(&["c"], &["b"]), node(&["b"], &["c"])];
        assert_eq!(sorted(nodes).unwrap_err(), "node \"b\" (Add), node \"c\" (Add) read from each other in a circle");
        let ring = (0..9).map(|index| node(&[&format!("t{}", (index + 8) % 9)], &[&format!("t{index}")])).collect();
        assert!(sorted(ring).unwrap_err().contains(" and 6 more read"));
    }

    #[test]
    fn a_name_that_is_made_twice_is_that_of_the_first() {
        // Some tools overwrite: engines take it as it stands.
        let nodes = vec![node(&["x"], &["t"]), node(&["t"], &["u"]), node(&["u"], &["t"]), node(&["x"], &["x"])];
        assert_eq!(sorted(nodes).unwrap(), ["t", "u", "t", "x"]);
    }
}
