use crate::domain::sha256_hex;

/// Digits of a tag: enough that no two entries of a few labs share one.
const TAG_DIGITS: usize = 12;

/// A file that is being pushed, or whose push broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartFile {
    /// Its path below the workdir.
    pub(super) path: String,
    pub(super) size_bytes: u64,
}

/// How files are called on a device while they are being pushed. Whoever else pushes the same file there meanwhile has
/// names of its own: another lab, or another entry of the farm file with the same workdir. The same lab finds its own
/// again, so that its push goes on where it broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartNames {
    tag: String,
}

impl PartNames {
    /// Those of a lab for one of its devices.
    pub(super) fn new(lab: &str, device: &str) -> PartNames {
        let digest = sha256_hex(format!("{lab}\n{device}").as_bytes());
        PartNames { tag: digest[..TAG_DIGITS].to_owned() }
    }

    /// The file's name below the workdir. It begins with the hash, by which a runner knows what must stay.
    pub(super) fn path(&self, sha256: &str) -> String {
        format!("partial/{sha256}.{}", self.tag)
    }

    /// Name of a file that is only pushed to see how long that takes.
    pub(super) fn sample(&self) -> String {
        format!("partial/sample.{}", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labs_and_entries_have_names_of_their_own_that_stay() {
        let path = |lab, device| PartNames::new(lab, device).path("ab");
        assert_eq!(path("lab", "a"), path("lab", "a"));
        assert!(path("lab", "a").starts_with("partial/ab."));
        assert_ne!(path("lab", "a"), path("lab", "b"));
        assert_ne!(path("lab", "a"), path("other", "a"));
    }
}
