//! The one place where an argument vector becomes text for a shell.
//!
//! Main function: [`command_line`]. Its text means the same to every login shell that has quotes like the Bourne
//! shell's (sh, bash, dash, ash, zsh, fish, csh, tcsh): that shell only starts `sh`, which starts the program.
//! Nothing in here runs anything.

use std::fmt::Write;

use super::{ErrorKind, TransportError};

/// What the line of [`command_line`] prints to standard error, before it exits with 127, when there is no such program.
pub const NOT_FOUND_MARKER: &str = "farmctl: no such program";

/// Stands before the process id, in a line of standard error of its own, before the program is started: a server may
/// refuse to pass signals on, so a command that is given up is killed by its number.
pub const PID_MARKER: &str = "farmctl-pid:";

/// Stands in front of what a command of [`command_line`] prints to its standard output: a login shell may print before,
/// and so does our own line where that shell has put standard error there.
pub const OUTPUT_MARKER: &str = "farmctl-output:\n";

/// What a command of [`command_line`] gets in front of its input. A login shell may read lines before it starts the
/// command: it gets the empty ones.
pub const INPUT_PREFIX: &str = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\
                                \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\
                                \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\
                                \n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nfarmctl-input:\n";

/// What the line of [`command_line`] prints to standard error, before it exits with 127, when its input was read by
/// somebody else.
pub const NO_INPUT_MARKER: &str = "farmctl: no input";

/// Finds the beginning of a command's input behind [`INPUT_PREFIX`]; a shell's `read` takes no byte behind its line.
const SKIP_PREFIX: &str = "i=0;while read -r l;do case $l in farmctl-input:)i=1;break;;esac;done;\
                           [ $i = 1 ]||{ echo 'farmctl: no input' >&2;exit 127;};";

/// Begins the last line of standard error of [`posix_script_telling_signals`] when a signal ended the program.
pub const SIGNAL_MARKER: &str = "farmctl-signal:";

/// The line that runs this program with these arguments, whatever characters they have. Its input has to begin with
/// [`INPUT_PREFIX`], and its output begins behind [`OUTPUT_MARKER`].
///
/// # Errors
/// When there is no program, or an argument has a NUL, which no argument can hold.
pub fn command_line(argv: &[String]) -> Result<String, TransportError> {
    let (prologue, words) = prepared(argv)?;
    let marker = OUTPUT_MARKER.trim_end();
    let script = format!("{SKIP_PREFIX}{prologue}echo {marker};exec {words}");
    Ok(format!("exec sh -c {}", login_shell_word(&script)))
}

/// The same as a script for a POSIX shell, which becomes the program.
///
/// # Errors
/// As [`command_line`].
pub fn posix_script(argv: &[String]) -> Result<String, TransportError> {
    let (mut script, words) = prepared(argv)?;
    let _ = write!(script, "exec {words}");
    Ok(script)
}

/// The same where only the exit code of the shell comes back: this shell waits for the program, and when a signal ended
/// that, says so in a last line of standard error, [`SIGNAL_MARKER`] and the number. Its own code is then 128 + number,
/// as a program's may be: only a shell's message about its child tells them apart. mksh, busybox and dash have one for
/// all signals but INT and PIPE; bash has none when it runs a script.
///
/// # Errors
/// As [`command_line`].
pub fn posix_script_telling_signals(argv: &[String]) -> Result<String, TransportError> {
    let (mut script, words) = prepared(argv)?;
    let _ = write!(
        script,
        "exec 3>&1 4>&2;r=$({{ (exec {words} >&3 2>&4 3>&- 4>&-);echo $?;}} 2>&1);c=${{r##*[!0-9]}};\
         case $r in *[!0-9]*)[ \"$c\" -le 128 ]||echo \"{SIGNAL_MARKER}$((c-128))\" >&2;;esac;exit ${{c:-137}}"
    );
    Ok(script)
}

/// What a script begins with, and the program with its arguments as words.
fn prepared(argv: &[String]) -> Result<(String, String), TransportError> {
    let Some(program) = argv.first() else {
        return Err(TransportError::new(ErrorKind::Protocol, "a command without a program"));
    };
    if let Some(argument) = argv.iter().find(|argument| argument.contains('\0')) {
        return Err(TransportError::new(
            ErrorKind::Protocol,
            format!("command {program:?} has an argument with a NUL character: {argument:?}"),
        ));
    }
    // Whoever reads messages of the system's, or a person who gets them, knows one language.
    let mut script = format!("LC_ALL=C;export LC_ALL;echo {PID_MARKER}$$ >&2;");
    if argv.iter().any(|argument| argument.contains('\n')) {
        // csh allows no bare newline within quotes, so none is sent: the inner shell makes its own.
        script.push_str("n=$(printf '\\nx');n=${n%x};");
    }
    let word = posix_word(program);
    // `exec` of a missing program exits with 127, as a program itself may: the marker tells them apart. Some shells'
    // `command -v` finds no file that may not be run, others do: `exec` tells that, with 126.
    let there =
        if program.contains('/') { format!("[ -e {word} ]") } else { format!("command -v {word} >/dev/null 2>&1") };
    let _ = write!(script, "{there}||{{ echo '{NOT_FOUND_MARKER}' >&2;exit 127;}};");
    let words: Vec<String> = argv.iter().map(|argument| posix_word(argument)).collect();
    Ok((script, words.join(" ")))
}

