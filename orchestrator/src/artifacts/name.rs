use std::fmt;

/// What kind of file it is: each has a folder of its own in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What can be had again: files of models, members of archives, images of datasets.
    Artifact,
    /// What networks answered.
    Output,
    /// Runners.
    Runner,
    /// Reports of sweeps that are over.
    Report,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Artifact, Kind::Output, Kind::Runner, Kind::Report];

    /// Its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Artifact => "artifacts",
            Kind::Output => "outputs",
            Kind::Runner => "runners",
            Kind::Report => "reports",
        }
    }
}

/// The name of a file in a store: its kind and the sha256 of its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredName {
    kind: Kind,
    sha256: String,
}

impl StoredName {
    /// A name; `None` where that is no sha256 of 64 lower-case hexadecimal digits. It becomes a part of a path.
    pub fn new(kind: Kind, sha256: &str) -> Option<StoredName> {
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| StoredName { kind, sha256: sha256.to_owned() })
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sha256 of its content.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.folder(), self.sha256)
    }
}
