use std::time::Duration;

use crate::domain::{Device, Failure, Setting};
use crate::transport::{Command, Exit, Transport, run_collect};

use super::measuring_state::{MeasuringState, STATE_SCRIPT, SU_REFUSED, is_dark};
use super::{SHORT_OUTPUT_BYTES, lines, run_checked, transport_failure};

/// Name of the kernel's lock that keeps a phone from suspending.
const WAKE_LOCK: &str = "farmctl";

/// Asks a phone for its settings: one round trip.
///
/// # Errors
/// When the phone can't be asked.
pub async fn measuring_state(
    device: &Device,
    transport: &dyn Transport,
    deadline: Duration,
) -> Result<MeasuringState, Failure> {
    let output = run_checked(transport, shell_argv(device, STATE_SCRIPT), deadline)
        .await
        .map_err(|error| transport_failure(&device.name, "ask for the settings", &error))?;
    Ok(MeasuringState::parse(&String::from_utf8_lossy(&output)))
}

/// Sets a phone up for measuring: one round trip. Returns, for each setting, why it could not be changed, if so.
///
/// # Errors
/// When the phone can't be told; what was changed then is not known.
pub async fn change_settings(
    device: &Device,
    transport: &dyn Transport,
    settings: &[Setting],
    deadline: Duration,
) -> Result<Vec<Result<(), String>>, Failure> {
    let commands: Vec<String> = settings.iter().map(|setting| change_command(*setting)).collect();
    run_each(device, transport, "change the settings", &commands, deadline).await
}

/// Sets settings back, each to what it was, in the order given: one round trip. Returns, for each, why it could not be
/// undone, if so. Undoing twice does no harm.
///
/// # Errors
/// When the phone can't be told; what was undone then is not known.
pub async fn undo_settings(
    device: &Device,
    transport: &dyn Transport,
    changes: &[(Setting, String)],
    deadline: Duration,
) -> Result<Vec<Result<(), String>>, Failure> {
    let commands: Vec<String> = changes.iter().map(|(setting, previous)| undo_command(*setting, previous)).collect();
    run_each(device, transport, "set the settings back", &commands, deadline).await
}

/// Runs a script as root by `su`, or, when that refuses, as whoever we are, with a line before all else that says why.
/// Where the daemon itself is root (`adb root`), `su` is not asked. `su -c` goes first, once, since it may ask a person
/// each time: whether the script ran is told by a line of its own. Only one that neither is missing (126, 127) nor was
/// refused by a person or a policy (13) may be of another kind, and none of those asks anybody:
///
/// - Android's own takes a user and a command where others take options. Some take the number of a user, some the name;
///   some run the command's words as they are, some have a shell read them again. So the command is one word, `sh`, and
///   the script is its input, of which no command in it reads.
/// - Some want the user before their options.
const BY_SU_SCRIPT: &str = r#"
case $(id -u 2> /dev/null) in 0 | uid=0*) exec sh -c "$1" ;; esac
script="echo farmctl-by-su
$1"
end='
'
end_if_it_ran() {
  case $end$said$end in *"${end}farmctl-by-su$end"*) printf '%s\n' "$said"; exit $code ;; esac
}
said=$(su -c "$script" 2>&1 < /dev/null)
code=$?
end_if_it_ran
refusal=$said
case $code in 13|126|127) ;; *)
  for user in 0 root; do
    said=$(printf '{\n%s\n} < /dev/null\n' "$script" | su $user sh 2>&1)
    code=$?
    end_if_it_ran
  done
  said=$(su root -c "$script" 2>&1 < /dev/null)
  code=$?
  end_if_it_ran
esac
printf '%s %s\n' "$2" "$(printf '%s' "$refusal" | head -n 1)"
exec sh -c "$1"
"#;