/// A word for a POSIX shell, without a newline in the text; `$n` must hold one.
fn posix_word(text: &str) -> String {
    let mut word = String::from("'");
    for character in text.chars() {
        match character {
            '\'' => word.push_str("'\\''"),
            '\n' => word.push_str("'\"$n\"'"),
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

/// A word for any login shell: within single quotes stands only what none of them treats specially there. fish reads
/// `\`, csh reads `!` even in single quotes.
fn login_shell_word(text: &str) -> String {
    let mut word = String::from("'");
    for character in text.chars() {
        match character {
            '\'' => word.push_str("'\"'\"'"),
            '\\' => word.push_str("'\\\\'"),
            '!' => word.push_str("'\\!'"),
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::process::Stdio;

    use proptest::prelude::*;

    use super::*;

    /// Shells whose `-c` gets the line, as sshd does it; the first is the one that every host has.
    const LOGIN_SHELLS: [&[&str]; 5] =
        [&["sh", "-c"], &["bash", "-c"], &["busybox", "sh", "-c"], &["fish", "-c"], &["tcsh", "-c"]];

    fn arguments_seen_through(shell: &[&str], arguments: &[String]) -> Vec<String> {
        let mut argv = vec!["printf".to_owned(), "%s\\0".to_owned()];
        argv.extend_from_slice(arguments);
        let mut child = std::process::Command::new(shell[0])
            .args(&shell[1..])
            .arg(command_line(&argv).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error} (Debian packages fish, tcsh, busybox)", shell[0]));
        child.stdin.take().unwrap().write_all(INPUT_PREFIX.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_prefix(OUTPUT_MARKER).unwrap().split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn every_login_shell_passes_every_argument_on() {
        let all: Vec<String> = [
            "",
            " ",
            "a b",
            "'",
            "''",
            "\"",
            "\\",
            "\\'",
            "\\\\",
            "a\nb",
            "\n",
            "\n\n",
            "$(id)",
            "`id`",
            "$HOME",
            "*",
            "~",
            "!",
            "!!",
            "a!b",
            "-n",
            "--",
            "é ü 漢字 🦀",
            "\t",
            "\r",
            "%s",
            "#",
            "a;b|c&d",
            "{a,b}",
            "[a-z]",
            "^x",
            "=ls",
            "\u{1}\u{7f}",
        ]
        .map(str::to_owned)
        .to_vec();
        for shell in LOGIN_SHELLS {
            assert_eq!(arguments_seen_through(shell, &all), all, "through {shell:?}");
        }
    }

    #[test]
    fn what_our_own_line_says_stands_before_the_output_wherever_it_goes() {
        let line = command_line(&["echo".to_owned(), "well".to_owned()]).unwrap();
        let mut shell = std::process::Command::new("bash");
        let mut child = shell
            .args(["-c", &format!("exec 2>&1;read a;read -n 1 b;{line}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(INPUT_PREFIX.as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let (before, after) = output.split_once(OUTPUT_MARKER).unwrap();
        assert!(before.starts_with(PID_MARKER) && after == "well\n", "{output}");
    }

    #[test]
    fn a_nul_is_refused() {
        let error = command_line(&["echo".to_owned(), "a\0b".to_owned()]).unwrap_err();
        assert!(error.message.contains("NUL"), "{error}");
        assert!(command_line(&[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_arguments_arrive_as_they_are(arguments in proptest::collection::vec("[^\0]{0,20}", 1..6)) {
            prop_assert_eq!(arguments_seen_through(LOGIN_SHELLS[0], &arguments), arguments.clone());
        }

        #[test]
        fn shell_characters_arrive_as_they_are(
            arguments in proptest::collection::vec("['\"\\\\!$`\n *~a{}-]{0,12}", 1..4),
        ) {
            for shell in LOGIN_SHELLS {
                prop_assert_eq!(arguments_seen_through(shell, &arguments), arguments.clone());
            }
        }
    }
}
