//! File operations by commands of a POSIX shell, for devices that have nothing better (dropbear and busybox without an
//! sftp server).
//!
//! Main types: [`FileCommand`]: the argument vector of one operation, and how to read its outcome; [`PosixDevice`]:
//! what a way to a device gives to have its files moved so. Connects to nothing itself.

mod device;
pub mod script;

use std::time::Duration;

pub use self::device::PosixDevice;
use self::script::{ABSENT_FUNCTION, PROLOGUE, REFUSED_FUNCTION, kind_of_exit};
use super::{Command, ErrorKind, Exit, FileStat, Finished, TransportError};

/// Stands before everything that a script means to tell, since a login shell may print a greeting first.
const SENTINEL: &str = "farmctl-answer:\n";

/// Longest message of a device that is passed on.
const MESSAGE_LIMIT_BYTES: usize = 400;

/// Size by `stat` where there is one: `wc` may read the whole file.
const SIZE_FUNCTION: &str = "size(){ stat -L -c %s \"$1\" 2>/dev/null||wc -c <\"$1\";};";

/// Compares whole numbers of any length: the shell of Android counts with 32 bits.
const LESS_FUNCTION: &str = "less(){ [ ${#1} -lt ${#2} ]||{ [ ${#1} -eq ${#2} ]&&[ \"$1\" \\< \"$2\" ];};};";

/// Longest answer of a file operation, not counting the bytes that are read.
pub const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// One operation on a file of the device.
pub struct FileCommand {
    /// What runs it.
    pub command: Command,
    /// What it does, for messages.
    pub what: String,
}

impl FileCommand {
    /// Writes standard input into the file, from `offset` on, and answers with the file's size.
    ///
    /// `dd` of nothing cuts the file to `offset`; `cat` then appends with large blocks.
    pub fn write(path: &str, offset: u64, deadline: Duration) -> FileCommand {
        let body = if offset == 0 {
            "cat >\"$1\"||refused \"$1\""
        } else {
            "s=$(size \"$1\")||refused \"$1\";\
             ! less \"$s\" \"$2\"||{ echo \"the file has $s bytes, fewer than the offset $2\" >&2;exit 1;};\
             dd if=/dev/null of=\"$1\" bs=1 seek=\"$2\" count=0 2>/dev/null||{ (: >>\"$1\");refused \"$1\";};\
             cat >>\"$1\"||refused \"$1\""
        };
        let script =
            format!("{REFUSED_FUNCTION}{SIZE_FUNCTION}{LESS_FUNCTION}{body};printf '{}';size \"$1\"", sentinel_text());
        FileCommand::new(&script, &[path_word(path), offset.to_string()], deadline, format!("write {path}"))
    }

    /// Appends the file `part`, which is removed, and answers with the size of the whole.
    ///
    /// The reason of a failure is looked for while the part is there, and told when it is gone, so that a full disk has
    /// room for it.
    pub fn append(path: &str, part: &str, deadline: Duration) -> FileCommand {
        let script = format!(
            "{REFUSED_FUNCTION}{SIZE_FUNCTION}e=$({{ cat \"$2\" >>\"$1\"||refused \"$1\";}} 2>&1);c=$?;rm -f \"$2\";\
             [ $c = 0 ]||{{ echo \"$e\" >&2;exit $c;}};printf '{}';size \"$1\"",
            sentinel_text()
        );
        FileCommand::new(&script, &[path_word(path), path_word(part)], deadline, format!("write {path}"))
    }

    /// Gives the file of the name `path` and `suffix` the name `path` as soon as it is there; who is writing into it
    /// goes on writing. Removes those of other names that begin with `family`, which a suffix does: nobody came to
    /// adopt them.
    pub fn adopt(path: &str, suffix: &str, family: &str, deadline: Duration) -> FileCommand {
        let script = "[ ! -d \"$1\" ]||{ echo \"$1: Is a directory\" >&2;exit 1;};\
                      for f in \"$1$3\"*;do [ \"$f\" = \"$1$2\" ]||rm -f \"$f\";done;\
                      until [ -e \"$1$2\" ];do sleep 0.02 2>/dev/null||sleep 1;done;exec mv -f \"$1$2\" \"$1\"";
        let arguments = [path_word(path), suffix.to_owned(), family.to_owned()];
        FileCommand::new(script, &arguments, deadline, format!("write {path}"))
    }

