/// Name of the runner's file, and the first word of its stamp.
pub const FILE_NAME: &str = "device-runner";

/// Longest stamp that is read.
const MOST_BYTES: usize = 300;
/// Follows a commit whose sources were changed since.
const DIRTY: &str = "-dirty";

/// The line that a runner says of itself: `device-runner 0.1.0 (commit 0123456789ab, sources 0123456789ab) TARGET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its version.
    pub version: String,
    /// Last commit that changed its sources, with `-dirty` where they were changed since; `None` outside of git.
    pub commit: Option<String>,
    /// Hash of its sources.
    pub sources: String,
    /// Rust target triple.
    pub target: String,
}

impl Stamp {
    /// The line, without its end.
    pub fn line(&self) -> String {
        let commit = self.commit.as_ref().map_or_else(String::new, |commit| format!("commit {commit}, "));
        let Stamp { version, sources, target, .. } = self;
        format!("{FILE_NAME} {version} ({commit}sources {sources}) {target}")
    }

    /// The stamp among the bytes of a program, which may be for another machine.
    pub fn find(bytes: &[u8]) -> Option<Stamp> {
        let start = format!("{FILE_NAME} ").into_bytes();
        let mut from = 0;
        while let Some(found) = bytes[from..].iter().position(|&byte| byte == start[0]).map(|place| from + place) {
            let end = bytes.len().min(found + MOST_BYTES);
            if bytes[found..end].starts_with(&start)
                && let Some(line) =
                    bytes[found..end].split(|&byte| byte == b'\n').next().filter(|line| line.len() < end - found)
                && let Some(stamp) = std::str::from_utf8(line).ok().and_then(Stamp::parse)
            {
                return Some(stamp);
            }
            from = found + 1;
        }
        None
    }

    fn parse(line: &str) -> Option<Stamp> {
        let (version, rest) = line.strip_prefix(FILE_NAME)?.strip_prefix(' ')?.split_once(" (")?;
        let (inner, target) = rest.split_once(") ")?;
        let (commit, sources) = match inner.strip_prefix("commit ") {
            Some(inner) => {
                let (commit, sources) = inner.split_once(", ")?;
                (Some(commit.to_owned()), sources)
            }
            None => (None, inner),
        };
        let sources = sources.strip_prefix("sources ")?.to_owned();
        let is_version = version.starts_with(|first: char| first.is_ascii_digit());
        is_version.then(|| Stamp { version: version.to_owned(), commit, sources, target: target.to_owned() })
    }

    /// Whether it was built from sources that no commit has.
    pub fn is_dirty(&self) -> bool {
        self.commit.as_ref().is_some_and(|commit| commit.ends_with(DIRTY))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_stamp_is_found_among_other_bytes() {
        let text =
            b"\x7fELF\0device-runner --help\nx\xffdevice-runner 0.1.0 (commit ab-dirty, sources cd) riscv64\nmore";
        let stamp = Stamp::find(text).unwrap();
        assert_eq!(stamp.line(), "device-runner 0.1.0 (commit ab-dirty, sources cd) riscv64");
        assert!(stamp.is_dirty());
        let plain = Stamp::find(b"device-runner 0.2.0 (sources cd) x86_64\n").unwrap();
        assert_eq!((plain.commit.as_deref(), plain.is_dirty()), (None, false));
        for broken in [&b"device-runner 0.1.0 cut off"[..], b"device-runner 0\xff\n", b"device-runner 1 (x) y\n", b""] {
            assert_eq!(Stamp::find(broken), None);
        }
    }
}
