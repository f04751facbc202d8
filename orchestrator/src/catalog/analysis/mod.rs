//! What a network costs, read from its graph: inputs, outputs, operators, multiply-adds, parameters.
//!
//! Main type: [`GraphSummary`], made by [`analyse`] for any ONNX graph. Shapes are inferred operator by operator; what
//! isn't understood is listed, and the sum then says «at least»: a number that might be wrong is never given as right.
//! Multiply-adds (MACs) are those of convolutions and matrix products; FLOPs are twice as many. Never runs a network.

use std::collections::{BTreeMap, HashMap};

use super::onnx::{
    DataType, DimensionValue, GraphProto, ModelProto, NodeProto, TensorProto, TypeValue, ValueInfoProto,
};

mod branches;
mod contradiction;
mod rules;
mod shapes;
mod size;
mod value;
mod windows;

pub use contradiction::contradiction;
use rules::Gap;
pub use size::{TooLarge, too_large};
use value::{TooMany, Value};

/// More dimensions than any network has: a bound for hostile files.
const MAX_RANK: usize = 32;

/// A network's inputs, outputs and cost.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct GraphSummary {
    /// Program that wrote the file, with its version, as far as the file tells.
    pub producer: String,
    /// Version of ONNX's operator set.
    pub opset: i64,
    /// What goes in.
    pub inputs: Vec<TensorSummary>,
    /// What comes out.
    pub outputs: Vec<TensorSummary>,
    /// How often each operator stands in the graph.
    pub ops: BTreeMap<String, u64>,
    /// Multiply-adds of one inference by operator; only operators that have some.
    pub macs_by_op: BTreeMap<String, u64>,
    /// Numbers in the weights: batch normalisation counts with its statistics where it isn't folded.
    pub params: u64,
    /// What the sums leave out, one line each; empty when they are whole.
    pub not_understood: Vec<String>,
}

impl GraphSummary {
    /// Multiply-adds of one inference; a lower bound unless [`GraphSummary::is_complete`].
    pub fn macs(&self) -> u64 {
        self.macs_by_op.values().fold(0, |sum, macs| sum.saturating_add(*macs))
    }

    /// Whether every operator was understood, so that the sums are exact.
    pub fn is_complete(&self) -> bool {
        self.not_understood.is_empty()
    }
}

/// A tensor at the network's edge.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TensorSummary {
    /// Name.
    pub name: String,
    /// Element type, for example `float32`.
    pub element: String,
    /// Shape, `None` where it couldn't be found out. A free batch dimension counts as 1.
    pub shape: Option<Vec<u64>>,
}

/// Why a graph is at odds with itself or with ONNX.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// No graph.
    #[error("analyse the model: it holds no graph")]
    NoGraph,
    /// A node reads what nothing wrote.
    #[error("analyse {node}: it reads {tensor:?}, which no input, weight or node before it gives")]
    Undefined {
        /// The node.
        node: String,
        /// The tensor.
        tensor: String,
    },
    /// A node's inputs don't fit each other or its attributes.
    #[error("analyse {node}: {cause}")]
    Node {
        /// The node.
        node: String,
        /// What is wrong.
        cause: String,
    },
    /// A tensor's shape is impossible.
    #[error("analyse tensor {tensor:?}: {cause}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        cause: String,
    },
    /// The catalogue's shape doesn't fit the model.
    #[error("analyse the model: its input {input:?} has shape {declared}, which {wanted:?} does not fit")]
    InputShape {
        /// Name of the input.
        input: String,
        /// The model's shape.
        declared: String,
        /// The shape wanted.
        wanted: Vec<u64>,
    },
}

/// Counts a model's operations. `shapes` are those of inputs, by name: they set the dimensions that the model leaves
/// open. Without one a free first dimension is a batch of 1, and what hangs on others is not understood.
///
/// # Errors
/// When the graph is at odds with itself or with `shapes`.
pub fn analyse(model: &ModelProto, shapes: &[(&str, &[u64])]) -> Result<GraphSummary, AnalysisError> {
    let graph = model.graph.as_ref().ok_or(AnalysisError::NoGraph)?;
    let opset = opset(model);
    let mut walk = Walk::new(graph, opset);
    walk.take_weights()?;
    let inputs = walk.take_inputs(shapes)?;
    for node in &graph.node {
        walk.visit(node)?;
    }
    let outputs = graph.output.iter().map(|info| walk.summary(info)).collect();
    Ok(GraphSummary {
        producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
        opset,
        inputs,
        outputs,
        ops: walk.ops,
        macs_by_op: walk.macs_by_op,
        params: walk.params,
        not_understood: walk.gaps.into_iter().map(|(what, count)| format!("{what} ({count}×)")).collect(),
    })
}

/// The size that stands for an open first dimension where only shapes are looked for: one that no file fixes by chance.
const OPEN_FIRST: u64 = 61;
/// The same for other open dimensions.
const OPEN: u64 = 64;

