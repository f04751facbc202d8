use super::SecretSource;

/// Where people are told what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// An HTTP server.
    Webhook(Webhook),
    /// A program of this host with its arguments; the message comes on its standard input.
    Command(Vec<String>),
    /// Somebody's mail box.
    Email(Email),
}

impl Channel {
    /// Where the secret is found that it takes, if it takes one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Channel::Webhook(webhook) => webhook.secret.as_ref(),
            Channel::Email(email) => email.login.as_ref().map(|(_, password)| password),
            Channel::Command(_) => None,
        }
    }
}

/// An HTTP server that takes messages as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// What the messages are signed with, by HMAC-SHA256.
    pub secret: Option<SecretSource>,
}

/// Mail, by a server that speaks SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Host name or address of the server.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// How the connection is kept secret.
    pub tls: MailTls,
    /// Login, and where its password is found.
    pub login: Option<(String, SecretSource)>,
    /// Address that it comes from.
    pub from: String,
    /// Addresses that it goes to.
    pub to: Vec<String>,
}

/// How the connection to a mail server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// By TLS from its first byte.
    Implicit,
    /// By TLS before anything is said of mail; refused where the server can't.
    Starttls,
    /// Not at all.
    None,
}

/// A message about something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about, for programs: `sweep_finished`, `device_quarantined`, `devices_checked`, `clock_jumped`,
    /// `clock_believed`, `regressions`.
    pub event: &'static str,
    /// The name of the sweep, the device, the schedule whose devices were checked, or `clock`.
    pub about: String,
    /// In one line.
    pub subject: String,
    /// In three: what, what went wrong, where to look.
    pub lines: [String; 3],
}

impl Notice {
    /// The lines as one text.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
