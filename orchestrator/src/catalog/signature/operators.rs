//! The operators that the outputs of an ONNX file hang on.
//!
//! Main function: [`of`]. An engine that lacks one of them can't run the file. So nothing is told that an engine may
//! leave out: nodes that no output needs, and the branches of `If`, of which one is taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::elements::{self, Elements};
use super::peculiar::{Known, STRETCHED_FROM};
use crate::catalog::analysis;
use crate::catalog::onnx::{GraphProto, ModelProto, NodeProto, read_by};
use crate::domain::{ElementType, Operator, Peculiarity};

/// How ONNX's own set of operators is called, which files mostly leave unnamed.
const STANDARD: &str = "ai.onnx";
/// Operators whose inner graph is always carried out.
const LOOPS: [&str; 2] = ["Loop", "Scan"];
/// Characters of a name that are kept.
const KEPT_CHARACTERS: usize = 100;
/// Most operators that are told: files come from anywhere, and more are in none.
const MAX_OPERATORS: usize = 1000;

/// The operators of a model as its file has them: calls of its own functions among them.
pub(super) fn of(model: &ModelProto) -> Vec<Operator> {
    let functions = model.functions.iter().map(|function| (named(&function.domain), function.name.as_str())).collect();
    let opsets: HashMap<&str, i64> = model.opset_import.iter().map(|set| (named(&set.domain), set.version)).collect();
    let Some(graph) = &model.graph else { return Vec::new() };
    let opset = opsets.get(STANDARD).copied();
    // Only what old operators mean hangs on them.
    let is_old = opset.is_some_and(|opset| opset < STRETCHED_FROM);
    let shapes = if is_old { analysis::shapes(model) } else { HashMap::new() };
    let known = Known::of(graph, shapes, opset);
    let mut survey = Survey { functions, opsets, found: BTreeMap::new() };
    survey.graph(graph, &elements::of(graph), Some(&known));
    let told = |(operator, noted): (Operator, Noted)| Operator {
        elements: noted.elements.into_iter().collect(),
        peculiarities: noted.peculiarities.into_iter().collect(),
        ..operator
    };
    survey.found.into_iter().take(MAX_OPERATORS).map(told).collect()
}

/// A domain by its name.
fn named(domain: &str) -> &str {
    if domain.is_empty() { STANDARD } else { domain }
}

/// What is noted of an operator wherever it stands.
#[derive(Default)]
struct Noted {
    elements: BTreeSet<ElementType>,
    peculiarities: BTreeSet<Peculiarity>,
}

struct Survey<'a> {
    /// The file's own functions, by domain and name.
    functions: HashSet<(&'a str, &'a str)>,
    opsets: HashMap<&'a str, i64>,
    found: BTreeMap<Operator, Noted>,
}

impl<'a> Survey<'a> {
    /// Goes from the outputs back. How deep graphs can nest is bounded by the reader. `known` is of the outermost one.
    fn graph(&mut self, graph: &'a GraphProto, elements: &Elements<'a>, known: Option<&Known<'_>>) {
        let mut makers: HashMap<&str, &NodeProto> = HashMap::new();
        for node in &graph.node {
            node.output.iter().for_each(|name| {
                makers.insert(name, node);
            });
        }
        let mut wanted: Vec<&str> = graph.output.iter().map(|info| info.name.as_str()).collect();
        while let Some(name) = wanted.pop() {
            // Once a node: whatever else it makes needs no other operator.
            let Some(node) = makers.remove(name) else { continue };
            node.output.iter().for_each(|name| {
                makers.remove(name.as_str());
            });
            self.node(node, elements, known);
            wanted.extend(read_by(node));
        }
    }

    fn node(&mut self, node: &'a NodeProto, elements: &Elements<'a>, known: Option<&Known<'_>>) {
        let (domain, name) = (named(&node.domain), node.op_type.as_str());
        let kept = |text: &str| text.chars().take(KEPT_CHARACTERS).collect();
        let operator = Operator {
            name: kept(name),
            domain: kept(domain),
            opset: self.opsets.get(domain).copied(),
            is_defined: self.functions.contains(&(domain, name)),
            elements: Vec::new(),
            peculiarities: Vec::new(),
        };
        let noted = self.found.entry(operator).or_default();
        noted.elements.extend(node.input.first().and_then(|name| elements.get(name.as_str())));
        if domain != STANDARD {
            return;
        }
        noted.peculiarities.extend(known.map(|known| known.peculiarities(node)).into_iter().flatten());
        if LOOPS.contains(&name) {
            let graphs = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
            graphs.for_each(|graph| self.graph(graph, &elements::of(graph), None));
        }
    }
}
