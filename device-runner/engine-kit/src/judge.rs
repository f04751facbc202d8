//! Whether a loop is long enough, where the order does not say it in inferences and seconds.
//!
//! Purpose: the seam between the loops, which know no statistics, and the supervisor, which does. Main trait:
//! [`Judge`]. Never asked inside a timed window.

use farmctl_protocol::Steady;

use crate::serve::ServeError;

/// Who says whether a loop is long enough.
pub trait Judge {
    /// Takes latencies of the loop that follow those before.
    ///
    /// # Errors
    /// Fails when the supervisor is gone.
    fn tell(&mut self, latencies_ns: &[u64]) -> Result<(), ServeError>;

    /// What is to be done after those that were told.
    ///
    /// # Errors
    /// Fails when the supervisor is gone, or answers what is no answer.
    fn ask(&mut self) -> Result<Judgement, ServeError>;
}

/// What a judge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The number of inferences of the loop after which it is asked again; 0 where the loop is long enough.
    pub next: usize,
    /// Whether the latency has settled, of a warm-up.
    pub steady: Steady,
}

impl Judgement {
    /// Reads a line of the supervisor.
    pub(crate) fn of_line(line: &str) -> Option<Judgement> {
        let (next, steady) = line.strip_suffix('\n')?.split_once(' ')?;
        Some(Judgement { next: next.parse().ok()?, steady: steady.parse().ok()? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_and_a_word() {
        assert_eq!(Judgement::of_line("0 yes\n"), Some(Judgement { next: 0, steady: Steady::Yes }));
        assert_eq!(Judgement::of_line("25 unknown\n").unwrap().next, 25);
        for line in ["", "25\n", "25 yes", "-1 no\n", "1 maybe\n"] {
            assert_eq!(Judgement::of_line(line), None, "{line:?}");
        }
    }
}
