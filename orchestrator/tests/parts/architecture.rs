//! Who may import whom (ARCHITECTURE.md), read from the paths that the source names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each module of the orchestrator with the modules it may name. `domain` may be named by all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("artifacts", &["environment", "regular_file", "secret", "tls"]),
    ("compare", &["score"]),
    ("config", &["catalog", "compare", "planner", "regular_file", "retention", "schedule", "score", "wording"]),
    ("tls", &[]),
    ("clock", &[]),
    ("environment", &[]),
    ("regular_file", &[]),
    ("secret", &["regular_file"]),
    ("catalog", &["artifacts", "regular_file", "tls"]),
    ("planner", &[]),
    ("notify", &["secret", "tls"]),
    ("schedule", &[]),
    ("retention", &[]),
    ("score", &[]),
    ("store", &["environment", "tls"]),
    ("status", &["store", "planner"]),
    ("wording", &[]),
    ("report", &["compare", "score", "planner", "wording"]),
    ("transport", &["environment", "regular_file", "secret", "wording"]),
    ("device", &["regular_file", "transport"]),
    ("runners", &["device"]),
    ("inventory", &["device", "transport"]),
    ("lease", &["store"]),
    ("agent", &["artifacts", "compare", "inventory", "device", "transport", "store", "lease", "score", "planner"]),
    (
        "lab",
        &[
            "agent",
            "artifacts",
            "catalog",
            "clock",
            "compare",
            "config",
            "device",
            "environment",
            "inventory",
            "lease",
            "notify",
            "planner",
            "progress",
            "publish",
            "report",
            "retention",
            "runners",
            "schedule",
            "score",
            "status",
            "store",
            "tls",
            "transport",
            "wording",
        ],
    ),
    (
        "daemon",
        &[
            "agent",
            "clock",
            "config",
            "lab",
            "lease",
            "progress",
            "regular_file",
            "retention",
            "schedule",
            "store",
            "wording",
        ],
    ),
    (
        "api",
        &[
            "compare",
            "lab",
            "progress",
            "publish",
            "regular_file",
            "report",
            "schedule",
            "score",
            "secret",
            "status",
            "store",
            "wording",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "catalog",
            "compare",
            "config",
            "daemon",
            "inventory",
            "lab",
            "progress",
            "report",
            "runners",
            "schedule",
            "score",
            "status",
            "terminal",
            "tls",
            "wording",
        ],
    ),
    ("terminal", &["lab", "report", "wording"]),
    ("progress", &["wording"]),
    ("publish", &["report"]),
];

/// What stands above `lab`: a face reaches no further down than the modules that its row names.
const FACES: &[&str] = &["cli", "api", "daemon"];

/// Modules that do no I/O, read no clock and no environment, and are never async.
const PURE: &[&str] = &["domain", "planner", "schedule", "retention", "score", "compare", "report", "wording"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        // Tests are held to nothing here.
        let is_tests = path.ends_with("tests") || path.ends_with("tests.rs");
        if path.is_dir() && !is_tests {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !is_tests {
            found.push(path);
        }
    }
    found
}

