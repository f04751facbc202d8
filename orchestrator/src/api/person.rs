use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody may do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    View,
    /// Start and cancel sweeps, lock, unlock and release devices, run schedules.
    Run,
    /// Pause and resume schedules.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[Role::View, Role::Run, Role::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::View => "view",
            Role::Run => "run",
            Role::Admin => "admin",
        }
    }

    /// What it lets somebody do.
    pub fn description(self) -> &'static str {
        match self {
            Role::View => "Look",
            Role::Run => "Also start and cancel sweeps, lock and unlock devices, run schedules",
            Role::Admin => "Also release devices from quarantine, pause schedules",
        }
    }
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who: the name of the token, or `user@host`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}
