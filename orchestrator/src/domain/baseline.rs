use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SweepId;

/// A sweep that others are compared with, by a name. It stays, whatever the rules of retention say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name.
    pub name: String,
    /// The sweep.
    pub sweep: SweepId,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}
