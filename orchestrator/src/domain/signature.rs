use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ElementType, Precision};

/// What a model's file says of its network: what goes in, what comes out, and what it computes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSignature {
    /// Inputs in the file's order, without those that are weights.
    pub inputs: Vec<TensorSignature>,
    /// Outputs in the file's order.
    pub outputs: Vec<TensorSignature>,
    /// What it computes in.
    pub arithmetic: Arithmetic,
    /// Other files that hold weights, each once, in the order in which the file names them.
    pub data_files: Vec<DataFile>,
    /// Operators that are no part of the format's own set, each once, sorted: an engine may lack them.
    pub foreign_operators: Vec<String>,
    /// Operators of an ONNX file that its outputs hang on, each once, sorted. None of other formats.
    pub operators: Vec<Operator>,
    /// Version of ONNX's file format; `None` where the file names none, and of other formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ir_version: Option<i64>,
    /// Types of numbers in its weights that no input is made of, each once, sorted: an engine may not read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_elements: Vec<String>,
    /// What may make its measurements another network's, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// An operator of an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Operator {
    /// Name.
    pub name: String,
    /// The set that it is of: `ai.onnx` for ONNX's own.
    pub domain: String,
    /// Version of that set; `None` where the file names none.
    pub opset: Option<i64>,
    /// Whether the file itself says what it computes, as a function.
    pub is_defined: bool,
    /// Element types of its first input, wherever it stands, as far as the file tells them; each once, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<ElementType>,
    /// What of it an engine may read otherwise, or not at all; each once, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peculiarities: Vec<Peculiarity>,
}

/// What is special about how an operator stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peculiarity {
    /// The shape of what it makes comes in as values of an input of the network.
    ShapeFromInput,
    /// Its second input lies along other dimensions than the last ones, as it could before opset 7.
    AlongOtherDimensions,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, domain, opset, .. } = self;
        match opset {
            Some(opset) => write!(f, "{name} ({domain}, opset {opset})"),
            None => write!(f, "{name} ({domain})"),
        }
    }
}

/// An input or output as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSignature {
    /// Name.
    pub name: String,
    /// What it is made of.
    pub element: TensorElement,
    /// Dimensions, outermost first; `None` where not even their number is fixed.
    pub dims: Option<Vec<Dimension>>,
    /// Whether its whole numbers stand for real ones, by a scale that the file has.
    pub is_quantised: bool,
    /// Whether a sigmoid or a softmax makes it, so that its values lie between 0 and 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_probability: bool,
    /// What the operators that read it take its first dimension for; `None` where none of them tells.
    pub first_dimension: Option<FirstDimension>,
}

impl TensorSignature {
    /// The shape as a person reads it: `[batch, 3, ?, 224]`.
    pub fn shape_text(&self) -> String {
        let Some(dims) = &self.dims else { return "of any shape".to_owned() };
        format!("[{}]", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for TensorSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.element, self.shape_text())
    }
}

/// What a first dimension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstDimension {
    /// The images of an inference, as a convolution reads them.
    Batch,
    /// The steps of a sequence, as an LSTM reads them.
    Steps,
}

/// What a tensor is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorElement {
    /// Numbers that an input can be made of.
    Number(ElementType),
    /// Something else, in a word: `string`, `sequence`, `bf16`.
    Other(String),
}

impl fmt::Display for TensorElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TensorElement::Number(element) => f.pad(element.as_str()),
            TensorElement::Other(word) => f.pad(word),
        }
    }
}

/// A dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Of that size.
    Fixed(u64),
    /// Open, with the file's own name for it.
    Open(Option<String>),
}

impl Dimension {
    /// The size, where it is fixed.
    pub fn size(&self) -> Option<u64> {
        match self {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Open(_) => None,
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Fixed(size) => write!(f, "{size}"),
            Dimension::Open(symbol) => f.write_str(symbol.as_deref().unwrap_or("?")),
        }
    }
}

/// What a network computes in, by the operators that hold most of its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arithmetic {
    /// The precision; `None` where it is none of those that a sweep can ask for.
    pub precision: Option<Precision>,
    /// The same in words, with how it is done and what is computed otherwise: `int8 (QDQ), partly fp32`.
    pub words: String,
    /// What else operators with weights compute in, in words, sorted.
    pub partly: Vec<String>,
}

/// Another file that holds weights of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where the model's file says that it is, seen from its own folder. Anything may stand there.
    pub location: String,
    /// Bytes that it must have at least.
    pub least_bytes: u64,
}
