//! What ONNX Runtime can't run for want of a kernel, as far as that is known before any device is asked.
//!
//! Main function: [`reason`]. It knows the registry of the version that backends.yaml comes with, on a processor. Of
//! another version, or with another provider, nothing is said.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::operators::first_of;
use crate::domain::{Backend, ElementType, ModelSignature, Operator};

/// The name of the engine in backends.yaml.
const ENGINE: &str = "onnxruntime";
/// The engine's own list of operators and kernels; `scripts/onnxruntime-operators` writes and holds it.
const LIST: &str = include_str!("onnxruntime_operators.txt");
/// Option of the engine that names what runs the operators; a processor's kernels where it is left out.
const PROVIDER: &str = "provider";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(LIST));

/// What the engine has.
#[derive(Default)]
struct Table<'a> {
    version: &'a str,
    /// Newest version of the file format that it reads.
    ir_version: Option<i64>,
    /// Newest version of a set of operators that it reads.
    newest: BTreeMap<&'a str, i64>,
    /// Each set's operators, with their versions from the oldest to the newest.
    sets: HashMap<&'a str, HashMap<&'a str, Vec<Since<'a>>>>,
}

/// A version of an operator.
struct Since<'a> {
    opset: i64,
    /// Types of the first input that there is a kernel for; `None` where it need not be asked for.
    elements: Option<Vec<&'a str>>,
}

impl Since<'_> {
    fn has_none(&self) -> bool {
        self.elements.as_ref().is_some_and(Vec::is_empty)
    }
}

impl<'a> Table<'a> {
    fn of(text: &'a str) -> Table<'a> {
        let mut table = Table::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["version", version] => table.version = *version,
                ["ir_version", version] => table.ir_version = version.parse().ok(),
                ["opset", set, version] => table.newest.extend(version.parse().ok().map(|version| (*set, version))),
                [set, name, opset, elements @ ..] => {
                    let elements = (elements != ["*"]).then(|| elements.to_vec());
                    let versions = table.sets.entry(*set).or_default().entry(*name).or_default();
                    versions.extend(opset.parse().ok().map(|opset| Since { opset, elements }));
                }
                _ => {}
            }
        }
        table
    }

    /// The versions of an operator; `None` for one that the engine does not know, in a set that it knows.
    fn versions(&self, operator: &Operator) -> Option<&[Since<'a>]> {
        match self.sets.get(operator.domain.as_str()) {
            Some(set) => set.get(operator.name.as_str()).map(Vec::as_slice),
            None => Some(&[]),
        }
    }

    /// The version of an operator that a file means.
    fn meant(&self, operator: &Operator) -> Option<&Since<'a>> {
        let opset = operator.opset?;
        self.versions(operator)?.iter().rev().find(|since| since.opset <= opset)
    }

    fn is_unknown(&self, operator: &Operator) -> bool {
        self.versions(operator).is_none()
    }

    /// Whether there is no kernel of that version, whatever goes in.
    fn lacks_kernel(&self, operator: &Operator) -> bool {
        self.meant(operator).is_some_and(Since::has_none)
    }

    /// A type that goes into an operator, which has no kernel for that one.
    fn lacked_element(&self, operator: &Operator) -> Option<ElementType> {
        let elements = self.meant(operator)?.elements.as_ref().filter(|elements| !elements.is_empty())?;
        operator.elements.iter().copied().find(|element| !elements.contains(&element.as_str()))
    }

    /// The opset from which on an operator has a kernel, behind the one that a file means.
    fn kernel_from(&self, operator: &Operator) -> Option<i64> {
        let newer = |since: &&Since<'_>| Some(since.opset) > operator.opset && !since.has_none();
        self.versions(operator)?.iter().find(newer).map(|since| since.opset)
    }
}

/// Says why the engine can't run a model; `None` where it may.
pub(super) fn reason(model: &str, signature: &ModelSignature, backend: &Backend) -> Option<String> {
    let table = &*TABLE;
    let options = &backend.program.as_ref()?.options;
    let is_usual = options.get(PROVIDER).is_none_or(|provider| provider == "cpu");
    if backend.name != ENGINE || backend.version != table.version || !is_usual {
        return None;
    }
    of_versions(model, signature, table)
        .or_else(|| of_operators(model, signature, table))
        .map(|reason| format!("{ENGINE} {} {reason}", table.version))
}

