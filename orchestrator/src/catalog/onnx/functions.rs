//! A model's own functions, written out: each node that calls one becomes the function's nodes.
//!
//! Main function: [`inline`]. What is read of a network (shapes, arithmetic, multiply-adds) then needs to know nothing
//! of functions. Never changes what is measured: engines get the file as it is.

use std::collections::HashMap;

use super::messages::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

/// Deepest calls of functions by functions.
const MAX_DEPTH: u32 = 32;
/// Most nodes that all calls become together: functions that call functions grow without bound.
const MAX_NODES: usize = 1_000_000;

/// The model without functions. Calls that nest too deep, or become too much, stay calls: nobody knows their operator
/// then.
pub(super) fn inline(mut model: ModelProto) -> ModelProto {
    let functions = std::mem::take(&mut model.functions);
    if functions.is_empty() {
        return model;
    }
    let known: HashMap<Name<'_>, &FunctionProto> =
        functions.iter().map(|function| ((function.domain.as_str(), function.name.as_str()), function)).collect();
    let mut inliner = Inliner { functions: known, calls: 0, nodes: 0 };
    if let Some(graph) = &mut model.graph {
        inliner.graph(graph, &Scope::default(), 0);
    }
    model
}

/// A function, by the domain and operator of the nodes that call it.
type Name<'a> = (&'a str, &'a str);

struct Inliner<'a> {
    functions: HashMap<Name<'a>, &'a FunctionProto>,
    calls: usize,
    nodes: usize,
}

/// What names mean inside a call; in the graph itself they mean themselves.
#[derive(Default)]
struct Scope {
    /// The function's own names of what it is given and gives.
    edges: HashMap<String, String>,
    /// What comes before all other names.
    prefix: String,
    /// Attributes of the call.
    attributes: HashMap<String, AttributeProto>,
}

impl Scope {
    /// Of a call: what it leaves out is nothing inside.
    fn of(function: &FunctionProto, call: &NodeProto, number: usize) -> Self {
        let given = |names: &[String], values: &[String]| {
            let value = |index: usize| values.get(index).cloned().unwrap_or_default();
            names.iter().enumerate().map(|(index, name)| (name.clone(), value(index))).collect::<Vec<_>>()
        };
        let mut edges: HashMap<String, String> = given(&function.input, &call.input).into_iter().collect();
        // An output that the caller does not want keeps a name inside.
        let wanted = given(&function.output, &call.output).into_iter().filter(|(_, value)| !value.is_empty());
        edges.extend(wanted);
        let own = |attribute: &AttributeProto| (attribute.name.clone(), attribute.clone());
        let attributes = function.attribute_proto.iter().chain(&call.attribute).map(own).collect();
        Self { edges, prefix: format!("call {number}: "), attributes }
    }

    fn name(&self, name: &mut String) {
        if name.is_empty() || self.prefix.is_empty() {
            return;
        }
        *name = self.edges.get(name.as_str()).cloned().unwrap_or_else(|| format!("{}{name}", self.prefix));
    }

    /// An attribute as the call has it; `None` for one that it leaves out.
    fn attribute(&self, attribute: AttributeProto) -> Option<AttributeProto> {
        if attribute.ref_attr_name.is_empty() {
            return Some(attribute);
        }
        let value = self.attributes.get(&attribute.ref_attr_name)?;
        Some(AttributeProto { name: attribute.name, ..value.clone() })
    }
}

