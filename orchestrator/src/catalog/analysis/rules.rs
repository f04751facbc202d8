use super::shapes;
use super::value::{TooMany, Value, count};
use super::windows;
use crate::catalog::onnx::{AttributeProto, NodeProto};

/// Why nothing is said of a node.
#[derive(Debug)]
pub(super) enum Gap {
    /// The operator isn't known.
    Operator,
    /// What it works on isn't known.
    Shape,
    /// It can't be: what is wrong.
    Fault(String),
    /// It makes more values than can be counted.
    TooMany(TooMany),
}

impl From<TooMany> for Gap {
    fn from(too_many: TooMany) -> Self {
        Gap::TooMany(too_many)
    }
}

impl From<String> for Gap {
    fn from(cause: String) -> Self {
        Gap::Fault(cause)
    }
}

/// What a node makes.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Its outputs, in order.
    pub(super) outputs: Vec<Value>,
    /// Multiply-adds that it takes.
    pub(super) macs: u64,
}

impl Outcome {
    fn of(value: Value) -> Result<Self, Gap> {
        Ok(Self { outputs: vec![value], macs: 0 })
    }

    fn with_shape(shape: Vec<u64>) -> Result<Self, Gap> {
        count(&shape)?;
        Self::of(Value::with_shape(Some(shape)))
    }

    fn with_macs(shape: Vec<u64>, each: &[u64]) -> Result<Self, Gap> {
        let macs = each
            .iter()
            .try_fold(count(&shape)?, |product, &factor| product.checked_mul(factor))
            .ok_or_else(|| Gap::Fault("it has more multiply-adds than can be counted".to_owned()))?;
        Ok(Self { outputs: vec![Value::with_shape(Some(shape))], macs })
    }
}

/// A node with what it reads.
pub(super) struct Call<'a> {
    /// The node.
    pub(super) node: &'a NodeProto,
    /// Its inputs; `None` where an optional one is left out.
    pub(super) inputs: &'a [Option<&'a Value>],
    /// Version of the operator set.
    pub(super) opset: i64,
}

impl Call<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    /// A list of integers; `None` where it is left out.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// A word; empty where it is left out.
    pub(super) fn word(&self, name: &str) -> &[u8] {
        self.attribute(name).and_then(|attribute| attribute.s.as_ref()).map_or(&[], |word| word.as_ref())
    }

    /// An input's shape.
    pub(super) fn shape(&self, index: usize) -> Result<&[u64], Gap> {
        let value = self.inputs.get(index).copied().flatten();
        let value = value.ok_or_else(|| Gap::Fault(format!("its input {index} is missing")))?;
        value.shape.as_deref().ok_or(Gap::Shape)
    }

    /// An input's integers, where it is given: `Ok(None)` when it is left out.
    pub(super) fn integers(&self, index: usize) -> Result<Option<&[i64]>, Gap> {
        match self.inputs.get(index).copied().flatten() {
            None => Ok(None),
            Some(value) => value.integers.as_deref().map(Some).ok_or(Gap::Shape),
        }
    }

    /// Floats that are an attribute in old operator sets and an input in new ones; `None` where they are left out.
    pub(super) fn floats(&self, name: &str, input: usize) -> Result<Option<&[f32]>, Gap> {
        if let Some(attribute) = self.attribute(name) {
            return Ok(Some(&attribute.floats));
        }
        match self.inputs.get(input).copied().flatten() {
            None => Ok(None),
            // An empty list is a way to leave it out.
            Some(value) if value.shape.as_deref() == Some(&[0]) => Ok(None),
            Some(value) => value.floats.as_deref().map(Some).ok_or(Gap::Shape),
        }
    }

    /// Integers that are an attribute in old operator sets and an input in new ones.
    pub(super) fn list(&self, name: &str, input: usize) -> Result<Option<&[i64]>, Gap> {
        match self.ints(name) {
            Some(values) => Ok(Some(values)),
            None => self.integers(input),
        }
    }
}

/// Operators whose output has the shape of their first input.
const KEEPS_SHAPE: &str = "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Ceil Celu Clip Cos Cosh \
                           CumSum DequantizeLinear Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid \
                           HardSwish Hardmax InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log \
                           LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not QuantizeLinear \
                           RMSNormalization Reciprocal Relu Round ScatterElements ScatterND Selu Shrink Sigmoid Sign \
                           Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu";

