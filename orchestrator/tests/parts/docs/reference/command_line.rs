//! Every verb with its `--help`.

use clap::{Command, CommandFactory as _};
use farmctl::cli::Cli;

/// Columns of a line of help.
const WIDTH: usize = 100;

pub(super) fn page() -> String {
    let mut text = String::from(
        "# Command line\n\nEvery verb, as its `--help` says it. Each verb takes the options of [farmctl](#farmctl) \
         too; they are not repeated.\n\n",
    );
    // Not built: so that a verb's help has its own options alone.
    add(&mut text, &Cli::command().color(clap::ColorChoice::Never), "");
    text
}

fn add(text: &mut String, command: &Command, before: &str) {
    let name = format!("{before}{}", command.get_name());
    let mut shown = command.clone().bin_name(name.clone()).term_width(WIDTH).max_term_width(WIDTH);
    let help = shown.render_long_help().to_string();
    text.push_str(&format!("## {name}\n\n```text\n{}\n```\n\n", help.trim_end()));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        add(text, verb, &format!("{name} "));
    }
}
