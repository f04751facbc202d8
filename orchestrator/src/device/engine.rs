use std::collections::HashMap;
use std::path::PathBuf;

use async_trait::async_trait;
use farmctl_protocol::EngineSpec;

use crate::domain::{Failure, Job};

/// An engine program for one kind of machine, with its files on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineProgram {
    /// What a device is told of it.
    pub spec: EngineSpec,
    /// Where its files are on this host, by their SHA-256.
    pub paths: HashMap<String, PathBuf>,
}

/// Where engine programs come from.
#[async_trait]
pub trait EngineProvider: Send + Sync {
    /// The program that is a job's engine, on devices whose runner is for this target; fetched or built now when it has
    /// to be. `None` for an engine that runners carry themselves.
    ///
    /// # Errors
    /// When there is none for such devices, or its files can't be had.
    async fn engine(&self, job: &Job, target: &str) -> Result<Option<EngineProgram>, Failure>;
}