/// What a node makes of its inputs.
pub(super) fn apply(call: &Call<'_>) -> Result<Outcome, Gap> {
    match call.node.op_type.as_str() {
        name if KEEPS_SHAPE.split(' ').any(|other| other == name) => Outcome::with_shape(call.shape(0)?.to_vec()),
        "DynamicQuantizeLinear" => {
            let shapes = [call.shape(0)?.to_vec(), Vec::new(), Vec::new()];
            Ok(Outcome { outputs: shapes.map(|shape| Value::with_shape(Some(shape))).to_vec(), macs: 0 })
        }
        "Cast" | "Identity" => Outcome::of(call.inputs.first().copied().flatten().cloned().ok_or(Gap::Shape)?),
        "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Max" | "Mean"
        | "Min" | "Mod" | "Mul" | "Or" | "PRelu" | "Pow" | "Sub" | "Sum" | "Where" | "Xor" => {
            Outcome::with_shape(shapes::broadcast_all(call)?)
        }
        "Conv" | "ConvInteger" => convolution(call, 1),
        "QLinearConv" => convolution(call, 3),
        "ConvTranspose" => transposed_convolution(call),
        "Gemm" => gemm(call),
        "MatMul" | "MatMulInteger" => matrix_product(call, 1),
        "QLinearMatMul" => matrix_product(call, 3),
        "AveragePool" | "LpPool" | "MaxPool" => Outcome::with_shape(windows::pool(call)?),
        "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" => Outcome::with_shape(shapes::global_pool(call)?),
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean" | "ReduceMin"
        | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => Outcome::with_shape(shapes::reduce(call)?),
        "ArgMax" | "ArgMin" => Outcome::with_shape(shapes::arg_reduce(call)?),
        "ConstantOfShape" => Outcome::of(shapes::filled(call)?),
        "DepthToSpace" => Outcome::with_shape(shapes::depth_to_space(call)?),
        "SpaceToDepth" => Outcome::with_shape(shapes::space_to_depth(call)?),
        "Expand" => Outcome::with_shape(shapes::expand(call)?),
        "GatherElements" => Outcome::with_shape(call.shape(1)?.to_vec()),
        "Tile" => Outcome::with_shape(shapes::tile(call)?),
        "GRU" => recurrent(call, 3),
        "LSTM" => recurrent(call, 4),
        "RNN" => recurrent(call, 1),
        "Concat" => Outcome::of(shapes::concat(call)?),
        "Flatten" => Outcome::with_shape(shapes::flatten(call)?),
        "Reshape" => Outcome::with_shape(shapes::reshape(call)?),
        "Transpose" => Outcome::with_shape(shapes::transpose(call)?),
        "Squeeze" => Outcome::of(shapes::squeeze(call)?),
        "Unsqueeze" => Outcome::of(shapes::unsqueeze(call)?),
        "Split" => Ok(Outcome { outputs: shapes::split(call)?, macs: 0 }),
        "Gather" => Outcome::of(shapes::gather(call)?),
        "Shape" => Outcome::of(shapes::shape_of(call)?),
        "Slice" => Outcome::of(shapes::slice(call)?),
        "Resize" | "Upsample" => Outcome::with_shape(shapes::resize(call)?),
        "Pad" => Outcome::with_shape(shapes::pad(call)?),
        "Constant" => Outcome::of(constant(call)),
        _ => Err(Gap::Operator),
    }
}

fn convolution(call: &Call<'_>, weight_at: usize) -> Result<Outcome, Gap> {
    let (input, weight) = (call.shape(0)?, call.shape(weight_at)?);
    if input.len() < 3 || weight.len() != input.len() {
        return Err(Gap::Fault(format!("its input {input:?} and weight {weight:?} don't fit")));
    }
    let groups = u64::try_from(call.int("group", 1)).unwrap_or(0);
    if weight[1].checked_mul(groups) != Some(input[1]) || groups == 0 || weight[0] % groups != 0 {
        let (channels, inputs) = (input[1], weight[1]);
        let cause = format!("its input has {channels} channels, its weight takes {inputs} in each of {groups} groups");
        return Err(Gap::Fault(cause));
    }
    let mut output = vec![input[0], weight[0]];
    output.extend(windows::windows(call, &input[2..], &weight[2..])?);
    Outcome::with_macs(output, &weight[1..])
}

