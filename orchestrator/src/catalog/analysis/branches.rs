//! Which branches of a graph are carried out, as far as that is known before it runs.

use std::collections::HashMap;

use super::value::Value;
use super::{DataType, GraphProto, NodeProto, TensorProto};

/// So many operators are followed back from a condition.
const MAX_STEPS: usize = 50;

/// Whether a graph inside of an operator is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Whatever goes in; a loop's body counts as such.
    Always,
    /// It hangs on values that are known only when it runs.
    Perhaps,
    /// Whatever goes in.
    Never,
}

/// The values that a graph inside of an operator may read, from the graphs around it.
pub(super) struct Scope<'s, 'a> {
    graph: &'a GraphProto,
    values: &'s HashMap<&'a str, Value>,
    outer: Option<&'s Scope<'s, 'a>>,
    /// How many graphs are around each other, with this one.
    pub(super) nesting: usize,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) fn new(
        graph: &'a GraphProto,
        values: &'s HashMap<&'a str, Value>,
        outer: Option<&'s Scope<'s, 'a>>,
    ) -> Scope<'s, 'a> {
        Scope { graph, values, outer, nesting: outer.map_or(0, |outer| outer.nesting) + 1 }
    }

    /// What is known of a tensor.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.outer?.find(name))
    }

    /// Whether a graph inside of a node is carried out.
    pub(super) fn taken(&self, node: &NodeProto, branch: &str) -> Taken {
        let wanted = match (node.op_type.as_str(), branch) {
            ("If", "then_branch") => true,
            ("If", "else_branch") => false,
            _ => return Taken::Always,
        };
        match node.input.first().and_then(|name| self.condition(name, &mut { MAX_STEPS })) {
            Some(condition) if condition == wanted => Taken::Always,
            Some(_) => Taken::Never,
            None => Taken::Perhaps,
        }
    }

    /// Whether a condition is true, where it stands in the file or follows from shapes. Takes so many `steps` at most.
    fn condition(&self, name: &str, steps: &mut usize) -> Option<bool> {
        if let Some(weight) = self.graph.initializer.iter().find(|tensor| tensor.name == name) {
            return truth(weight);
        }
        let made_by = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        if let Some(node) = self.graph.node.iter().find(made_by) {
            *steps = steps.checked_sub(1)?;
            return self.computed(node, steps);
        }
        let is_given = self.graph.input.iter().any(|info| info.name == name);
        if is_given { None } else { self.outer?.condition(name, steps) }
    }

    /// What a node makes of what is known.
    fn computed(&self, node: &NodeProto, steps: &mut usize) -> Option<bool> {
        let mut condition = |index: usize| self.condition(node.input.get(index)?, steps);
        let number = |index: usize| match self.find(node.input.get(index)?)?.integers.as_deref()? {
            [number] => Some(*number),
            _ => None,
        };
        match node.op_type.as_str() {
            "Constant" => truth(node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?),
            "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => condition(0),
            "Cast" => number(0).map(|number| number != 0).or_else(|| condition(0)),
            "Not" => Some(!condition(0)?),
            "And" => match (condition(0), condition(1)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (first, second) => Some(first? && second?),
            },
            "Or" => match (condition(0), condition(1)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (first, second) => Some(first? || second?),
            },
            "Equal" => Some(number(0)? == number(1)?),
            "Less" => Some(number(0)? < number(1)?),
            "LessOrEqual" => Some(number(0)? <= number(1)?),
            "Greater" => Some(number(0)? > number(1)?),
            "GreaterOrEqual" => Some(number(0)? >= number(1)?),
            _ => None,
        }
    }
}

/// The value of a tensor that is one boolean.
fn truth(tensor: &TensorProto) -> Option<bool> {
    let is_one = tensor.data_type() == DataType::Bool && tensor.dims.iter().all(|size| *size == 1);
    let value = tensor.raw_data.first().map(|byte| i32::from(*byte)).or_else(|| tensor.int32_data.first().copied());
    value.filter(|_| is_one && tensor.data_location == 0).map(|value| value != 0)
}
