//! The form of a lab file. The comments here are the descriptions of its JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::artifacts_entry::ArtifactsEntry;

/// What belongs to the lab as a whole. It lies in the lab's folder on each host; a lab of one host needs none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "farmctl lab (lab.yaml)")]
pub(super) struct LabFile {
    /// Name of the lab, as the page shows it. Without it: that of its folder.
    pub(super) name: Option<String>,
    /// Name of this host in the lab, if several share it: letters, digits, `.`, `_` and `-`. Each host has another.
    /// Without it: the name of the machine.
    pub(super) host: Option<String>,
    /// Where the store is: `postgres://USER@HOST:PORT/DATABASE`, a database of PostgreSQL 13 or newer that has nothing
    /// else. The connection is encrypted and the server's certificate is checked, unless `?sslmode=disable` says
    /// otherwise; `sslrootcert`, `sslcert`, `sslkey`, `service` and `passfile` are as PostgreSQL has them. A password
    /// never stands here: it is read from `PGPASSWORD`, `PGPASSFILE`, `~/.pgpass` or a service file. Without it: the
    /// file `.farm/state.db`. The variable `FARMCTL_STORE` goes before this.
    pub(super) store: Option<String>,
    /// Where the files are that hosts share: of models and engines, runners, and what networks answered. Each host has
    /// them in `.farm/`, too, as far as it needs them. Without it, each host has its own alone.
    pub(super) artifacts: Option<ArtifactsEntry>,
}