/// The shapes of a graph's tensors, as far as they follow from those of its inputs. What is open has some size.
pub(super) fn shapes(model: &ModelProto) -> HashMap<String, Vec<u64>> {
    let Some(graph) = &model.graph else { return HashMap::new() };
    let mut walk = Walk { open_first: OPEN_FIRST, ..Walk::new(graph, opset(model)) };
    // Where one is at odds, the rest is not known; those who count tell it.
    let _ = walk.take_weights();
    for info in graph.input.iter().filter(|info| !walk.values.contains_key(info.name.as_str())).collect::<Vec<_>>() {
        let sizes = declared_sizes(info).filter(|sizes| sizes.len() <= MAX_RANK);
        let size = |(axis, size): (usize, Option<u64>)| size.unwrap_or(if axis == 0 { OPEN_FIRST } else { OPEN });
        let shape = sizes.map(|sizes| sizes.into_iter().enumerate().map(size).collect());
        walk.values.insert(&info.name, Value::with_shape(shape));
    }
    walk.visit_all();
    walk.values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.shape?))).collect()
}

/// Version of ONNX's operator set.
fn opset(model: &ModelProto) -> i64 {
    model.opset_import.iter().find(|set| is_standard(&set.domain)).map_or(1, |set| set.version)
}

/// One pass over a graph.
struct Walk<'a> {
    graph: &'a GraphProto,
    opset: i64,
    /// The size that a first dimension has which the file leaves open.
    open_first: u64,
    values: HashMap<&'a str, Value>,
    declared: HashMap<&'a str, &'a ValueInfoProto>,
    ops: BTreeMap<String, u64>,
    macs_by_op: BTreeMap<String, u64>,
    params: u64,
    gaps: BTreeMap<String, u64>,
    /// The first shape that was too large to be counted.
    too_many: Option<TooMany>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a GraphProto, opset: i64) -> Self {
        let declared = graph.value_info.iter().chain(&graph.output).map(|info| (info.name.as_str(), info)).collect();
        Self {
            graph,
            opset,
            open_first: 1,
            values: HashMap::new(),
            declared,
            ops: BTreeMap::new(),
            macs_by_op: BTreeMap::new(),
            params: 0,
            gaps: BTreeMap::new(),
            too_many: None,
        }
    }

    fn take_weights(&mut self) -> Result<(), AnalysisError> {
        for tensor in &self.graph.initializer {
            let value = self.constant(tensor, &tensor.name)?;
            self.values.insert(&tensor.name, value);
        }
        for sparse in &self.graph.sparse_initializer {
            let Some(values) = &sparse.values else { continue };
            // Of the shape of the whole, and with its name; its numbers are those that are not zero.
            self.constant(values, &values.name)?;
            let whole = TensorProto { dims: sparse.dims.clone(), ..TensorProto::default() };
            let fault = |cause| AnalysisError::Tensor { tensor: values.name.clone(), cause };
            let shape = Value::constant(&whole).map_err(fault)?.shape;
            self.values.insert(&values.name, Value::with_shape(shape));
        }
        Ok(())
    }

    /// A tensor that stands in the file.
    fn constant(&mut self, tensor: &TensorProto, name: &str) -> Result<Value, AnalysisError> {
        let fault = |cause| AnalysisError::Tensor { tensor: name.to_owned(), cause };
        let value = Value::constant(tensor).map_err(fault)?;
        let elements = value.elements().map_err(fault)?.unwrap_or(0);
        // Scalars are an operator's constants (a clip's bounds), 64-bit integers and booleans are shapes and masks.
        let is_weight = !matches!(tensor.data_type(), DataType::Int64 | DataType::Bool | DataType::String);
        if is_weight && !tensor.dims.is_empty() {
            self.params = self.params.saturating_add(elements);
        }
        Ok(value)
    }

    fn take_inputs(&mut self, shapes: &[(&str, &[u64])]) -> Result<Vec<TensorSummary>, AnalysisError> {
        let mut summaries = Vec::new();
        for info in &self.graph.input {
            if self.values.contains_key(info.name.as_str()) {
                continue; // a weight, listed as an input as old files do
            }
            let wanted = shapes.iter().find(|(name, _)| *name == info.name).map(|(_, shape)| *shape);
            let shape = input_shape(info, wanted, self.open_first)?;
            self.values.insert(&info.name, Value::with_shape(shape.clone()));
            summaries.push(TensorSummary { name: info.name.clone(), element: element_type(info), shape });
        }
        Ok(summaries)
    }

    fn visit(&mut self, node: &'a NodeProto) -> Result<(), AnalysisError> {
        let op =
            if is_standard(&node.domain) { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
        *self.ops.entry(op.clone()).or_default() += 1;
        if node.op_type == "Constant"
            && is_standard(&node.domain)
            && let Some(tensor) = node.attribute.iter().find_map(|attribute| attribute.t.as_ref())
        {
            let value = self.constant(tensor, &describe(node))?;
            self.write(node, vec![value]);
            return Ok(());
        }
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match self.values.get(name.as_str()) {
                _ if name.is_empty() => None,
                Some(value) => Some(value),
                None => return Err(AnalysisError::Undefined { node: describe(node), tensor: name.clone() }),
            });
        }
        let outcome = if is_standard(&node.domain) {
            rules::apply(&rules::Call { node, inputs: &inputs, opset: self.opset })
        } else {
            Err(Gap::Operator)
        };
        match outcome {
            Ok(outcome) => {
                if outcome.macs > 0 {
                    let sum = self.macs_by_op.entry(op).or_default();
                    *sum = sum.saturating_add(outcome.macs);
                }
                self.write(node, outcome.outputs);
            }
            Err(Gap::TooMany(shape)) => {
                self.too_many.get_or_insert_with(|| shape.clone());
                return Err(AnalysisError::Node { node: describe(node), cause: shape.into() });
            }
            Err(Gap::Fault(cause)) => return Err(AnalysisError::Node { node: describe(node), cause }),
            Err(Gap::Operator) => {
                *self.gaps.entry(format!("operator {op}")).or_default() += 1;
                self.write(node, Vec::new());
            }
            Err(Gap::Shape) => {
                *self.gaps.entry(format!("{op} on a shape that is not known before it runs")).or_default() += 1;
                self.write(node, Vec::new());
            }
        }
        Ok(())
    }

    /// Passes over all nodes; of one that is at odds, what it makes is not known.
    fn visit_all(&mut self) {
        let graph = self.graph;
        for node in &graph.node {
            if self.visit(node).is_err() {
                self.write(node, Vec::new());
            }
        }
    }

    /// Keeps a node's outputs. For those not inferred the file's own word is taken.
    fn write(&mut self, node: &'a NodeProto, outputs: Vec<Value>) {
        let mut outputs = outputs.into_iter();
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            let mut value = outputs.next().unwrap_or_default();
            if value.shape.is_none() {
                let info = self.declared.get(name.as_str()).copied();
                value.shape = info.and_then(|info| input_shape(info, None, self.open_first).ok().flatten());
            }
            self.values.insert(name, value);
        }
    }

    fn summary(&self, info: &ValueInfoProto) -> TensorSummary {
        let shape = self.values.get(info.name.as_str()).and_then(|value| value.shape.clone());
        TensorSummary { name: info.name.clone(), element: element_type(info), shape }
    }
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// How a node is named in a message.
fn describe(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    format!("node {name:?} ({})", node.op_type)
}

