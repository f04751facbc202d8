//! The part of Caffe2's `caffe2.proto` that a network and its weights need.

use prost::Message;

/// A network: operators in the order in which they run.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NetDef {
    /// Name.
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    /// The operators.
    #[prost(message, repeated, tag = "2")]
    pub(super) op: Vec<OperatorDef>,
    /// How it is run: `simple` is one operator after the other.
    #[prost(string, optional, tag = "3")]
    pub(super) r#type: Option<String>,
    /// Names of what goes in, weights included.
    #[prost(string, repeated, tag = "7")]
    pub(super) external_input: Vec<String>,
    /// Names of what comes out.
    #[prost(string, repeated, tag = "8")]
    pub(super) external_output: Vec<String>,
}

/// An operator.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorDef {
    /// Names of what it reads.
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    /// Names of what it writes.
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    /// Name.
    #[prost(string, optional, tag = "3")]
    pub(super) name: Option<String>,
    /// What it computes.
    #[prost(string, optional, tag = "4")]
    pub(super) r#type: Option<String>,
    /// Its settings.
    #[prost(message, repeated, tag = "5")]
    pub(super) arg: Vec<Argument>,
}

/// A setting of an operator.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Argument {
    /// Name.
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    /// Value, when a float.
    #[prost(float, optional, tag = "2")]
    pub(super) f: Option<f32>,
    /// Value, when an integer.
    #[prost(int64, optional, tag = "3")]
    pub(super) i: Option<i64>,
    /// Value, when a word.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) s: Option<Vec<u8>>,
    /// Value, when floats. Packed, as the weights are written here; readers take them either way.
    #[prost(float, repeated, packed = "true", tag = "5")]
    pub(super) floats: Vec<f32>,
    /// Value, when integers.
    #[prost(int64, repeated, packed = "false", tag = "6")]
    pub(super) ints: Vec<i64>,
}

impl Argument {
    pub(super) fn int(name: &str, value: u64) -> Self {
        Self { i: Some(value as i64), ..Self::named(name) }
    }

    pub(super) fn ints(name: &str, values: &[u64]) -> Self {
        Self { ints: values.iter().map(|&value| value as i64).collect(), ..Self::named(name) }
    }

    pub(super) fn signed(name: &str, values: &[i64]) -> Self {
        Self { ints: values.to_vec(), ..Self::named(name) }
    }

    pub(super) fn float(name: &str, value: f32) -> Self {
        Self { f: Some(value), ..Self::named(name) }
    }

    pub(super) fn word(name: &str, value: &str) -> Self {
        Self { s: Some(value.as_bytes().to_vec()), ..Self::named(name) }
    }

    pub(super) fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }
}
