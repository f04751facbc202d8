//! What a network computes in: that of the operators with the most weights.

use std::collections::{BTreeMap, HashMap};

use super::onnx::element;
use crate::catalog::onnx::{GraphProto, NodeProto, TensorProto, TypeValue, ValueInfoProto};
use crate::domain::{Arithmetic, ElementType, Precision, TensorElement};

/// A way to compute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Computation {
    /// As sweeps call it; `None` where they have no word.
    pub(super) precision: Option<Precision>,
    /// In words: `fp32`, `bf16`.
    pub(super) name: String,
    /// How it is written down, where there are several forms: `QDQ`.
    pub(super) form: &'static str,
}

impl Computation {
    /// 8-bit integers.
    pub(super) fn int8(form: &'static str) -> Self {
        Self { precision: Some(Precision::Int8), name: "int8".to_owned(), form }
    }

    /// One that sweeps have no word for.
    pub(super) fn other(name: &str) -> Self {
        Self { precision: None, name: name.to_owned(), form: "" }
    }

    /// That of numbers of a type.
    pub(super) fn of(element: &TensorElement) -> Self {
        let (precision, name) = match element {
            TensorElement::Number(ElementType::Float32) => (Some(Precision::Float32), "fp32"),
            TensorElement::Number(ElementType::Float16) => (Some(Precision::Float16), "fp16"),
            TensorElement::Number(ElementType::Float64) => (None, "fp64"),
            TensorElement::Number(_) => (None, "whole numbers"),
            TensorElement::Other(word) => (None, word.as_str()),
        };
        Self { precision, name: name.to_owned(), form: "" }
    }
}

/// How much of a network is computed in which way.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Of operators with weights: the number of these.
    heavy: BTreeMap<Computation, u64>,
    /// Of other operators: how many.
    light: BTreeMap<Computation, u64>,
}

impl Shares {
    /// Counts an operator that multiplies by so many weights.
    pub(super) fn add_heavy(&mut self, way: Computation, weights: u64) {
        let share = self.heavy.entry(way).or_default();
        *share = share.saturating_add(weights.max(1));
    }

    /// Counts an operator without weights.
    pub(super) fn add_light(&mut self, way: Computation) {
        *self.light.entry(way).or_default() += 1;
    }

    /// What most is computed in. Operators without weights count only where there are no others; then floats go before
    /// whole numbers, which are mostly shapes and indices.
    pub(super) fn arithmetic(&self) -> Arithmetic {
        let most = |shares: &BTreeMap<Computation, u64>| {
            let by_share = |(way, share): &(&Computation, &u64)| (**share, std::cmp::Reverse((*way).clone()));
            shares.iter().max_by_key(by_share).map(|(way, _)| way.clone())
        };
        if let Some(main) = most(&self.heavy) {
            let mut others: Vec<&str> =
                self.heavy.keys().filter(|way| way.name != main.name).map(|it| &*it.name).collect();
            others.dedup();
            let form = if main.form.is_empty() { String::new() } else { format!(" ({})", main.form) };
            let partly = if others.is_empty() { String::new() } else { format!(", partly {}", others.join(", ")) };
            return Arithmetic {
                precision: main.precision,
                words: format!("{}{form}{partly}", main.name),
                partly: others.into_iter().map(str::to_owned).collect(),
            };
        }
        let known = [Precision::Float32, Precision::Float16, Precision::Int8];
        let of = |precision| self.light.keys().find(|way| way.precision == Some(precision)).cloned();
        let main = known.into_iter().find_map(of).or_else(|| most(&self.light));
        let main = main.unwrap_or_else(|| Computation::of(&TensorElement::Number(ElementType::Float32)));
        Arithmetic { precision: main.precision, words: main.name, partly: Vec::new() }
    }
}

/// What is known of a tensor.
#[derive(Debug, Clone, Default)]
struct Known {
    element: Option<TensorElement>,
    /// What it was made of by `DequantizeLinear`.
    quantised: Option<TensorElement>,
    /// Its numbers, where they are weights.
    weights: u64,
}

/// What an ONNX graph computes in.
pub(super) fn of_onnx(graph: &GraphProto) -> Arithmetic {
    let mut walk = Walk::default();
    walk.graph(graph);
    if walk.shares.heavy.is_empty() && walk.shares.light.is_empty() {
        // What only hands its input on computes in whatever it is given.
        let given = graph.input.iter().chain(&graph.output).filter_map(declared);
        given.for_each(|element| walk.shares.add_light(Computation::of(&element)));
    }
    walk.shares.arithmetic()
}

#[derive(Default)]
struct Walk<'a> {
    shares: Shares,
    tensors: HashMap<&'a str, Known>,
}

