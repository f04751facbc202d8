use std::fmt::Write as _;

use crate::config::ConfigErrors;
use crate::domain::Failure;
use crate::store::StoreError;

/// Exit codes.
pub mod exit {
    /// All passed.
    pub const OK: u8 = 0;
    /// A fault of farmctl or of this host.
    pub const INTERNAL: u8 = 1;
    /// The command line was not understood.
    pub const USAGE: u8 = 2;
    /// A configuration or inventory is invalid.
    pub const INVALID: u8 = 3;
    /// There was nothing to run.
    pub const NOTHING: u8 = 4;
    /// No device could be used.
    pub const NO_DEVICE: u8 = 5;
    /// Some runs failed.
    pub const SOME_FAILED: u8 = 6;
    /// A person interrupted it.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl CliError {
    /// A fault of farmctl or of this host.
    pub fn internal(message: impl Into<String>) -> CliError {
        CliError { code: exit::INTERNAL, message: message.into(), hint: None }
    }

    /// What was asked for does not exist or makes no sense.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError { code: exit::USAGE, ..CliError::internal(message) }
    }

    /// There is nothing to do.
    pub fn nothing(message: impl Into<String>) -> CliError {
        CliError { code: exit::NOTHING, ..CliError::internal(message) }
    }

    /// No device can be reached at all.
    pub fn no_device(message: impl Into<String>) -> CliError {
        CliError { code: exit::NO_DEVICE, ..CliError::internal(message) }
    }

    /// The same with what a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// What is wrong, and what helps.
    pub fn text(&self) -> String {
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        format!("{}{hint}", self.message.trim_end())
    }

    /// Tells a person, on stderr.
    pub fn print(&self, color: bool) {
        let (red, cyan, off) = if color { ("\x1b[31;1m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!("{red}error{off}: {}", self.message.trim_end());
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n{cyan}help{off}: {hint}");
        }
        super::say(&text);
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> CliError {
        CliError { code: exit::INVALID, message: errors.to_string(), hint: None }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> CliError {
        let hint = failure.kind.remedy().to_owned();
        CliError { hint: Some(hint), ..CliError::internal(failure.message) }
    }
}

macro_rules! from_library_error {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> CliError {
                CliError::internal(format!("failed to {error}"))
            }
        })+
    };
}

from_library_error!(
    crate::agent::AgentError,
    crate::catalog::CatalogError,
    crate::publish::PublishError,
    crate::runners::RunnerError,
);

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        let code = match error {
            StoreError::Damaged { .. }
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. }
            | StoreError::Corrupt { .. } => exit::INVALID,
            _ => exit::INTERNAL,
        };
        CliError { code, ..CliError::internal(format!("failed to {error}")) }
    }
}
