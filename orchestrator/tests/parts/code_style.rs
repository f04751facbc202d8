//! How code is laid out in all crates, tests and comments with it: lengths of lines, functions and files.

use std::path::{Path, PathBuf};

/// The crates whose lines and functions are looked at.
const CRATES: &[&str] = &["bench", "device-runner", "orchestrator", "protocol", "statistics", "testlab"];

/// Most lines of a function, its signature and its last brace with it.
const MOST_LINES: usize = 70;

/// Most lines of a file.
const MOST_LINES_OF_FILE: usize = 400;

/// Longer files, each with why it is one.
const LONG_FILES: &[(&str, &str)] =
    &[("orchestrator/src/domain/event.rs", "one enum: all that can happen, with what each thing says")];

/// Where lines of any file of code are that something is true of: tests and comments, too.
fn lines_with(is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in code_of_all_crates() {
        let meant = text.lines().enumerate().filter(|(_, line)| is_meant(line));
        found.extend(meant.map(|(index, _)| format!("{name}:{}", index + 1)));
    }
    found
}

/// Each file of code with its text: tests, too.
fn code_of_all_crates() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = CRATES.iter().flat_map(|name| files_of_code(&root.join(name)));
    let named = |file: PathBuf| {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        (name, std::fs::read_to_string(&file).unwrap())
    };
    files.map(named).collect()
}

/// A function of a file.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    /// The line that it begins on.
    line: usize,
    lines: usize,
}

/// The functions of a text that rustfmt has laid out: one ends with the first line as far to the left as its own that
/// closes it.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let function = |(index, line): (usize, &&str)| {
        let code = line.trim_start();
        let (before, _) = code.split_once("fn ")?;
        let is_function = before.chars().all(|c| c.is_ascii_lowercase() || "():_ \"C".contains(c));
        let indentation = &line[..line.len() - code.len()];
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indentation).filter(|rest| !rest.starts_with(' '));
            rest.is_some_and(|rest| rest == "}" || rest.ends_with([';', '}']))
        };
        let end = lines[index..].iter().position(ends).filter(|_| is_function)?;
        Some(Function { line: index + 1, lines: end + 1 })
    };
    lines.iter().enumerate().filter_map(function).collect()
}

fn files_of_code(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        // What is generated is not code, and a link may lead anywhere.
        if entry.file_type().unwrap().is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            found.extend(files_of_code(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn paths_do_not_climb() {
    let climbs = concat!("super", "::super");
    let found = lines_with(|line| line.contains(climbs));
    assert!(found.is_empty(), "these climb: {}", found.join(" "));
}

/// What is static is never dropped: a folder in it would stay for ever.
#[test]
fn nothing_static_owns_a_temporary_folder() {
    let is_static = |line: &str| line.trim_start().trim_start_matches("pub ").starts_with("static ");
    let owns = |line: &str| line.contains("TempDir") || line.contains("NamedTempFile");
    let found = lines_with(|line| is_static(line) && owns(line));
    assert!(found.is_empty(), "these stay in the temporary directory: {}", found.join(" "));
}

#[test]
fn lines_are_at_most_120_characters_long() {
    let found = lines_with(|line| line.chars().count() > 120);
    assert!(found.is_empty(), "these are longer: {}", found.join(" "));
}

#[test]
fn functions_have_at_most_70_lines() {
    let mut found = Vec::new();
    for (name, text) in code_of_all_crates() {
        let long = functions(&text).into_iter().filter(|function| function.lines > MOST_LINES);
        found.extend(long.map(|function| format!("{name}:{} has {}", function.line, function.lines)));
    }
    assert!(found.is_empty(), "these are longer: {}", found.join(", "));
}

#[test]
fn functions_are_found_in_every_form() {
    let text = "fn a() {}\n/// The fn b.\nimpl C {\n    pub(super) async fn d(\n        e: u8,\n    ) -> u8 {\n        \
                if f {\n        }\n    }\n    fn g(&self);\n}\n";
    let function = |line, lines| Function { line, lines };
    assert_eq!(functions(text), [function(1, 1), function(4, 6), function(10, 1)]);
}

#[test]
fn files_have_at_most_400_lines() {
    let lines: Vec<(String, usize)> =
        code_of_all_crates().into_iter().map(|(name, text)| (name, text.lines().count())).collect();
    let is_long = |name: &str| LONG_FILES.iter().any(|(long, _)| *long == name);
    let found: Vec<_> = lines.iter().filter(|(name, lines)| *lines > MOST_LINES_OF_FILE && !is_long(name)).collect();
    assert!(found.is_empty(), "these are longer: split each by what it is about: {found:?}");
    for (long, _) in LONG_FILES {
        let is_still = lines.iter().any(|(name, lines)| name == long && *lines > MOST_LINES_OF_FILE);
        assert!(is_still, "{long} is no longer file any more: take it out of the list");
    }
}