impl<'a> Walk<'a> {
    fn graph(&mut self, graph: &'a GraphProto) {
        for info in graph.input.iter().chain(&graph.value_info).chain(&graph.output) {
            let known = Known { element: declared(info), ..Known::default() };
            self.tensors.insert(&info.name, known);
        }
        let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
        for tensor in graph.initializer.iter().chain(sparse) {
            self.tensors.insert(&tensor.name, constant(tensor));
        }
        for node in &graph.node {
            self.node(node);
            let inner = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
            inner.for_each(|graph| self.graph(graph));
        }
    }

    fn node(&mut self, node: &'a NodeProto) {
        let input = |index: usize| node.input.get(index).and_then(|name| self.tensors.get(name.as_str()));
        let made = made(node, &input);
        match class(node) {
            Class::PackedWeights => {
                let weights = integer(node, "K").saturating_mul(integer(node, "N"));
                self.shares.add_heavy(packed(node, input(0)), weights);
            }
            Class::Integers(weight_at) => {
                let weights = input(weight_at).map_or(0, |known| known.weights);
                self.shares.add_heavy(Computation::int8("QLinear operators"), weights);
            }
            Class::Products => {
                let weights = (1..3).filter_map(input).map(|known| known.weights).max().unwrap_or(0);
                let way = product(&node.op_type, input(0), input(1));
                self.shares.add_heavy(way, weights);
            }
            Class::Light => {
                let read = node.input.iter().filter_map(|name| self.tensors.get(name.as_str())?.element.as_ref());
                let ways: Vec<Computation> = read.chain(&made.element).map(Computation::of).collect();
                // Of what it reads and writes, floats are what it computes with.
                let main = ways.iter().find(|way| way.precision.is_some()).or(ways.first());
                main.into_iter().for_each(|way| self.shares.add_light(way.clone()));
            }
            Class::LightIntegers => self.shares.add_light(Computation::int8("QLinear operators")),
            Class::Plumbing => {}
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            let declared = self.tensors.get(name.as_str()).and_then(|known| known.element.clone());
            let element = declared.or_else(|| made.element.clone());
            self.tensors.insert(name, Known { element, ..made.clone() });
        }
    }
}

/// A whole number among a node's attributes that is no size below zero; 0 where it is left out.
fn integer(node: &NodeProto, name: &str) -> u64 {
    let attribute = node.attribute.iter().find(|attribute| attribute.name == name);
    attribute.and_then(|attribute| u64::try_from(attribute.i?).ok()).unwrap_or(0)
}

/// The way of a product with weights of few bits, which its kernel unpacks: floats are made bytes where the file allows
/// it to be so inexact.
fn packed(node: &NodeProto, data: Option<&Known>) -> Computation {
    let form = match (node.op_type.as_str(), integer(node, "bits")) {
        ("MatMulNBits", 2) => "weights of 2 bits",
        ("MatMulNBits", 8) => "weights of 8 bits",
        _ => "weights of 4 bits",
    };
    // As ONNX Runtime counts them: 0 says nothing, 1 is fp32, 4 is int8.
    if integer(node, "accuracy_level") == 4 {
        return Computation::int8(form);
    }
    let element = data.and_then(|data| data.element.as_ref());
    Computation { form, ..Computation::of(element.unwrap_or(&TensorElement::Number(ElementType::Float32))) }
}

/// The way in which an operator computes a product of these two.
fn product(op: &str, left: Option<&Known>, right: Option<&Known>) -> Computation {
    let is_byte =
        |element: &TensorElement| matches!(element, TensorElement::Number(ElementType::Int8 | ElementType::Uint8));
    let quantised = |known: Option<&Known>| known.and_then(|known| known.quantised.clone());
    match (quantised(left), quantised(right)) {
        (Some(left), Some(right)) if is_byte(&left) && is_byte(&right) && !is_recurrent(op) => Computation::int8("QDQ"),
        // Weights alone that are stored in fewer bits are made floats before they are multiplied.
        _ => {
            let element = left.and_then(|it| it.element.as_ref()).or_else(|| right.and_then(|it| it.element.as_ref()));
            Computation::of(element.unwrap_or(&TensorElement::Number(ElementType::Float32)))
        }
    }
}

/// Operators over sequences: no engine has kernels that compute them in the bytes around them.
fn is_recurrent(op: &str) -> bool {
    matches!(op, "LSTM" | "GRU" | "RNN")
}

