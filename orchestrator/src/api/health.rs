//! Whether the daemon is alive, and whether it does its work: for whoever watches over it.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;

use super::guard::Caller;
use super::{Api, Refusal};

/// A daemon that has not looked for so long stands still.
const STANDS_STILL: Duration = Duration::from_secs(60);

/// It answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// It starts what is due; else why not, for those who may know.
pub(super) async fn ready(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<&'static str, Refusal> {
    let now = api.now();
    let mut reasons = now.status.troubles;
    let silent = now.looked_at.elapsed();
    if silent > STANDS_STILL {
        reasons.push(format!("the daemon has not looked for {} s", silent.as_secs()));
    }
    if api.blocking(|api| Ok(api.store.lab_id()?)).await.is_err() {
        reasons.push("the store can't be read".to_owned());
    }
    match (reasons.is_empty(), caller.0) {
        (true, _) => Ok("ready\n"),
        (false, Some(_)) => Err(Refusal::unavailable(reasons.join("; "))),
        (false, None) => Err(Refusal::unavailable("the daemon is in trouble; who has a token is told what it is")),
    }
}
