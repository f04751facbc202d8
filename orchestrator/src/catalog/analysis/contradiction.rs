use super::{AnalysisError, ModelProto, opset};

/// Since this version of the standard operators, inputs of two shapes are brought together by shapes alone. What older
/// ones mean hangs on attributes, too, and engines differ in it.
const FIRST_CERTAIN_OPSET: i64 = 7;

/// Says what of a model can't be with the inputs that it was analysed with, whatever engine runs it; `None` where the
/// analysis failed for another reason.
pub fn contradiction(model: &ModelProto, error: &AnalysisError) -> Option<String> {
    let cause = match error {
        AnalysisError::Node { .. } | AnalysisError::Undefined { .. } if opset(model) >= FIRST_CERTAIN_OPSET => error,
        _ => return None,
    };
    let words = cause.to_string();
    let what = words.strip_prefix("analyse ").unwrap_or(&words);
    Some(format!("it can't be, with the inputs that are measured: {what}; give it other ones, or save it anew"))
}