/// What an operator is to the arithmetic.
enum Class {
    /// It multiplies whole numbers; the index is that of its weights.
    Integers(usize),
    /// It multiplies by weights that are packed; its attributes tell how many and how.
    PackedWeights,
    /// It multiplies what it is given.
    Products,
    /// It works on whole numbers, without weights.
    LightIntegers,
    /// It has no weights.
    Light,
    /// It moves, converts or describes numbers.
    Plumbing,
}

fn class(node: &NodeProto) -> Class {
    match node.op_type.as_str() {
        "ConvInteger"
        | "MatMulInteger"
        | "MatMulIntegerToFloat"
        | "DynamicQuantizeMatMul"
        | "DynamicQuantizeLSTM"
        | "QAttention" => Class::Integers(1),
        "MatMulNBits" | "MatMulBnb4" => Class::PackedWeights,
        "QLinearConv" | "QLinearMatMul" | "QGemm" => Class::Integers(3),
        "Conv"
        | "ConvTranspose"
        | "DeformConv"
        | "Gemm"
        | "MatMul"
        | "FusedMatMul"
        | "Einsum"
        | "LSTM"
        | "GRU"
        | "RNN"
        | "Attention"
        | "MultiHeadAttention"
        | "GroupQueryAttention"
        | "FusedConv"
        | "FusedGemm" => Class::Products,
        op if op.starts_with("QLinear") => Class::LightIntegers,
        "Cast"
        | "CastLike"
        | "Constant"
        | "ConstantOfShape"
        | "Identity"
        | "Reshape"
        | "Transpose"
        | "Squeeze"
        | "Unsqueeze"
        | "Flatten"
        | "Shape"
        | "Size"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "If"
        | "Loop"
        | "Scan" => Class::Plumbing,
        _ => Class::Light,
    }
}

/// What is known of what a node makes.
fn made<'k>(node: &NodeProto, input: &dyn Fn(usize) -> Option<&'k Known>) -> Known {
    let of_type = |element: Option<TensorElement>| Known { element, ..Known::default() };
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let number = |element| TensorElement::Number(element);
    match node.op_type.as_str() {
        "Cast" => of_type(attribute("to").and_then(|to| Some(element(i32::try_from(to.i?).ok()?)))),
        "CastLike" => of_type(input(1).and_then(|known| known.element.clone())),
        "Constant" => match node.attribute.iter().find_map(|attribute| attribute.t.as_ref()) {
            Some(tensor) => constant(tensor),
            None if attribute("value_float").or_else(|| attribute("value_floats")).is_some() => {
                of_type(Some(number(ElementType::Float32)))
            }
            None => of_type(Some(number(ElementType::Int64))),
        },
        "ConstantOfShape" => {
            let value = attribute("value").and_then(|value| value.t.as_ref());
            of_type(Some(value.map_or(number(ElementType::Float32), |tensor| element(tensor.data_type))))
        }
        "QuantizeLinear" => {
            let zero_point = input(2).and_then(|known| known.element.clone());
            of_type(zero_point.or(Some(number(ElementType::Uint8))))
        }
        "DynamicQuantizeLinear" => of_type(Some(number(ElementType::Uint8))),
        "DequantizeLinear" => Known {
            element: input(1).and_then(|known| known.element.clone()),
            quantised: input(0).and_then(|known| known.element.clone()),
            weights: input(0).map_or(0, |known| known.weights),
        },
        "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression" => {
            of_type(Some(number(ElementType::Int64)))
        }
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" | "Not" | "IsNaN"
        | "IsInf" => of_type(Some(number(ElementType::Bool))),
        "ConvInteger" | "MatMulInteger" => of_type(Some(number(ElementType::Int32))),
        // What they make is as their scales are.
        "MatMulIntegerToFloat" => of_type(input(2).and_then(|known| known.element.clone())),
        "QAttention" => of_type(input(3).and_then(|known| known.element.clone())),
        "Where" => of_type(input(1).and_then(|known| known.element.clone())),
        // What only picks numbers, or changes their order or shape, leaves them what they are.
        "Identity" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Slice" | "MaxPool" => {
            input(0).cloned().unwrap_or_default()
        }
        _ => of_type(input(0).and_then(|known| known.element.clone())),
    }
}

fn constant(tensor: &TensorProto) -> Known {
    let sizes = tensor.dims.iter().map(|dim| dim.unsigned_abs());
    let weights = sizes.fold(1, u64::saturating_mul);
    Known { element: Some(element(tensor.data_type)), weights, ..Known::default() }
}

fn declared(info: &ValueInfoProto) -> Option<TensorElement> {
    match info.r#type.as_ref()?.value.as_ref()? {
        TypeValue::TensorType(tensor) if tensor.elem_type != 0 => Some(element(tensor.elem_type)),
        _ => None,
    }
}
