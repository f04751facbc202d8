use std::error::Error;

use crate::compare::CompareError;
use crate::config::ConfigErrors;
use crate::domain::Failure;
use crate::score::ScoreError;
use crate::store::StoreError;

/// What kind of error it is. Each face makes its own codes from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A fault of farmctl or of this host.
    Internal,
    /// What was asked for does not exist or makes no sense.
    Usage,
    /// A file of the lab is invalid.
    Invalid,
    /// There is nothing to do.
    Nothing,
    /// No device can be reached at all.
    NoDevice,
    /// It can't be done now.
    Unavailable,
}

/// Most faults that a line names.
const MOST_IN_SHORT: usize = 5;

/// Why a lab did not do what it was asked.
#[derive(Debug)]
pub struct LabError {
    kind: ErrorKind,
    message: String,
    hints: Vec<String>,
    cause: Option<Cause>,
}

/// What lies beneath an error.
#[derive(Debug)]
enum Cause {
    /// The message is this error's own.
    Said(Box<dyn Error + Send + Sync>),
    /// The message is about more than this error.
    Beneath(Box<dyn Error + Send + Sync>),
}

impl LabError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> LabError {
        LabError { kind, message: message.into(), hints: Vec::new(), cause: None }
    }

    /// A fault of farmctl or of this host.
    pub fn internal(message: impl Into<String>) -> LabError {
        LabError::new(ErrorKind::Internal, message)
    }

    /// What was asked for does not exist or makes no sense.
    pub fn usage(message: impl Into<String>) -> LabError {
        LabError::new(ErrorKind::Usage, message)
    }

    /// There is nothing to do.
    pub fn nothing(message: impl Into<String>) -> LabError {
        LabError::new(ErrorKind::Nothing, message)
    }

    /// No device can be reached at all.
    pub fn no_device(message: impl Into<String>) -> LabError {
        LabError::new(ErrorKind::NoDevice, message)
    }

    /// It can't be done now.
    pub fn unavailable(message: impl Into<String>) -> LabError {
        LabError::new(ErrorKind::Unavailable, message)
    }

    /// What failed, which a library says as a fragment that fits «failed to …».
    pub fn failed(kind: ErrorKind, error: impl Error + Send + Sync + 'static) -> LabError {
        let message = format!("failed to {error}");
        LabError { cause: Some(Cause::Said(Box::new(error))), ..LabError::new(kind, message) }
    }

    /// The same with what lies beneath it.
    #[must_use]
    pub fn caused_by(self, error: impl Into<Box<dyn Error + Send + Sync>>) -> LabError {
        LabError { cause: Some(Cause::Beneath(error.into())), ..self }
    }

    /// The same with one more thing that a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> LabError {
        self.hints.push(hint.into());
        self
    }

    /// The same with nothing that a person can do but this.
    #[must_use]
    pub fn with_only_hint(self, hint: impl Into<String>) -> LabError {
        LabError { hints: vec![hint.into()], ..self }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What a person can do.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What lies beneath, the nearest first, without what the message says already.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = match &self.cause {
            Some(Cause::Said(error)) => error.source(),
            _ => self.source(),
        };
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }

    /// The store's own refusal, where that is what lies beneath.
    pub fn into_store_error(self) -> Result<StoreError, LabError> {
        match self.cause {
            Some(Cause::Said(error)) => match error.downcast::<StoreError>() {
                Ok(refusal) => Ok(*refusal),
                Err(error) => Err(LabError { cause: Some(Cause::Said(error)), ..self }),
            },
            cause => Err(LabError { cause, ..self }),
        }
    }

    /// What is wrong, and what helps.
    pub fn text(&self) -> String {
        let hints: String = self.hints.iter().map(|hint| format!(" ({hint})")).collect();
        format!("{self}{hints}")
    }
}

impl LabError {
    /// What is wrong, on one line: of several faults, the first line of each, or of the first ones.
    pub fn in_short(&self) -> String {
        let faults: Vec<&str> = self.message.split("\n\n").filter_map(|fault| fault.lines().next()).collect();
        let shown = faults.iter().take(MOST_IN_SHORT).copied().collect::<Vec<_>>().join("; ");
        match faults.len().saturating_sub(MOST_IN_SHORT) {
            0 => shown,
            more => format!("{shown}; and {more} more"),
        }
    }
}

impl std::fmt::Display for LabError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