/// The sizes that the file has for a tensor, `None` for what is open; `None` where it has no shape.
fn declared_sizes(info: &ValueInfoProto) -> Option<Vec<Option<u64>>> {
    let Some(TypeValue::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { return None };
    let size = |value: &Option<DimensionValue>| match value {
        // Some exporters write an open dimension as 0 or -1.
        Some(DimensionValue::DimValue(size)) if *size > 0 => u64::try_from(*size).ok(),
        _ => None,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(|dim| size(&dim.value)).collect())
}

/// The declared shape, with open dimensions from `wanted`; a first one is `open_first` without it.
fn input_shape(
    info: &ValueInfoProto,
    wanted: Option<&[u64]>,
    open_first: u64,
) -> Result<Option<Vec<u64>>, AnalysisError> {
    let Some(declared) = declared_sizes(info) else { return Ok(wanted.map(<[u64]>::to_vec)) };
    if declared.len() > MAX_RANK {
        let cause = format!("it has {} dimensions, more than {MAX_RANK}", declared.len());
        return Err(AnalysisError::Tensor { tensor: info.name.clone(), cause });
    }
    if let Some(wanted) = wanted {
        let fits = wanted.len() == declared.len()
            && wanted.iter().zip(&declared).all(|(wanted, declared)| declared.is_none_or(|size| size == *wanted));
        if !fits {
            let declared: Vec<String> =
                declared.iter().map(|size| size.map_or_else(|| "?".to_owned(), |size| size.to_string())).collect();
            return Err(AnalysisError::InputShape {
                input: info.name.clone(),
                declared: format!("[{}]", declared.join(", ")),
                wanted: wanted.to_vec(),
            });
        }
        return Ok(Some(wanted.to_vec()));
    }
    Ok(declared.into_iter().enumerate().map(|(axis, size)| size.or((axis == 0).then_some(open_first))).collect())
}

fn element_type(info: &ValueInfoProto) -> String {
    let element = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(TypeValue::TensorType(tensor)) => tensor.elem_type(),
        _ => return "not a tensor".to_owned(),
    };
    match element {
        DataType::Undefined => "unknown".to_owned(),
        DataType::Float => "float32".to_owned(),
        DataType::Double => "float64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
