use std::time::Duration;

use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Tls;
use lettre::{SmtpTransport, Transport as _};

use crate::domain::{Email, MailTls, Notice};

use super::{Failed, Means, said, secret_of};

/// Hands a message to a mail server.
pub(super) fn send(email: &Email, notice: &Notice, means: Means<'_>, deadline: Duration) -> Result<(), Failed> {
    let always = |error: &dyn std::fmt::Display| Failed::Always(error.to_string());
    let mut message = Message::builder().from(mailbox(&email.from)?).subject(format!("[farmctl] {}", notice.subject));
    for to in &email.to {
        message = message.to(mailbox(to)?);
    }
    let message = message.body(notice.text()).map_err(|error| always(&error))?;
    let tls = || means.trust.mail(&email.host).map_err(|error| always(&error));
    let tls = match email.tls {
        MailTls::Implicit => Tls::Wrapper(tls()?),
        MailTls::Starttls => Tls::Required(tls()?),
        MailTls::None => Tls::None,
    };
    let mut server = SmtpTransport::builder_dangerous(&email.host).port(email.port).tls(tls).timeout(Some(deadline));
    if let Some((user, password)) = &email.login {
        server = server.credentials(Credentials::new(user.clone(), secret_of(password, means.environment)?));
    }
    server.build().send(&message).map(drop).map_err(|error| match error.is_permanent() {
        true => Failed::Always(error.to_string()),
        false => Failed::ForNow(said(&error, means.trust)),
    })
}

fn mailbox(text: &str) -> Result<Mailbox, Failed> {
    text.parse().map_err(|error| Failed::Always(format!("{text:?} is no mail address: {error}")))
}