impl Inliner<'_> {
    fn graph(&mut self, graph: &mut GraphProto, scope: &Scope, depth: u32) {
        let infos = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
        infos.for_each(|info| scope.name(&mut info.name));
        graph.initializer.iter_mut().for_each(|tensor| scope.name(&mut tensor.name));
        let nodes = std::mem::take(&mut graph.node);
        nodes.into_iter().for_each(|node| self.node(node, scope, depth, &mut graph.node));
    }

    /// Appends a node, or what it stands for.
    fn node(&mut self, mut node: NodeProto, scope: &Scope, depth: u32, nodes: &mut Vec<NodeProto>) {
        node.input.iter_mut().chain(&mut node.output).for_each(|name| scope.name(name));
        node.attribute = node.attribute.into_iter().filter_map(|attribute| scope.attribute(attribute)).collect();
        let function = self.functions.get(&(node.domain.as_str(), node.op_type.as_str())).copied();
        if let Some(function) = function.filter(|_| depth < MAX_DEPTH)
            && self.nodes + function.node.len() <= MAX_NODES
        {
            self.nodes += function.node.len();
            self.calls += 1;
            let inner = Scope::of(function, &node, self.calls);
            function.node.iter().for_each(|node| self.node(node.clone(), &inner, depth + 1, nodes));
            return;
        }
        for attribute in &mut node.attribute {
            let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
            graphs.for_each(|graph| self.graph(graph, scope, depth));
        }
        nodes.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(domain: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        NodeProto {
            domain: domain.to_owned(),
            op_type: op.to_owned(),
            input: owned(inputs),
            output: owned(outputs),
            ..NodeProto::default()
        }
    }

    fn function(name: &str, node: Vec<NodeProto>) -> FunctionProto {
        let (name, domain) = (name.to_owned(), "own".to_owned());
        let (input, output) = (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]);
        FunctionProto { name, domain, input, output, node, ..FunctionProto::default() }
    }

    fn written(functions: Vec<FunctionProto>, nodes: Vec<NodeProto>) -> Vec<NodeProto> {
        let graph = GraphProto { node: nodes, ..GraphProto::default() };
        inline(ModelProto { graph: Some(graph), functions, ..ModelProto::default() }).graph.unwrap_or_default().node
    }

    #[test]
    fn a_call_becomes_the_nodes_of_the_function() {
        let alpha = |value| AttributeProto { name: "alpha".to_owned(), f: Some(value), ..AttributeProto::default() };
        let refers =
            AttributeProto { name: "slope".to_owned(), ref_attr_name: "alpha".to_owned(), ..AttributeProto::default() };
        let leaky = NodeProto { attribute: vec![refers], ..node("", "LeakyRelu", &["t"], &["c"]) };
        let own = FunctionProto {
            attribute_proto: vec![alpha(0.1)],
            ..function("Layer", vec![node("", "Add", &["a", "b"], &["t"]), leaky])
        };
        let twice = function(
            "Twice",
            vec![
                node("own", "Layer", &["a", "b"], &["t"]),
                NodeProto { attribute: vec![alpha(0.5)], ..node("own", "Layer", &["t", ""], &["c"]) },
            ],
        );
        let nodes = written(vec![own, twice], vec![node("own", "Twice", &["x", "w"], &["y"])]);
        let texts: Vec<String> =
            nodes.iter().map(|it| format!("{} {:?} {:?}", it.op_type, it.input, it.output)).collect();
        assert_eq!(
            texts,
            [
                r#"Add ["x", "w"] ["call 2: t"]"#,
                r#"LeakyRelu ["call 2: t"] ["call 1: t"]"#,
                r#"Add ["call 1: t", ""] ["call 3: t"]"#,
                r#"LeakyRelu ["call 3: t"] ["y"]"#,
            ]
        );
        assert_eq!([&nodes[1], &nodes[3]].map(|it| it.attribute[0].f), [Some(0.1), Some(0.5)]);
        assert_eq!(nodes[1].attribute[0].name, "slope");
    }

    #[test]
    fn functions_without_end_stay_calls() {
        let itself = function("Loop", vec![node("own", "Loop", &["a"], &["c"])]);
        assert_eq!(written(vec![itself], vec![node("own", "Loop", &["x"], &["y"])]).len(), 1);
        // Each level calls the next ten times: ten to the ninth power nodes.
        let level = |depth: u32| {
            let next = format!("L{}", depth + 1);
            function(&format!("L{depth}"), vec![node("own", &next, &["a"], &["c"]); 10])
        };
        let nodes = written((0..9).map(level).collect(), vec![node("own", "L0", &["x"], &["y"])]);
        assert!(nodes.len() <= MAX_NODES, "{}", nodes.len());
    }
}