fn transposed_convolution(call: &Call<'_>) -> Result<Outcome, Gap> {
    let (input, weight) = (call.shape(0)?, call.shape(1)?);
    if input.len() < 3 || weight.len() != input.len() || weight[0] != input[1] {
        return Err(Gap::Fault(format!("its input {input:?} and weight {weight:?} don't fit")));
    }
    let groups = u64::try_from(call.int("group", 1)).unwrap_or(0);
    let mut output = vec![input[0], weight[1].checked_mul(groups).ok_or(Gap::Shape)?];
    output.extend(windows::transposed_windows(call, &input[2..], &weight[2..])?);
    // Each input value meets every weight of its channel.
    let counted = Outcome::with_macs(input.to_vec(), &weight[1..])?;
    count(&output)?;
    Ok(Outcome { outputs: vec![Value::with_shape(Some(output))], ..counted })
}

fn gemm(call: &Call<'_>) -> Result<Outcome, Gap> {
    let (left, right) = (call.shape(0)?, call.shape(1)?);
    let (&[rows, left_inner], &[right_inner, columns]) = (left, right) else {
        return Err(Gap::Fault(format!("its inputs {left:?} and {right:?} aren't two matrices")));
    };
    let (rows, left_inner) = if call.int("transA", 0) != 0 { (left_inner, rows) } else { (rows, left_inner) };
    let (right_inner, columns) =
        if call.int("transB", 0) != 0 { (columns, right_inner) } else { (right_inner, columns) };
    if left_inner != right_inner {
        return Err(Gap::Fault(format!("its inner sizes {left_inner} and {right_inner} differ")));
    }
    Outcome::with_macs(vec![rows, columns], &[left_inner])
}

fn matrix_product(call: &Call<'_>, right_at: usize) -> Result<Outcome, Gap> {
    let (left, right) = (call.shape(0)?, call.shape(right_at)?);
    let (Some((&inner, left_outer)), false) = (left.split_last(), right.is_empty()) else {
        return Err(Gap::Fault("one of its inputs is a scalar".to_owned()));
    };
    let (batch, right_inner, columns) = match *right {
        [single] => (&right[..0], single, None),
        [.., rows, columns] => (&right[..right.len() - 2], rows, Some(columns)),
        [] => return Err(Gap::Shape),
    };
    if inner != right_inner {
        return Err(Gap::Fault(format!("its inner sizes {inner} and {right_inner} differ")));
    }
    let (rows, left_batch) = match left_outer.split_last() {
        Some((&rows, batch)) => (Some(rows), batch),
        None => (None, left_outer),
    };
    let mut output = shapes::broadcast(left_batch, batch)?;
    output.extend(rows);
    output.extend(columns);
    Outcome::with_macs(output, &[inner])
}

/// A network that is run step by step, with so many gates: each step multiplies the input and the state.
fn recurrent(call: &Call<'_>, gates: u64) -> Result<Outcome, Gap> {
    let (input, weights, state) = (call.shape(0)?, call.shape(1)?, call.shape(2)?);
    let (&[first, second, size], &[directions, rows, columns], &[_, _, hidden]) = (input, weights, state) else {
        return Err(Gap::Fault(format!("its inputs {input:?}, {weights:?} and {state:?} don't fit")));
    };
    if columns != size || hidden.checked_mul(gates) != Some(rows) {
        return Err(Gap::Fault(format!("its input {input:?} and weights {weights:?}, {state:?} don't fit")));
    }
    let batch_first = call.int("layout", 0) != 0;
    let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
    let counted = Outcome::with_macs(vec![steps, batch, directions], &[rows, size.saturating_add(hidden)])?;
    let (whole, last) = if batch_first {
        (vec![batch, steps, directions, hidden], vec![batch, directions, hidden])
    } else {
        (vec![steps, directions, batch, hidden], vec![directions, batch, hidden])
    };
    count(&whole)?;
    let outputs = [whole, last.clone(), last].map(|shape| Value::with_shape(Some(shape)));
    Ok(Outcome { outputs: outputs.to_vec(), ..counted })
}

/// A constant that is written as a number or a list; one that is a tensor is taken before.
fn constant(call: &Call<'_>) -> Value {
    if let Some(integers) = call.ints("value_ints") {
        return Value::with_integers(Some(vec![integers.len() as u64]), integers.to_vec());
    }
    if call.attribute("value_int").is_some() {
        return Value::with_integers(Some(Vec::new()), vec![call.int("value_int", 0)]);
    }
    if let Some(attribute) = call.attribute("value_floats") {
        let shape = Some(vec![attribute.floats.len() as u64]);
        return Value { floats: Some(attribute.floats.clone()), ..Value::with_shape(shape) };
    }
    Value::with_shape(call.attribute("value_float").map(|_| Vec::new()))
}
