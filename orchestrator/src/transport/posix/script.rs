//! What our scripts for a device's shell have in common: their functions, and the exit codes that tell why one failed.
//!
//! Main function: [`kind_of_exit`]. A shell's programs end with 1 whatever the system refused, and their words depend
//! on the program and its language. So a script that fails looks for the reason itself, and ends with a code for it.

use crate::transport::{ErrorKind, Exit};

/// Begins every script: what its programs print is English, and numbers have no marks.
pub const PROLOGUE: &str = "LC_ALL=C;export LC_ALL;";

/// There is no room: no free block, no free file, or the login's share is used up.
const FULL: i32 = 91;
/// The system refuses to write there, or to look.
const DENIED: i32 = 92;
/// A folder above it is missing.
const MISSING: i32 = 93;
/// The file is as large as the login may make one.
const TOO_LARGE: i32 = 94;

/// `refused FILE` ends the script with the code that says why FILE could not be written. It tries what is left to be
/// tried beside it: an empty file, which a read-only file system refuses to anybody, then a few blocks.
///
/// Where nothing can be made, no free file of those that there can be is no room; some file systems count none.
/// `test -w` would not do: some shells say yes to root whatever the file system says. `ulimit -f` counts 512 bytes; a
/// file that has come so far was stopped by it.
pub const REFUSED_FUNCTION: &str = "refused(){ d=${1%/*};case $d in \"$1\")d=.;;'')d=/;;esac;\
     [ -d \"$d\" ]||exit 93;l=$(ulimit -f 2>/dev/null);\
     case $l in ''|*[!0-9]*);;*)[ $(($({ wc -c <\"$1\";} 2>/dev/null||echo 0)/512)) -lt \"$l\" ]||{ \
     echo \"a file of this login may have $((l/2)) KiB (ulimit -f on the device)\" >&2;exit 94;};;esac;\
     p=$d/.farmctl-$$;if (: >\"$p\") 2>/dev/null;then dd if=/dev/zero of=\"$p\" bs=65536 count=1 2>/dev/null;c=$?;\
     rm -f \"$p\";[ $c = 0 ]||exit 91;else case $(stat -f -c %c:%d \"$d\" 2>/dev/null) in 0:*);;\
     *:0)echo 'no inode is left for another file (df -i on the device)' >&2;exit 91;;esac;fi;exit 92;};";

/// `absent FILE` ends the script unless FILE is known to be missing: what lies behind a folder that may not be searched
/// is not.
pub(super) const ABSENT_FUNCTION: &str = "absent(){ d=$1;while [ ! -e \"$d\" ];do case $d in .|/)exit \
                                          92;;*/*)d=${d%/*};;*)d=.;;esac;[ -n \"$d\" ]||d=/;done;{ [ -d \"$d\" ]&&[ -x \
                                          \"$d\" ];}||{ ls -dL \"$1\" >/dev/null;exit 92;};};";

/// What the end of a script says; `otherwise` where it says nothing.
pub fn kind_of_exit(exit: Exit, otherwise: ErrorKind) -> ErrorKind {
    match exit {
        Exit::Code(FULL) => ErrorKind::DiskFull,
        Exit::Code(DENIED | MISSING | TOO_LARGE) => ErrorKind::File,
        Exit::Code(_) | Exit::Signal(_) => otherwise,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code_of(script: &str, path: &str) -> Option<i32> {
        let argv = ["-c", script, "sh", path];
        std::process::Command::new("sh").args(argv).status().unwrap().code()
    }

    #[test]
    fn a_script_says_why_a_file_could_not_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let refused = |path: &str| code_of(&format!("{PROLOGUE}{REFUSED_FUNCTION}refused \"$1\""), path);
        assert_eq!(refused(&file.display().to_string()), Some(DENIED), "there is room: something else refused");
        assert_eq!(refused(&file.join("no/folder").display().to_string()), Some(MISSING));
        assert_eq!(refused("/proc/file"), Some(DENIED));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left there");
    }

    #[test]
    fn a_file_that_the_login_may_not_make_larger_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let writes = |blocks: u32, bytes: u32, path: &str| {
            let script = format!(
                "{PROLOGUE}{REFUSED_FUNCTION}ulimit -f {blocks};head -c {bytes} /dev/zero 2>/dev/null >\"$1\"||refused \
                 \"$1\""
            );
            code_of(&script, path)
        };
        assert_eq!(writes(4, 9999, &at("large")), Some(TOO_LARGE));
        assert_eq!(writes(20_000, 11_000_000, &at("larger")), Some(TOO_LARGE));
        assert_eq!(writes(20_000, 9999, &at("small")), Some(0));
        assert_eq!(writes(20_000, 9999, "/proc/file"), Some(DENIED), "it is not the limit that stops this one");
        assert_eq!(kind_of_exit(Exit::Code(TOO_LARGE), ErrorKind::Protocol), ErrorKind::File);
    }

    #[test]
    fn only_what_can_be_looked_for_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let absent = |path: String| code_of(&format!("{PROLOGUE}{ABSENT_FUNCTION}absent \"$1\" 2>/dev/null"), &path);
        assert_eq!(absent(folder.path().join("no/such/file").display().to_string()), Some(0));
        assert_eq!(absent("no-such-file-anywhere".to_owned()), Some(0));
        assert_eq!(absent(format!("{}/below", file.display())), Some(DENIED), "a file is no folder");
    }

    #[test]
    fn a_code_decides_and_no_word() {
        assert_eq!(kind_of_exit(Exit::Code(FULL), ErrorKind::Protocol), ErrorKind::DiskFull);
        assert_eq!(kind_of_exit(Exit::Code(DENIED), ErrorKind::Protocol), ErrorKind::File);
        for exit in [Exit::Code(1), Exit::Signal(9)] {
            assert_eq!(kind_of_exit(exit, ErrorKind::Protocol), ErrorKind::Protocol);
        }
    }
}
