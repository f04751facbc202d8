//! When tokens were last used, in a file beside theirs: each is written once a minute at most, and what is left at the
//! end.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::secret;

use super::tokens::TokenFile;

/// Ending of the file.
const USED: &str = ".used";
/// How often it is written that one token was used.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Uses of tokens, by their names.
#[derive(Debug, Default)]
pub(super) struct Uses {
    unwritten: BTreeMap<String, Timestamp>,
    /// When it was last written that this one was used.
    written_at: BTreeMap<String, Instant>,
}

impl Uses {
    /// Whether one waits for as long as it may.
    fn are_due(&self) -> bool {
        let is_due = |name: &String| self.written_at.get(name).is_none_or(|at| at.elapsed() >= WRITE_EVERY);
        self.unwritten.keys().any(is_due)
    }
}

impl TokenFile {
    /// Notes that a token was used.
    pub fn note_use(&self, name: &str, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.unwritten.insert(name.to_owned(), now);
        self.write_due(&mut uses);
    }

    /// Writes the uses that wait for as long as they may; at the end, all of them.
    pub fn write_uses(&self, is_end: bool) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if is_end {
            uses.written_at.clear();
        }
        self.write_due(&mut uses);
    }

    fn write_due(&self, uses: &mut Uses) {
        if !uses.are_due() {
            return;
        }
        let mut all = self.last_uses();
        all.extend(uses.unwritten.iter().map(|(name, at)| (name.clone(), *at)));
        uses.written_at.retain(|_, at| at.elapsed() < WRITE_EVERY);
        let now = Instant::now();
        uses.written_at.extend(uses.unwritten.keys().map(|name| (name.clone(), now)));
        match self.write_beside(USED, &mut |file| serde_json::to_writer(file, &all).map_err(Into::into)) {
            Ok(()) => uses.unwritten.clear(),
            Err(error) => tracing::warn!(%error, "when tokens were used was not written"),
        }
    }

    /// When tokens were last used, by their names; a minute late while a daemon runs.
    pub fn last_uses(&self) -> BTreeMap<String, Timestamp> {
        let text = secret::text(&self.beside(USED)).ok();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_token_has_its_own_last_use_and_what_is_not_written_yet_is_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let (file, reader) = (TokenFile::new(path.clone()), TokenFile::new(path));
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let seen = |name: &str| reader.last_uses().get(name).copied();
        assert_eq!(seen("a"), None);
        file.note_use("a", at(0));
        file.note_use("b", at(5));
        assert_eq!((seen("a"), seen("b")), (Some(at(0)), Some(at(5))), "one does not keep the other from being told");
        file.note_use("a", at(10));
        file.write_uses(false);
        assert_eq!(seen("a"), Some(at(0)), "once a minute is enough");
        file.write_uses(true);
        assert_eq!((seen("a"), seen("b")), (Some(at(10)), Some(at(5))));
    }
}