/// What runs a script on the phone, as root where the farm file says so.
fn shell_argv(device: &Device, script: &str) -> Vec<String> {
    let words: &[&str] =
        if device.android.su { &["sh", "-c", BY_SU_SCRIPT, "sh", script, SU_REFUSED] } else { &["sh", "-c", script] };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A shell command that changes a setting, and fails when it did not change.
fn change_command(setting: Setting) -> String {
    match setting {
        Setting::StayAwake => {
            "svc power stayon true && [ \"$(settings get global stay_on_while_plugged_in)\" != 0 ]".to_owned()
        }
        Setting::WakeLock => format!("echo {WAKE_LOCK} > /sys/power/wake_lock"),
        // KEYCODE_SLEEP; the power key would turn a dark screen on.
        Setting::Screen => "input keyevent 223".to_owned(),
        Setting::AirplaneMode => airplane_mode(true),
    }
}

/// A shell command that sets a setting back. `previous` comes from a device or a file: only what is understood of it
/// gets into the command.
fn undo_command(setting: Setting, previous: &str) -> String {
    match setting {
        Setting::StayAwake => match previous.parse::<u32>() {
            Ok(bits) => format!("settings put global stay_on_while_plugged_in {bits}"),
            Err(_) => "settings delete global stay_on_while_plugged_in".to_owned(),
        },
        // A lock that is not held can't be freed: after a reboot there is nothing to undo.
        Setting::WakeLock => {
            format!("echo {WAKE_LOCK} > /sys/power/wake_unlock || ! grep -qw {WAKE_LOCK} /sys/power/wake_lock")
        }
        // KEYCODE_SLEEP or KEYCODE_WAKEUP.
        Setting::Screen => format!("input keyevent {}", if is_dark(previous) { 223 } else { 224 }),
        Setting::AirplaneMode => airplane_mode(previous == "1"),
    }
}

/// Only since Android 11 a command does it; before, the setting is written and told to everyone.
fn airplane_mode(on: bool) -> String {
    let (word, number) = if on { ("enable", 1) } else { ("disable", 0) };
    format!(
        "cmd connectivity airplane-mode {word} || {{ settings put global airplane_mode_on {number} && \
         am broadcast -a android.intent.action.AIRPLANE_MODE --ez state {on}; }}; \
         [ \"$(settings get global airplane_mode_on)\" = {number} ]"
    )
}

/// Runs commands one after the other, each whatever became of those before it.
async fn run_each(
    device: &Device,
    transport: &dyn Transport,
    action: &str,
    commands: &[String],
    deadline: Duration,
) -> Result<Vec<Result<(), String>>, Failure> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let command = Command { argv: shell_argv(device, &script(commands)), deadline };
    let finished = run_collect(transport, &command, b"", SHORT_OUTPUT_BYTES)
        .await
        .map_err(|error| transport_failure(&device.name, action, &error))?;
    let mut outcomes = read_outcomes(&String::from_utf8_lossy(&finished.stdout), commands.len());
    if finished.exit != Exit::Code(0) {
        let why = format!("the shell ended with {} before it", finished.exit);
        outcomes.iter_mut().filter(|outcome| outcome.is_none()).for_each(|outcome| *outcome = Some(Err(why.clone())));
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err("the phone did not say".to_owned()))).collect())
}

/// Prints `done N`, or `refused N` with what the command said.
fn script(commands: &[String]) -> String {
    let mut script = String::new();
    for (index, command) in commands.iter().enumerate() {
        script.push_str(&format!(
            "if said=$( {{ {command}; }} 2>&1 < /dev/null ); then echo 'done {index}'\n\
             else printf 'refused {index} %s\\n' \"$(printf '%s' \"$said\" | head -n 1)\"; fi\n"
        ));
    }
    script.push_str("exit 0\n");
    script
}

