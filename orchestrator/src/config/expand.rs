//! Environment variables and home folders in the few fields where they expand.

use std::path::{Path, PathBuf};

/// Looks a variable up.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a text doesn't expand.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), hint: None }
    }

    fn bad_variable(message: impl Into<String>) -> Refusal {
        let hint = "set the variable, or write `$${` where `${` itself is meant";
        Refusal { message: message.into(), hint: Some(hint.to_owned()) }
    }
}

/// Replaces each `${NAME}`; `$${` stands for `${`, and any other `$` for itself.
///
/// # Errors
/// When a variable is not set or a name is none.
pub(super) fn variables(text: &str, environment: Environment<'_>) -> Result<String, Refusal> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let after = &rest[at + 2..];
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some(end) = after.find('}') else {
            return Err(Refusal::bad_variable("`${` without its `}`"));
        };
        let name = &after[..end];
        if !is_variable_name(name) {
            let message = format!("{} is no name of an environment variable", super::fault::code(name));
            return Err(Refusal::bad_variable(message));
        }
        let unset = || Refusal::bad_variable(format!("the environment variable `{name}` is not set"));
        expanded.push_str(&environment(name).ok_or_else(unset)?);
        rest = &after[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether a word can name an environment variable.
pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A path as a file means it: variables and `~/` expand, and what is relative lies beside the file.
///
/// # Errors
/// When a variable or the home folder isn't known.
pub(super) fn path(text: &str, file: &Path, environment: Environment<'_>) -> Result<PathBuf, Refusal> {
    let expanded = variables(text, environment)?;
    if expanded.is_empty() {
        return Err(Refusal::new("the path is empty"));
    }
    if let Some(below) = expanded.strip_prefix("~/") {
        let unset = || Refusal::new("`~/` needs the environment variable `HOME`, which is not set");
        let home = environment("HOME").ok_or_else(unset)?;
        return Ok(Path::new(&home).join(below));
    }
    if expanded.starts_with('~') {
        return Err(Refusal::new("only `~/`, the own home folder, expands; write another's home folder out"));
    }
    Ok(file.parent().unwrap_or(Path::new("")).join(expanded))
}
