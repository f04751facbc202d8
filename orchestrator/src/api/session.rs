//! Who asks.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::guard::Caller;
use super::{Api, Refusal, Role};

/// Who asks, and what they may do.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionAnswer {
    name: String,
    role: Role,
    /// Whether this lab asks for tokens.
    needs_login: bool,
    lab: String,
    version: String,
}

pub(super) async fn show(api: Arc<Api>, caller: Caller) -> Result<SessionAnswer, Refusal> {
    let person = caller.may(Role::View)?;
    Ok(SessionAnswer {
        name: person.name,
        role: person.role,
        needs_login: false,
        lab: api.lab.clone(),
        version: api.version.to_owned(),
    })
}
