use crate::domain::{JobId, RunId, SweepId, sha256_hex};

/// Longest identifier of a run: it names a folder on the device, and the runner refuses a longer one.
const LONGEST: usize = 64;
/// Room for an attempt's number (`u32`).
const ATTEMPT_DIGITS: usize = 10;
/// Digits of a shortened hash: 64 bits keep names apart that were cut.
const HASH_DIGITS: usize = 16;
/// What stays readable of a sweep's identifier that has to be cut: date, time and the start of its name.
const READABLE: usize = 19;

/// What the identifiers of a job's runs begin with; the attempt's number follows it.
pub(super) fn prefix(sweep: &SweepId, job: &JobId) -> String {
    let job = if job.0.len() <= HASH_DIGITS && !job.0.contains('-') && is_plain(&job.0) {
        job.0.clone()
    } else {
        short_hash(&job.0)
    };
    let room = LONGEST - ATTEMPT_DIGITS - job.len() - 2;
    let sweep = if sweep.0.len() <= room && is_plain(&sweep.0) {
        sweep.0.clone()
    } else {
        let readable: String = sweep.0.chars().filter(|c| is_plain_char(*c)).take(READABLE).collect();
        format!("{readable}-{}", short_hash(&sweep.0))
    };
    format!("{sweep}-{job}-")
}

/// The identifier of a job's attempt.
pub(super) fn run_id(sweep: &SweepId, job: &JobId, attempt: u32) -> RunId {
    RunId(format!("{}{attempt}", prefix(sweep, job)))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn short_hash(text: &str) -> String {
    sha256_hex(text.as_bytes())[..HASH_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_sweep_job_and_attempt() {
        let id = run_id(&SweepId("20261123-221500-all-7f3a".into()), &JobId("00112233445566aa".into()), 2);
        assert_eq!(id.0, "20261123-221500-all-7f3a-00112233445566aa-2");
    }

    #[test]
    fn long_names_that_differ_late_stay_apart() {
        let sweep = |end: &str| SweepId(format!("20261123-221500-{}-{end}", "x".repeat(80)));
        let job = JobId("00112233445566aa".into());
        assert_ne!(run_id(&sweep("a"), &job, 1), run_id(&sweep("b"), &job, 1));
    }

    proptest! {
        #[test]
        fn fits_the_runner(sweep in ".{0,90}", job in ".{0,40}", attempt: u32) {
            let id = run_id(&SweepId(sweep), &JobId(job), attempt).0;
            prop_assert!(id.len() <= LONGEST && is_plain(&id), "{id}");
        }

        #[test]
        fn differs_with_each_part(
            a in ("[a-z0-9-]{1,30}", "[0-9a-f]{1,16}", 0u32..20), b in ("[a-z0-9-]{1,30}", "[0-9a-f]{1,16}", 0u32..20),
        ) {
            let id = |(sweep, job, attempt): &(String, String, u32)| {
                run_id(&SweepId(sweep.clone()), &JobId(job.clone()), *attempt)
            };
            prop_assert_eq!(a == b, id(&a) == id(&b));
        }
    }
}