fn read_outcomes(text: &str, count: usize) -> Vec<Option<Result<(), String>>> {
    let mut outcomes = vec![None; count];
    for line in text.lines() {
        let mut words = line.trim_end().splitn(3, ' ');
        let (verdict, index) = (words.next(), words.next().and_then(|index| index.parse::<usize>().ok()));
        let outcome = match verdict {
            Some("done") => Ok(()),
            Some("refused") => Err(match words.next() {
                Some(said) if !said.is_empty() => format!("the phone says {}", lines::excerpt(said.as_bytes())),
                _ => "the phone did not do it".to_owned(),
            }),
            _ => continue,
        };
        if let Some(place) = index.and_then(|index| outcomes.get_mut(index)) {
            *place = Some(outcome);
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    #[test]
    fn outcomes_are_read_whatever_a_phone_prints() {
        let text = "done 0\r\nnoise\nrefused 1 Security exception: no\ndone 99\nrefused 3\n";
        let outcomes = read_outcomes(text, 4);
        assert_eq!(outcomes[0], Some(Ok(())));
        assert!(matches!(&outcomes[1], Some(Err(why)) if why.contains("Security exception")));
        assert_eq!(outcomes[2], None);
        assert!(matches!(&outcomes[3], Some(Err(_))));
    }

    #[test]
    fn an_undo_holds_nothing_of_a_strange_previous_value() {
        for setting in Setting::ALL {
            let command = undo_command(*setting, "7; reboot");
            assert!(!command.contains("reboot"), "{command}");
        }
        assert!(undo_command(Setting::StayAwake, "3").ends_with("put global stay_on_while_plugged_in 3"));
        assert!(undo_command(Setting::StayAwake, "null").contains("delete"));
        assert!(undo_command(Setting::Screen, "Awake").ends_with("224"));
        assert!(undo_command(Setting::Screen, "Asleep").ends_with("223"));
    }

    /// A phone's shell, whose `su` is this script, and whose `id` says who its daemon is.
    fn by_su(su: &str, uid: u32, script: &str) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path =
            std::env::join_paths([folder.path().into(), "/bin".into(), PathBuf::from("/usr/bin")]).expect("a path");
        for (name, text) in [("su", format!("#!/bin/sh\n{su}")), ("id", format!("#!/bin/sh\necho {uid}\n"))] {
            let program = folder.path().join(name);
            std::fs::write(&program, text).expect("it is written");
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        }
        let argv = ["-c", BY_SU_SCRIPT, "sh", script, SU_REFUSED];
        let output = Command::new("sh").args(argv).env("PATH", &path).output().expect("sh runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Words with all that a shell would read in them, a command that reads its input, and an exit code.
    const TRIAL: &str = "echo \"${BY-me}\"; cat; echo 'it'\\''s $HOME \"a\" `b`  \\ *'; exit 3";
    const TOLD: &str = "it's $HOME \"a\" `b`  \\ *\n";

    #[test]
    fn a_script_runs_by_each_kind_of_su() {
        let own = "[ $# -gt 1 ] || exit 1\n\
                   case $1 in 0|root) ;; *) echo \"su: invalid uid/gid '$1'\" >&2; exit 1 ;; esac\n\
                   export BY=root; shift\n";
        let by_name =
            "[ \"$1\" = root ] || { echo \"su: user $1 does not exist\" >&2; exit 1; }; export BY=root; shift\n";
        for (kind, su) in [
            ("Magisk's", "[ \"$1\" = -c ] || exit 1; shift; BY=root exec sh -c \"$*\"".to_owned()),
            ("toybox's", "[ \"$1\" = -c ] && [ $# = 2 ] || exit 1; BY=root exec sh -c \"$2\"".to_owned()),
            ("Android's own", format!("{own}exec \"$@\"")),
            ("one that has a shell read the words again", format!("{own}exec sh -c \"$*\"")),
            ("one that only knows names", format!("{by_name}exec \"$@\"")),
            ("one with the user first", format!("{by_name}[ \"$1\" = -c ] || exit 1; exec sh -c \"$2\"")),
            // What it says of its words is no sign that they were carried out.
            ("one that tells its words", format!("echo \"su: $*: no such user\"\n{by_name}exec \"$@\"")),
        ] {
            let (code, text) = by_su(&su, 2000, TRIAL);
            assert!(text.ends_with(&format!("farmctl-by-su\nroot\n{TOLD}")), "{kind}: {text}");
            assert!(code == Some(3) && !text.contains(SU_REFUSED), "{kind}: {code:?} {text}");
        }
    }

    #[test]
    fn a_script_runs_once_without_su() {
        let asks = "printf 'Password: '; read -r word; echo 'su: incorrect password' >&2; exit 1";
        for (su, said) in [
            ("echo Permission denied >&2; exit 13", "Permission denied"),
            ("echo 'su: uid 2000 not allowed to su' >&2; exit 1", "su: uid 2000 not allowed to su"),
            (asks, "Password: su: incorrect password"),
        ] {
            assert_eq!(by_su(su, 2000, TRIAL), (Some(3), format!("{SU_REFUSED} {said}\nme\n{TOLD}")));
        }
        // `adb root`: nobody is asked.
        let (code, text) = by_su("echo asked; exit 1", 0, TRIAL);
        assert_eq!((code, text), (Some(3), format!("me\n{TOLD}")));
    }

    #[test]
    fn every_command_of_a_script_runs() {
        let script = script(&["false".to_owned(), "echo no way >&2; exit 7".to_owned(), "true".to_owned()]);
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, "refused 0 \nrefused 1 no way\ndone 2\n");
    }
}