/// The file is newer than the engine.
fn of_versions(model: &str, signature: &ModelSignature, table: &Table<'_>) -> Option<String> {
    if let (Some(held), Some(newest)) = (signature.ir_version, table.ir_version)
        && held > newest
    {
        return Some(format!(
            "reads version {newest} of ONNX's file format, and the file of {model} has version {held}: save it with \
             `ir_version` {newest}"
        ));
    }
    signature.operators.iter().find_map(|operator| {
        let (set, held, newest) = (&operator.domain, operator.opset?, *table.newest.get(operator.domain.as_str())?);
        (held > newest).then(|| {
            format!(
                "has the operators of {set} up to opset {newest}, and {model} has opset {held}: export it with an \
                 older one"
            )
        })
    })
}

/// An operator has no kernel.
fn of_operators(model: &str, signature: &ModelSignature, table: &Table<'_>) -> Option<String> {
    let all = || signature.operators.iter().filter(|operator| !operator.is_defined);
    if let Some((first, more)) = first_of(all().filter(|it| table.is_unknown(it))) {
        return Some(format!(
            "has no operator {first}{more}, which {model} needs: run it on another engine, or export it without"
        ));
    }
    if let Some((first, more)) = first_of(all().filter(|it| table.lacks_kernel(it))) {
        // Where one of them has none in any version, another version does not help.
        let from: Option<Vec<i64>> =
            all().filter(|it| table.lacks_kernel(it)).map(|it| table.kernel_from(it)).collect();
        let remedy = from.and_then(|from| from.into_iter().max()).map(|opset| {
            format!("convert it to opset {opset} with `onnx.version_converter`, or run it on another engine")
        });
        let remedy = remedy.unwrap_or_else(|| "export it with an older opset, or run it on another engine".to_owned());
        return Some(format!("has no kernel of {first}{more}, which {model} needs: {remedy}"));
    }
    let lacked = all().filter_map(|it| Some((it, table.lacked_element(it)?)));
    let ((operator, element), more) = first_of(lacked)?;
    Some(format!(
        "has no kernel of {operator} for {element}{more}, which {model} needs: cast it to fp32 in the network, or run \
         it on another engine"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn operator(name: &str, opset: i64, elements: &[ElementType]) -> Operator {
        Operator {
            name: name.to_owned(),
            domain: "ai.onnx".to_owned(),
            opset: Some(opset),
            is_defined: false,
            elements: elements.to_vec(),
            peculiarities: Vec::new(),
        }
    }

    #[test]
    fn a_kernel_is_that_of_the_version_which_a_file_means() {
        let table = &*TABLE;
        let lacks = |name, opset| table.lacks_kernel(&operator(name, opset, &[]));
        assert!(lacks("Add", 6) && lacks("AveragePool", 6) && lacks("BatchNormalization", 6) && lacks("Pow", 6));
        assert!(!lacks("Add", 7) && !lacks("AveragePool", 7) && !lacks("Add", 28) && !lacks("Relu", 6));
        assert_eq!(table.kernel_from(&operator("PRelu", 6, &[])), Some(7));
        // Those that ONNX makes of others, and those that the optimiser takes out.
        assert!(!lacks("Mish", 18) && !lacks("Dropout", 1) && !lacks("Constant", 1));
        assert!(table.is_unknown(&operator("SequenceConstructor", 17, &[])));
        assert!(!table.is_unknown(&Operator { domain: "own".to_owned(), ..operator("Any", 1, &[]) }));
    }

    #[test]
    fn a_kernel_is_for_types() {
        let lacked = |name, opset, elements: &[_]| TABLE.lacked_element(&operator(name, opset, elements));
        assert_eq!(lacked("Add", 13, &[ElementType::Float32, ElementType::Int8]), Some(ElementType::Int8));
        assert_eq!(lacked("Add", 14, &[ElementType::Int8]), None);
        // It is computed in fp32.
        assert_eq!(lacked("Acos", 13, &[ElementType::Float16]), None);
        assert_eq!(lacked("Acos", 13, &[ElementType::Float64]), Some(ElementType::Float64));
        assert_eq!(lacked("Acos", 13, &[]), None);
    }

    #[test]
    fn the_list_is_of_the_version_that_backends_yaml_comes_with() {
        let backends = include_str!("../../../configs/backends.yaml");
        let pinned = backends.lines().skip_while(|line| !line.ends_with("- name: onnxruntime")).nth(1).unwrap();
        assert_eq!(pinned.trim(), format!("version: {:?}", TABLE.version), "run scripts/onnxruntime-operators");
    }
}