/// The code of a file, without its comments and tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Names that follow `crate::` in some code, alone or in braces.
fn imported(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').and_then(|inner| inner.split_once("};")).map(|(inner, _)| inner);
        for part in group.unwrap_or(rest).split(if group.is_some() { ',' } else { '\0' }) {
            names.push(part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

fn modules() -> Vec<String> {
    let folders = std::fs::read_dir(source()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn modules_but(excepted: &[&str]) -> Vec<String> {
    modules().into_iter().filter(|module| !excepted.contains(&module.as_str())).collect()
}

fn assert_absent(modules: &[String], words: &[&str]) {
    let mut breaches = Vec::new();
    for module in modules {
        for file in files(&source().join(module)) {
            let code = code(&file);
            let found = words.iter().filter(|word| code.contains(**word));
            breaches.extend(found.map(|word| format!("{} has {word}", file.display())));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let modules = modules();
    let mut breaches = Vec::new();
    for module in &modules {
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| name == module)
            .unwrap_or_else(|| panic!("module {module} has no rule here: say in this file what it may import"));
        for file in files(&source().join(module)) {
            for name in imported(&code(&file)) {
                if modules.contains(&name) && name != *module && name != "domain" && !allowed.contains(&name.as_str()) {
                    breaches.push(format!("{} names crate::{name}", file.display()));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_table_of_architecture_md_has_the_same_rules() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md")).unwrap();
    for (module, allowed) in MAY_IMPORT {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{module}` |")));
        let row = row.unwrap_or_else(|| panic!("{module} has no row in ARCHITECTURE.md"));
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let named: BTreeSet<&str> = cell.split('`').skip(1).step_by(2).filter(|name| *name != "protocol").collect();
        assert_eq!(named, allowed.iter().copied().collect(), "{module} in ARCHITECTURE.md, and here");
    }
}

#[test]
fn nothing_below_the_faces_names_one() {
    let below = MAY_IMPORT.iter().filter(|(module, _)| !FACES.contains(module));
    let breaches: Vec<_> = below.filter(|(_, allowed)| allowed.iter().any(|name| FACES.contains(name))).collect();
    assert!(breaches.is_empty(), "{breaches:?}");
}

#[test]
fn lab_knows_no_format_exit_code_or_status() {
    let words = ["exit::", "Format::", "StatusCode", "terminal_width", "x1b["];
    assert_absent(&["lab".to_owned()], &words);
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::store::Store;\nuse crate::{agent::Agent, cli};\nlet x = crate::device::y();";
    assert_eq!(imported(code), ["store", "agent", "cli", "device"]);
}

#[test]
fn pure_modules_do_no_io() {
    let io = ["std::fs", "std::net", "std::env", "std::process", "tokio", "async fn"];
    let clocks = ["Timestamp::now", "Instant::now", "SystemTime::now", "Zoned::now"];
    let pure: Vec<String> = PURE.iter().map(|&module| module.to_owned()).collect();
    assert_absent(&pure, &[&io[..], &clocks[..]].concat());
}

#[test]
fn only_cli_terminal_progress_and_main_print_and_only_main_exits() {
    assert_absent(&modules_but(&["cli", "progress", "terminal"]), &["println!", "print!(", "stdout()", "stderr()"]);
    assert_absent(&modules(), &["process::exit"]);
}

#[test]
fn what_a_form_of_output_changes_is_settled_in_one_place() {
    // Where `choose` and `Table` are; and the form that is meant without `--format`.
    let may_know = ["terminal/print.rs", "terminal/table.rs", "cli/mod.rs"];
    for file in files(&source().join("cli")) {
        let name = file.strip_prefix(source()).unwrap().display().to_string();
        let is_free = !code(&file).contains("Format::") || may_know.contains(&&*name);
        assert!(is_free, "{name} asks which form it is: say what is so in each by `Format::choose` or a `Table`");
    }
}

#[test]
fn what_is_printed_passes_the_guard() {
    // Where a stream is written to. `cli/store.rs` writes the store's export, whose lines are JSON; `cli/mod.rs` has
    // clap print its help.
    let may_print = ["terminal/print.rs", "cli/store.rs", "progress/mod.rs", "progress/terminal.rs"];
    let words = ["println!", "print!(", "stdout()", "stderr()", "dbg!", ".println("];
    for module in ["cli", "progress", "terminal"] {
        for file in files(&source().join(module)) {
            let name = file.strip_prefix(source()).unwrap().display().to_string();
            let code = code(&file);
            let found = words.iter().find(|word| code.contains(**word));
            assert!(
                found.is_none() || may_print.contains(&&*name),
                "{name} has {found:?}: print by `terminal/print.rs`"
            );
        }
    }
    // The guard is one: nobody else looks for what it is against.
    let own = ["is_control", "\\u{202"];
    let of_config = ["config/fault.rs", "config/inventory.rs", "config/connection.rs", "config/tests"];
    let exceptions = [&["wording/guard.rs", "catalog", "device", "planner"], &of_config[..]].concat();
    let mut breaches = Vec::new();
    for module in modules() {
        for file in files(&source().join(&module)) {
            let name = file.strip_prefix(source()).unwrap().display().to_string();
            let is_excepted = exceptions.iter().any(|it| name.starts_with(it));
            let code = code(&file);
            breaches.extend(own.iter().filter(|word| !is_excepted && code.contains(**word)).map(|_| name.clone()));
        }
    }
    assert_eq!(breaches, Vec::<String>::new(), "a second guard: use `wording`");
    let print = std::fs::read_to_string(source().join("terminal/print.rs")).unwrap();
    assert_eq!(print.matches(".write_all(").count() + print.matches("writeln!(").count(), 2, "one way to each stream");
}

#[test]
fn only_config_and_cli_read_the_environment() {
    assert_absent(&modules_but(&["cli", "config"]), &["env::var", "env::home_dir"]);
}

#[test]
fn yaml_is_read_in_config_alone() {
    assert_absent(&modules_but(&["config"]), &["serde_yaml", "saphyr_parser"]);
}

#[test]
fn no_queue_is_unbounded() {
    assert_absent(&modules(), &["unbounded", "mpsc::channel()"]);
}
