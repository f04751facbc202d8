//! Each `farmctl …` line is one that the command line takes.

use clap::Parser as _;
use clap::error::ErrorKind;
use farmctl::cli::Cli;

use super::markdown::{Block, Page};
use super::{assert_none, pages};

/// What ends a command on a line of a shell.
const ENDS: [&str; 5] = ["&&", "||", "|", ";", ">"];

/// The commands of farmctl on a line of a shell, without prompt and comment.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.trim().strip_prefix("$ ").unwrap_or(line.trim());
    // A word with `$` or `…` stands for another, and is one word all the same.
    let words = shlex::split(line).unwrap_or_else(|| panic!("a shell can't read {line:?}"));
    let of_farmctl = |words: &&[String]| words.first().is_some_and(|first| first == "farmctl");
    words.split(|word| ENDS.contains(&word.as_str())).filter(of_farmctl).map(<[String]>::to_vec).collect()
}

/// The commands of a block: all its lines, or of a dialogue those behind a prompt.
fn commands_of(block: &Block) -> Vec<(usize, Vec<String>)> {
    let prompt = match block.info.split(' ').next().unwrap_or_default() {
        "sh" | "" => "",
        "console" => "$ ",
        _ => return Vec::new(),
    };
    let first = if block.info.is_empty() { block.line } else { block.line + 1 };
    let lines = block.text.lines().enumerate().filter(|(_, line)| line.starts_with(prompt));
    // Another program's line may have quotes of its own kind.
    let lines = lines.filter(|(_, line)| line.contains("farmctl "));
    lines.flat_map(|(at, line)| commands(line).into_iter().map(move |words| (first + at, words))).collect()
}

/// Why the command line does not take these words.
fn refusal(words: &[String], is_in_text: bool) -> Option<String> {
    let error = Cli::try_parse_from(words).err()?;
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // A text may speak of a verb without all that it takes.
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => is_in_text,
        _ => false,
    };
    (!is_fine).then(|| error.to_string())
}

fn faults(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |line: usize, words: &[String], is_in_text: bool| {
        let fault = |why| format!("{}: `{}` is refused: {why}", page.at(line), words.join(" "));
        faults.extend(refusal(words, is_in_text).map(fault));
    };
    for (line, words) in page.blocks.iter().flat_map(commands_of) {
        check(line, &words, false);
    }
    for place in page.code.iter().filter(|place| place.text.starts_with("farmctl ")) {
        // One with `…`, `|`, `[` or `<` is a pattern, no command.
        if !place.text.contains(['…', '|', '[', '<']) {
            commands(&place.text).iter().for_each(|words| check(place.line, words, true));
        }
    }
    faults
}

#[test]
fn every_command_of_the_pages_is_taken() {
    let faults: Vec<String> = pages().iter().flat_map(faults).collect();
    assert_none(&faults);
}

#[test]
fn a_command_that_is_not_taken_is_found() {
    let text = "```sh\nfarmctl plan x.yaml # as is\nfarmctl sweep x.yaml --no-such && farmctl devices list\n```\n\n\
                `farmctl no`";
    let page = Page::parse(&super::book().join("x.md"), text);
    let faults = faults(&page);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("docs/src/x.md:3:") && faults[1].starts_with("docs/src/x.md:6:"), "{faults:?}");
}