    /// Prints at most `limit` bytes from `offset` on, or a little more when the file grows meanwhile.
    ///
    /// What is read to its end goes past `head`, which takes byte after byte where it is busybox's.
    pub fn read(path: &str, offset: u64, limit: u64, deadline: Duration) -> FileCommand {
        let script = format!(
            "{SIZE_FUNCTION}{LESS_FUNCTION}[ ! -d \"$1\" ]||{{ echo 'Is a directory' >&2;exit 1;}};exec \
             <\"$1\"||exit;s=$(size \"$1\")||exit;part(){{ if [ \"$1\" = 1 ];then cat;else tail -c \
             +\"$1\";fi;}};printf '{}';if less \"$s\" \"$4\";then part \"$2\";else part \"$2\"|head -c \"$3\";fi",
            sentinel_text()
        );
        let first = offset.saturating_add(1);
        let end = first.saturating_add(limit);
        let arguments = [path_word(path), first.to_string(), limit.to_string(), end.to_string()];
        FileCommand::new(&script, &arguments, deadline, format!("read {path}"))
    }

    /// Answers with kind and size.
    pub fn stat(path: &str, deadline: Duration) -> FileCommand {
        let script = format!(
            "{ABSENT_FUNCTION}{SIZE_FUNCTION}printf '{}';if [ -d \"$1\" ];then echo d 0;elif [ -e \"$1\" ];then \
             s=$(size \"$1\")||exit;echo f $s;else absent \"$1\";echo none;fi",
            sentinel_text()
        );
        FileCommand::new(&script, &[path_word(path)], deadline, format!("look at {path}"))
    }

    /// Renames, over an existing file but not into a folder.
    pub fn rename(from: &str, to: &str, deadline: Duration) -> FileCommand {
        let script = format!(
            "{REFUSED_FUNCTION}[ ! -d \"$2\" ]||{{ echo \"$2: Is a directory\" >&2;exit 1;}};\
             mv -f \"$1\" \"$2\"||refused \"$2\""
        );
        FileCommand::new(&script, &[path_word(from), path_word(to)], deadline, format!("rename {from} to {to}"))
    }

    /// Removes a file that may be missing.
    pub fn remove(path: &str, deadline: Duration) -> FileCommand {
        FileCommand::new("exec rm -f \"$1\"", &[path_word(path)], deadline, format!("remove {path}"))
    }

    fn new(script: &str, arguments: &[String], deadline: Duration, what: String) -> FileCommand {
        let mut argv = vec!["sh".to_owned(), "-c".to_owned(), format!("{PROLOGUE}{script}"), "sh".to_owned()];
        argv.extend_from_slice(arguments);
        FileCommand { command: Command { argv, deadline }, what }
    }

    /// What was printed behind the sentinel, when the operation succeeded.
    ///
    /// # Errors
    /// When it did not, with the device's own message and the kind that this message shows.
    pub fn answer(&self, address: &str, finished: Finished) -> Result<Vec<u8>, TransportError> {
        if !finished.exit.success() {
            return Err(self.failure(address, finished.exit, &finished.stderr));
        }
        let mut answer = finished.stdout;
        match find(&answer, SENTINEL.as_bytes()) {
            Some(start) => Ok(answer.split_off(start + SENTINEL.len())),
            None => Err(self.unreadable(address, &answer)),
        }
    }

    /// Checks that an operation without an answer succeeded.
    ///
    /// # Errors
    /// As [`FileCommand::answer`].
    pub fn check(&self, address: &str, finished: &Finished) -> Result<(), TransportError> {
        if finished.exit.success() { Ok(()) } else { Err(self.failure(address, finished.exit, &finished.stderr)) }
    }

    /// Checks the answer to [`FileCommand::write`].
    ///
    /// # Errors
    /// As [`FileCommand::answer`], and when the file has not the size it should.
    pub fn check_written(&self, address: &str, finished: Finished, expected_bytes: u64) -> Result<(), TransportError> {
        let answer = self.answer(address, finished)?;
        let size: u64 = parse_text(&answer).ok_or_else(|| self.unreadable(address, &answer))?;
        if size == expected_bytes {
            return Ok(());
        }
        Err(TransportError::new(
            ErrorKind::Protocol,
            format!("{} on {address}: the file has {size} bytes after {expected_bytes} were written", self.what),
        )
        .with_hint("another program may be writing to the same file"))
    }

