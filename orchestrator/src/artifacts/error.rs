use std::path::Path;

/// Why a file of a store could not be put, had, listed or taken out.
#[derive(Debug, thiserror::Error)]
#[error("{action} {name} {place}: {trouble}")]
pub struct ArtifactError {
    /// What was tried, with the word that leads to the place: `get … from …`.
    action: &'static str,
    /// Which file.
    name: String,
    /// Where: the word that leads there, and the place.
    place: String,
    /// What is wrong.
    #[source]
    trouble: Trouble,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no such file.
    #[error("it is not there")]
    Missing,
    /// What the store has is not what its name says.
    #[error("its content there has sha256 {found}: it was changed or is damaged")]
    Corrupt {
        /// The sha256 of what came.
        found: String,
    },
    /// The file that is put there is not what its name says.
    #[error("the file on this host has sha256 {found}")]
    Changed {
        /// The sha256 of what was read.
        found: String,
    },
    /// After it was put there, it has another size.
    #[error("{sent} bytes were sent, and the store has {stored}")]
    Short {
        /// Bytes that were sent.
        sent: u64,
        /// Bytes that are there.
        stored: u64,
    },
    /// There are no credentials, or they can't be read.
    #[error("no credentials: {0}")]
    NoCredentials(String),
    /// The server does not let this key do it.
    #[error("the server refuses ({status} {code}){}", after(.message))]
    Denied {
        /// HTTP's status.
        status: u16,
        /// The code of S3, where one came.
        code: String,
        /// The server's words.
        message: String,
    },
    /// There is no such bucket.
    #[error("there is no bucket {0}")]
    NoBucket(String),
    /// The bucket is in another region.
    #[error("the bucket is in another region{}", after(.0))]
    OtherRegion(String),
    /// The clocks of host and server differ too much for a signature.
    #[error("this host's clock differs too much from the server's{}", after(.0))]
    Clock(String),
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// It was not done in time.
    #[error("it was not done by its deadline{}", after(.0))]
    Deadline(String),
    /// The server answered with something else.
    #[error("the server answers {status} {code}{}", after(.message))]
    Answer {
        /// HTTP's status.
        status: u16,
        /// The code of S3, where one came.
        code: String,
        /// The server's words.
        message: String,
    },
    /// A file or folder of this host can't be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file or folder.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl ArtifactError {
    /// What failed: `get` `artifacts/…` `from s3://…`.
    pub(super) fn new(
        action: &'static str,
        name: impl ToString,
        way: &'static str,
        place: &str,
        trouble: Trouble,
    ) -> ArtifactError {
        ArtifactError { action, name: name.to_string(), place: format!("{way} {place}"), trouble }
    }

    /// What is wrong.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// What a person can do; nothing where there is nothing.
    pub fn remedy(&self) -> Option<&'static str> {
        self.trouble.remedy()
    }
}

impl Trouble {
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Trouble {
        let path = path.display().to_string();
        move |cause| Trouble::File { path, cause }
    }

    /// Whether another file would meet with the same: nobody need ask again for a while.
    pub(super) fn is_of_the_store(&self) -> bool {
        match self {
            Trouble::Missing | Trouble::Corrupt { .. } | Trouble::Changed { .. } | Trouble::Short { .. } => false,
            Trouble::File { .. } | Trouble::Other(_) => false,
            Trouble::NoCredentials(_)
            | Trouble::Denied { .. }
            | Trouble::NoBucket(_)
            | Trouble::OtherRegion(_)
            | Trouble::Clock(_)
            | Trouble::Unreachable(_)
            | Trouble::Deadline(_)
            | Trouble::Answer { .. } => true,
        }
    }

    /// What a person can do.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Trouble::Missing | Trouble::Changed { .. } | Trouble::Other(_) => None,
            Trouble::Corrupt { .. } => {
                Some("take that object out; whoever has the file again puts it there anew, or get it from a backup")
            }
            Trouble::Short { .. } => Some("put it there again; is a proxy between that changes what goes through it?"),
            Trouble::NoCredentials(_) => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put both into ~/.aws/credentials (mode 600) and \
                 name another profile than `default` by AWS_PROFILE",
            ),
            Trouble::Denied { code, .. } if code == "SignatureDoesNotMatch" => {
                Some("the secret is not that of the key: look at AWS_SECRET_ACCESS_KEY or ~/.aws/credentials")
            }
            Trouble::Denied { code, .. } if code == "InvalidAccessKeyId" => Some(
                "the server does not know the key: look at AWS_ACCESS_KEY_ID or ~/.aws/credentials, and `endpoint`",
            ),
            Trouble::Denied { code, .. } if code == "ExpiredToken" => {
                Some("log in again: the credentials are of a session that has ended")
            }
            Trouble::Denied { .. } => Some(
                "the key needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the prefix, \
                 and s3:ListBucket on the bucket",
            ),
            Trouble::NoBucket(_) => {
                Some("make the bucket, or mend `artifacts` in lab.yaml; is `endpoint` the right one?")
            }
            Trouble::OtherRegion(_) => Some("set `region` in lab.yaml, or AWS_REGION, to the bucket's region"),
            Trouble::Clock(_) => Some("set this host's clock (`timedatectl set-ntp true`)"),
            Trouble::Unreachable(_) | Trouble::Deadline(_) => Some(
                "look at `endpoint` in lab.yaml, at the network and at the proxy of this host; `farmctl doctor` tries",
            ),
            Trouble::Answer { .. } => Some("look at the server's log; `farmctl doctor` tries again"),
            Trouble::File { .. } => Some("mend what it names: does it have room, and may this user write it?"),
        }
    }
}

/// Words after a colon, or nothing.
fn after(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}
