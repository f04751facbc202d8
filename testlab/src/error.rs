use std::path::PathBuf;

/// What the lab could not do.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program is not installed.
    #[error("find the program {program}: install the Debian package {package}")]
    Missing {
        /// The program.
        program: String,
        /// What holds it.
        package: String,
    },
    /// A program failed.
    #[error("run {program}: {reason}")]
    Program {
        /// The program.
        program: String,
        /// Its exit and last words.
        reason: String,
    },
    /// A server does not answer.
    #[error("start {server}: {reason}")]
    NotReady {
        /// What kind of server.
        server: &'static str,
        /// Why, with the end of its log.
        reason: String,
    },
    /// This needs root.
    #[error("go on without root: {what} needs it")]
    NeedsRoot {
        /// What was asked.
        what: &'static str,
    },
    /// A file or socket.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was done with it.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl LabError {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LabError {
        let path = path.into();
        move |source| LabError::File { what, path, source }
    }
}
