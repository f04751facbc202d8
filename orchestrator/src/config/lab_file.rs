//! The form of a lab file. The comments here are the descriptions of its JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::artifacts_entry::ArtifactsEntry;

/// What the hosts of a lab share. It lies in the lab's folder on each host; a lab of one host needs none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl lab (lab.yaml)")]
pub(super) struct LabFile {
    /// Where the files are that hosts share: of models and engines, runners, and what networks answered. Each host has
    /// them in `.farm/`, too, as far as it needs them. Without it, each host has its own alone.
    pub(super) artifacts: Option<ArtifactsEntry>,
}
