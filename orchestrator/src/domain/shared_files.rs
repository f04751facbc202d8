use std::path::PathBuf;

/// Where a lab keeps the files that its hosts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFilesConfig {
    /// The place.
    pub place: SharedPlace,
    /// Most that files take on this host which can be had from there again; `None`: any number of bytes.
    pub cache_bytes: Option<u64>,
}

/// A place for files that hosts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedPlace {
    /// A folder that all hosts see.
    Folder(PathBuf),
    /// A bucket of a server that speaks S3.
    S3(S3Place),
}

/// A bucket of a server that speaks S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// What the names of all its files begin with; may be empty.
    pub prefix: String,
    /// The server, where the file says it: `https://…`.
    pub endpoint: Option<String>,
    /// The bucket's region, where the file says it.
    pub region: Option<String>,
}