    /// Reads the answer to [`FileCommand::stat`].
    ///
    /// # Errors
    /// As [`FileCommand::answer`].
    pub fn file_stat(&self, address: &str, finished: Finished) -> Result<Option<FileStat>, TransportError> {
        let answer = self.answer(address, finished)?;
        let text = String::from_utf8_lossy(&answer);
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next().and_then(|word| word.parse().ok())) {
            (Some("d"), _) => Ok(Some(FileStat { size_bytes: 0, is_dir: true })),
            (Some("f"), Some(size_bytes)) => Ok(Some(FileStat { size_bytes, is_dir: false })),
            (Some("none"), _) => Ok(None),
            _ => Err(self.unreadable(address, &answer)),
        }
    }

    fn failure(&self, address: &str, exit: Exit, stderr: &[u8]) -> TransportError {
        let reason = reason_in(stderr);
        let kind = match exit {
            Exit::Signal(_) => ErrorKind::Protocol,
            Exit::Code(126 | 127) => ErrorKind::CommandNotFound,
            Exit::Code(_) => kind_of_exit(exit, ErrorKind::File),
        };
        let reason = if reason.is_empty() { exit.to_string() } else { reason };
        TransportError::new(kind, format!("{} on {address}: {reason}", self.what))
    }

    fn unreadable(&self, address: &str, answer: &[u8]) -> TransportError {
        let start = &answer[..answer.len().min(80)];
        TransportError::new(
            ErrorKind::Protocol,
            format!("{} on {address}: the device answered {:?}", self.what, String::from_utf8_lossy(start)),
        )
    }
}

/// The last lines of standard error, as one line.
fn reason_in(stderr: &[u8]) -> String {
    let start = stderr.len().saturating_sub(MESSAGE_LIMIT_BYTES);
    let text = String::from_utf8_lossy(&stderr[start..]);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A path as a shell command takes it: `~/` means the folder that the login starts in, and no path looks like an
/// option.
fn path_word(path: &str) -> String {
    let path = match path {
        "~" => ".",
        other => other.strip_prefix("~/").unwrap_or(other),
    };
    if path.starts_with('/') { path.to_owned() } else { format!("./{path}") }
}

fn sentinel_text() -> String {
    SENTINEL.replace('\n', "\\n")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn finished(exit: Exit, stdout: &str, stderr: &str) -> Finished {
        Finished { exit, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn a_greeting_of_the_login_shell_is_not_taken_for_the_answer() {
        let command = FileCommand::read("x", 0, 10, Duration::from_secs(1));
        let answer = command.answer("board", finished(Exit::Code(0), "Welcome!\nfarmctl-answer:\ndata", "")).unwrap();
        assert_eq!(answer, b"data");
        let error = command.answer("board", finished(Exit::Code(0), "Welcome!\n", "")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol);
    }

    #[test]
    fn what_went_wrong_is_told_by_the_code_and_the_devices_own_words() {
        let command = FileCommand::write("/x", 0, Duration::from_secs(1));
        let error = command.answer("board", finished(Exit::Code(91), "", "cat: kein Platz mehr")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DiskFull);
        assert!(error.message.contains("/x") && error.message.contains("board: cat: kein Platz"), "{error}");
        let error = command.answer("board", finished(Exit::Code(1), "", "No space left on device")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::File, "words decide nothing");
        let command = FileCommand::remove("x", Duration::from_secs(1));
        let error = command.check("board", &finished(Exit::Code(127), "", "sh: rm: not found")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CommandNotFound);
    }

    #[test]
    fn a_file_that_is_not_as_long_as_what_was_written_is_an_error() {
        let command = FileCommand::write("/x", 0, Duration::from_secs(1));
        let answer = || finished(Exit::Code(0), "farmctl-answer:\n9\n", "");
        assert!(command.check_written("board", answer(), 9).is_ok());
        assert_eq!(command.check_written("board", answer(), 10).unwrap_err().kind, ErrorKind::Protocol);
    }

    #[test]
    fn numbers_beyond_32_bits_are_compared() {
        for (a, b, less) in [
            ("9", "10", true),
            ("10", "9", false),
            ("7", "7", false),
            ("3000000000", "3000000001", true),
            ("3000000000", "1000000000", false),
            ("5", "9223372036854775807", true),
        ] {
            let script = format!("{LESS_FUNCTION}less {a} {b}");
            let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
            assert_eq!(status.success(), less, "{a} < {b}");
        }
    }

    #[test]
    fn paths_lie_below_the_home_of_the_login_and_are_no_options() {
        assert_eq!(path_word("~/a"), "./a");
        assert_eq!(path_word("~"), "./.");
        assert_eq!(path_word("-rf"), "./-rf");
        assert_eq!(path_word("/abs"), "/abs");
    }
}
