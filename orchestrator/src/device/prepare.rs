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
/// `su` is called once, since it may ask a person each time: whether the script ran is told by its own first line. Only
/// one that neither is missing (126, 127) nor was refused by a person or a policy (13) may be of another kind.
/// Android's own takes a user where others take options, some want the user before their options, and neither asks
/// anybody.
const BY_SU_SCRIPT: &str = r#"
script="echo farmctl-by-su
$1"
said=$(su -c "$script" 2>&1 < /dev/null)
code=$?
case $said in *farmctl-by-su*) printf '%s\n' "$said"; exit $code ;; esac
case $code in 13|126|127) ;; *)
  other=$(su 0 sh -c "$script" 2>&1 < /dev/null)
  code=$?
  case $other in *farmctl-by-su*) printf '%s\n' "$other"; exit $code ;; esac
  other=$(su root -c "$script" 2>&1 < /dev/null)
  code=$?
  case $other in *farmctl-by-su*) printf '%s\n' "$other"; exit $code ;; esac
esac
printf '%s %s\n' "$2" "$(printf '%s' "$said" | head -n 1)"
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

    #[test]
    fn a_script_runs_once_with_su_or_without() {
        let folder = tempfile::tempdir().expect("a folder");
        let path =
            std::env::join_paths([folder.path().into(), "/bin".into(), PathBuf::from("/usr/bin")]).expect("a path");
        let run = |su: &str| {
            let program = folder.path().join("su");
            std::fs::write(&program, su).expect("it is written");
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
            let script = "echo \"${BY-me}\"; echo 'it'\\''s'; exit 3";
            let argv = ["-c", BY_SU_SCRIPT, "sh", script, SU_REFUSED];
            let output = Command::new("sh").args(argv).env("PATH", &path).output().expect("sh runs");
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (code, text) = run("#!/bin/sh\nBY=root exec sh -c \"$2\"\n");
        assert_eq!((code, text.as_str()), (Some(3), "farmctl-by-su\nroot\nit's\n"));
        let own_kind = "#!/bin/sh\n[ \"$1\" = 0 ] || { echo \"su: invalid uid/gid '$1'\" >&2; exit 1; }\n";
        let (code, text) = run(&format!("{own_kind}shift; export BY=root; exec \"$@\"\n"));
        assert_eq!((code, text.as_str()), (Some(3), "farmctl-by-su\nroot\nit's\n"), "Android's own su");
        let user_first = "#!/bin/sh\n[ \"$1 $2\" = 'root -c' ] || { echo \"Unknown id: $1\" >&2; exit 1; }\n";
        let (code, text) = run(&format!("{user_first}BY=root exec sh -c \"$3\"\n"));
        assert_eq!((code, text.as_str()), (Some(3), "farmctl-by-su\nroot\nit's\n"), "the user first");
        let (code, text) = run("#!/bin/sh\necho Permission denied >&2\nexit 13\n");
        assert_eq!((code, text), (Some(3), format!("{SU_REFUSED} Permission denied\nme\nit's\n")));
    }

    #[test]
    fn every_command_of_a_script_runs() {
        let script = script(&["false".to_owned(), "echo no way >&2; exit 7".to_owned(), "true".to_owned()]);
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, "refused 0 \nrefused 1 no way\ndone 2\n");
    }
}
