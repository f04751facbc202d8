use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
    };
}

text_id! {
    /// One start of a sweep, for example `20261123-221500-all-7f3a`: sorts by time, is a file name, says what it was.
    SweepId
}
text_id! {
    /// A job by its content: `j` (so that no spreadsheet takes it for a number) and the first 15 hexadecimal digits of
    /// the SHA-256 of everything that makes the cell, so that the same cell is the same job tomorrow.
    JobId
}
text_id! {
    /// One attempt of a job in a sweep, unique for ever; letters, digits, `-` and `_`, since it names a folder on the
    /// device.
    RunId
}
text_id! {
    /// Something that got slower: `r` and nine hexadecimal digits of what was found where.
    RegressionId
}
text_id! {
    /// A lab: the store that its sweeps and leases are in. Devices remember leases by it.
    LabId
}
