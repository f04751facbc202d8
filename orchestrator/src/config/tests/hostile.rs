//! Files that are no configuration at all, or mean harm.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::{boards, catalog, environment, farm};
use crate::config::source::{MAX_FILE_BYTES, Source};
use crate::config::{inventory, load_inventory, load_sweep, sweep, tree};

fn bytes(content: &[u8]) -> String {
    Source::from_bytes(Path::new("x.yaml"), content.to_vec()).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big.yaml");
    std::fs::File::create(&file).unwrap().set_len(50_000_000).unwrap();
    let text = load_sweep(&file, &boards(), &catalog()).unwrap_err().to_string();
    assert!(text.contains("the file has 50000000 bytes; at most 1048576 are read"), "{text}");
    std::fs::write(&file, vec![b'#'; usize::try_from(MAX_FILE_BYTES).unwrap()]).unwrap();
    let text = load_sweep(&file, &boards(), &catalog()).unwrap_err().to_string();
    assert!(text.contains("the file is empty"), "{text}");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = load_sweep(folder.path(), &boards(), &catalog()).unwrap_err().to_string();
    assert!(text.contains("not a regular file"), "{text}");
    let text = load_sweep(&folder.path().join("none.yaml"), &boards(), &catalog()).unwrap_err().to_string();
    assert!(text.contains("failed to read the file"), "{text}");
    let pipe = folder.path().join("pipe.yaml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let text = load_inventory(&[folder.path().to_owned()], &environment).unwrap_err().to_string();
    assert!(text.contains("pipe.yaml: this is not a regular file"), "nobody waits for who writes to it: {text}");
    let text = load_inventory(&["/dev/zero".into()], &environment).unwrap_err().to_string();
    assert!(text.contains("not a regular file"), "{text}");
}

#[test]
fn bytes_that_are_no_text() {
    let cases: [&[u8]; 4] =
        [b"farm: lab\ndevices: \xff\xfe # x\n", b"\xff\xfef\0a\0", b"ab\r\n\xc3", b"password: hunter2 \xff\n"];
    insta::assert_snapshot!("not_utf8", cases.map(bytes).join("\n\n"));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut values = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        values.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let text_bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 100].join(", "));
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    let said: Vec<String> = [values, text_bomb, deep].iter().map(|text| farm(text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!("alias_bombs", said.join("\n\n"));
}

#[test]
fn deep_nesting_and_many_values_are_refused() {
    let block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let cases = ["[".repeat(100), "{a: ".repeat(500_000 / 4), "- ".repeat(300_000), block, "- a\n".repeat(150_000)];
    let said: Vec<String> = cases.iter().map(|text| farm(text).unwrap_err().to_string()).collect();
    insta::assert_snapshot!("too_deep_and_too_many", said.join("\n\n"));
}

#[test]
fn a_file_of_nothing_but_faults_says_so_in_few_words() {
    let fields: Vec<String> = (0..40_000).map(|field| format!("x{field}: 1")).collect();
    let text = farm(&format!("{{{}}}", fields.join(", "))).unwrap_err().to_string();
    assert!(text.len() < 100_000 && text.ends_with("more faults are not shown"), "{}", text.len());
    let names = vec!["resnet50"; 90_000].join(", ");
    let text = super::sweep(&format!("models: [{names}]\n")).unwrap_err().to_string();
    assert!(text.len() < 100_000 && text.contains("`resnet50` is listed twice"), "{}", text.len());
}

#[test]
fn a_matrix_without_end_is_refused() {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!("models: resnet50\nthreads: [{}]\nbatch: [{}]\nrepeats: 1000\n", list(1000), list(4000));
    let text = super::sweep(&text).unwrap_err().to_string();
    assert!(text.contains("the sweep has 12000000000 runs"), "{text}");
}

/// The tree without its places.
fn plain(node: &tree::Node) -> Json {
    match &node.value {
        tree::Value::Null => Json::Null,
        tree::Value::Bool(value) => Json::from(*value),
        tree::Value::Integer(number, _) => Json::from(i64::try_from(*number).unwrap()),
        tree::Value::Number(number, _) => Json::from(number.to_string()),
        tree::Value::Text(text) => Json::from(text.as_str()),
        tree::Value::List(items) => items.iter().map(plain).collect(),
        tree::Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect(),
    }
}

#[test]
fn values_are_read_as_another_parser_reads_them() {
    let text = "
plain: [yes, no, on, NO, 12:30, 1_000, 1e3, .5, 1., -7, +7, 0x1f, 0o17, ~, Null, true, False, v1.2, 1.2.3, inf]
quoted: ['a ''b''', \"tab\\t\\u00e9\", '1', \"true\", '']
folded: >
  one
  two
literal: |
  one
  two
multi line
";
    let text = text.trim_end_matches("multi line\n");
    let source = Source::from_bytes(Path::new("x"), text.as_bytes().to_vec()).unwrap();
    let mut faults = Vec::new();
    let tree = tree::parse(&source, &mut faults);
    assert_eq!(faults, []);
    let ours = plain(&tree.unwrap());
    fn numbers_as_text(value: Json) -> Json {
        match value {
            Json::Number(number) if number.is_f64() => Json::from(number.as_f64().unwrap().to_string()),
            Json::Array(items) => items.into_iter().map(numbers_as_text).collect(),
            Json::Object(fields) => fields.into_iter().map(|(key, value)| (key, numbers_as_text(value))).collect(),
            other => other,
        }
    }
    let theirs: Json = serde_yaml::from_str(text).unwrap();
    assert_eq!(ours, numbers_as_text(theirs));
}

/// Pieces that make YAML of some sort more often than chance does.
fn yaml_soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "devices",
        "models",
        "name",
        "transport",
        "ssh",
        "host",
        "tags",
        "limits",
        "measure",
        "min_runs",
        "exclude",
        "password",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "'",
        "\"",
        "local",
        "resnet50",
        "all",
        "1",
        "-5",
        ".nan",
        "1e999",
        "99999999999999999999999",
        "${",
        "}",
        "#",
        "|",
        ">",
        "\t",
        "\r",
        "\u{feff}",
        "測",
        "!t ",
        "? ",
        "<<",
        "---",
        "~",
        "%",
    ];
    let piece = proptest::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![20 => piece, 1 => proptest::collection::vec(any::<u8>(), 1..4)];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn read_as_everything(content: &[u8]) {
    let source = || Source::from_bytes(Path::new("x.yaml"), content.to_vec());
    let shown = match source() {
        Err(fault) => fault.to_string(),
        Ok(_) => {
            let farm = inventory::load(vec![source().unwrap()], Vec::new(), &environment).map(|_| ());
            let sweep = sweep::load(source().unwrap(), &boards(), &catalog()).map(|_| ());
            let models = crate::config::catalog::load(source().unwrap(), &|_| None).map(|_| ());
            [farm, sweep, models].into_iter().filter_map(Result::err).map(|errors| errors.to_string()).collect()
        }
    };
    assert!(!shown.contains('\t') && !shown.contains('\r') && !shown.contains('\u{1b}'), "{shown:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_as_everything(&content);
    }

    #[test]
    fn anything_like_yaml_is_read_or_refused(content in yaml_soup()) {
        read_as_everything(&content);
    }
}
