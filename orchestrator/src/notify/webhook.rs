use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::{Notice, Webhook, hex};

use super::{Failed, Means, said, secret_of};

/// Posts a message as JSON. With a secret, `X-Farmctl-Signature: sha256=HEX` is the HMAC-SHA256 of the body.
pub(super) fn send(webhook: &Webhook, notice: &Notice, means: Means<'_>, deadline: Duration) -> Result<(), Failed> {
    let body = serde_json::json!({
        "event": notice.event, "about": notice.about, "subject": notice.subject, "text": notice.text(),
    })
    .to_string();
    let agent = ureq::Agent::config_builder()
        .tls_config(means.trust.http())
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("farmctl/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(deadline))
        .build()
        .new_agent();
    let mut request = agent.post(&webhook.url).header("Content-Type", "application/json");
    if let Some(source) = &webhook.secret {
        let signature = sign(&secret_of(source, means.environment)?, &body)?;
        request = request.header("X-Farmctl-Signature", format!("sha256={signature}"));
    }
    let answer = request.send(&body).map_err(|error| Failed::ForNow(said(&error, means.trust)))?;
    match answer.status().as_u16() {
        200..300 => Ok(()),
        status @ (408 | 425 | 429 | 500..) => Err(Failed::ForNow(format!("it answered with status {status}"))),
        status => Err(Failed::Always(format!("it answered with status {status}"))),
    }
}

/// The HMAC-SHA256 of a body, in hexadecimal digits.
pub(super) fn sign(secret: &str, body: &str) -> Result<String, Failed> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| Failed::Always(error.to_string()))?;
    mac.update(body.as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}
