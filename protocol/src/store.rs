use serde::{Deserialize, Serialize};

/// What is in a device's content-addressed store (`<workdir>/store/<sha256>`, `<workdir>/partial/<sha256>`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Whole, verified files.
    pub files: Vec<StoreFile>,
    /// Files whose push broke off.
    pub partial: Vec<PartialFile>,
    /// Bytes of the runners that were pushed.
    pub program_bytes: u64,
    /// Space that the store's file system still has for this user.
    pub free_bytes: u64,
}

/// A whole file of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFile {
    /// SHA-256 of its content: also its name.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// The first part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialFile {
    /// SHA-256 that the whole file is to have.
    pub sha256: String,
    /// Bytes that are there.
    pub size_bytes: u64,
}

/// What `store verify` found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreVerification {
    /// Files whose content is right.
    pub intact: Vec<StoreFile>,
    /// SHA-256 of files whose content was wrong; they were removed.
    pub corrupt: Vec<String>,
    /// SHA-256 of files that were asked for and are not there.
    pub missing: Vec<String>,
}

/// What `store trim` removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreTrim {
    /// SHA-256 of the files that were removed, the least recently used first.
    pub removed: Vec<String>,
    /// Their size together.
    pub freed_bytes: u64,
}
