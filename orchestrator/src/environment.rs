//! How a process's environment is asked. Whoever reads it hands this on: nobody else reads it.
//!
//! Main type: [`EnvironmentLookup`].

use std::sync::Arc;

/// Looks up a variable of the environment that farmctl was started in.
pub type EnvironmentLookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
