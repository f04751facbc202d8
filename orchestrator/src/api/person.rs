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
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who: the name of the token, or `user@host`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}
