//! Every kind of failure, with whose fault it is, whether it is tried again, and what a person can do.

use std::collections::HashMap;

use farmctl::domain::{Blame, FailureKind, Retry};
use schemars::schema_for;
use serde_json::Value;

use super::table::table;

pub(super) fn page() -> String {
    let meanings = meanings();
    let rows = FailureKind::ALL.iter().map(|kind| {
        vec![
            format!("`{kind}`"),
            meanings[kind.as_str()].clone(),
            blame(kind.blame()).to_owned(),
            retry(kind.retry()).to_owned(),
            kind.remedy().to_owned(),
        ]
    });
    format!(
        "# Kinds of failure\n\nWhat `failure_kind` says in a report, in events and in the metrics.\n\n\
         - «again»: another try may go better; the run has as many as `retry.attempts` says.\n\
         - «against the device»: likewise, and several in a row quarantine the device.\n\
         - «no»: it would fail again.\n\n{}",
        table(&["kind", "meaning", "whose fault", "tried again", "what to do"], rows)
    )
}

/// What the documentation of each kind says.
fn meanings() -> HashMap<String, String> {
    let schema = schema_for!(FailureKind).to_value();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kinds = schema["oneOf"].as_array().into_iter().flatten();
    kinds.map(|kind| (text(&kind["const"]), text(&kind["description"]))).collect()
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Device => "the device",
        Blame::Transport => "the way to it",
        Blame::Artifact => "a file",
        Blame::Backend => "the engine",
        Blame::Model => "the model",
        Blame::User => "a person",
        Blame::Internal => "farmctl",
    }
}

fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "no",
        Retry::Again => "again",
        Retry::Infrastructure => "against the device",
    }
}