impl Error for LabError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| -> &(dyn Error + 'static) {
            let (Cause::Said(error) | Cause::Beneath(error)) = cause;
            error.as_ref()
        })
    }
}

impl From<ConfigErrors> for LabError {
    fn from(errors: ConfigErrors) -> LabError {
        LabError::new(ErrorKind::Invalid, errors.to_string())
    }
}

impl From<Failure> for LabError {
    fn from(failure: Failure) -> LabError {
        LabError::internal(failure.message).with_hint(failure.kind.remedy())
    }
}

macro_rules! from_library_error {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for LabError {
            fn from(error: $error) -> LabError {
                LabError::failed(ErrorKind::Internal, error)
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

impl From<StoreError> for LabError {
    fn from(error: StoreError) -> LabError {
        let kind = match error {
            StoreError::Damaged { .. }
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. }
            | StoreError::Parted { .. }
            | StoreError::Unfit { .. }
            | StoreError::Corrupt { .. } => ErrorKind::Invalid,
            StoreError::Address { .. } | StoreError::ElsewhereDone { .. } => ErrorKind::Usage,
            StoreError::Unreachable { .. }
            | StoreError::Unencrypted { .. }
            | StoreError::NotAllowed { .. }
            | StoreError::NeededAsItIs { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        LabError::failed(kind, error)
    }
}

impl From<ScoreError> for LabError {
    fn from(error: ScoreError) -> LabError {
        let message = format!("failed to {error}");
        match error {
            ScoreError::NoRuns => LabError::nothing(message).with_hint("look at --devices, --networks and --backends"),
            ScoreError::NoAccuracy => LabError::nothing(message).with_hint(
                "--accuracy published takes what was published for each network, and says so in every output; --kind \
                 throughput needs none",
            ),
            ScoreError::NoReference { devices } => LabError::usage(message)
                .with_hint(format!("write --reference DEVICE, with one of: {}", devices.join(", "))),
            ScoreError::UnknownReference { devices, .. } => {
                LabError::usage(message).with_hint(format!("there are: {}", devices.join(", ")))
            }
            ScoreError::Contradiction { .. } => LabError::usage(message)
                .with_hint("one of the two was changed by hand, or is of another lab: leave one out"),
        }
    }
}

impl From<CompareError> for LabError {
    fn from(error: CompareError) -> LabError {
        let message = format!("failed to {error}");
        match error {
            CompareError::NoRuns { .. } => {
                LabError::nothing(message).with_hint("look at --devices, --networks and --backends")
            }
            CompareError::SameRuns { .. } => LabError::usage(message).with_hint(
                "name two sweeps, or compare within one: --across devices|backends|models|threads|precision",
            ),
            CompareError::NothingInCommon { .. } => LabError::nothing(message).with_hint(
                "cells are the same by device, network, engine, precision, weights, threads, batch and scenario; \
                 --devices-by chip takes devices with one chip for the same",
            ),
            CompareError::OneValue { .. } => LabError::nothing(message),
            CompareError::UnknownBase { known, .. } => {
                LabError::usage(message).with_hint(format!("there are: {}", known.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use crate::catalog::{ArtifactCache, DownloadSettings};
    use crate::domain::{FilePart, Layout, WeightsFile, WeightsKind, WeightsSource};

    use super::*;

    #[test]
    fn what_lies_beneath_a_missing_part_of_a_model_is_told_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| WeightsSource::Path(folder.path().join(name));
        std::fs::write(folder.path().join("net.pb"), b"a network").unwrap();
        let file = WeightsFile {
            weights: WeightsKind::Trained,
            format: "caffe2".to_owned(),
            declared_precision: None,
            layout: Layout::Nchw,
            artifact: None,
            source: path("net.pb"),
            parts: vec![FilePart { name: "init".to_owned(), artifact: None, source: path("init.pb") }],
            signature: None,
            macs: None,
        };
        let cache = ArtifactCache::new(folder.path().join("cache"), DownloadSettings::default());
        let deadline = Instant::now() + Duration::from_secs(60);
        let error = LabError::from(cache.ensure("net", &file, deadline, &mut |_| ()).unwrap_err());
        let system = std::io::Error::from_raw_os_error(2).to_string();
        assert!(error.to_string().ends_with(&format!("init.pb: {system}")), "{error}");
        assert_eq!(error.causes().join("; "), system);
        let about_more = LabError::usage("failed to begin").caused_by(error);
        assert_eq!(about_more.causes().last(), Some(&system));
    }
}
