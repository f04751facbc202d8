use crate::domain::{AndroidOptions, Battery, Setting};

use super::lines::excerpt;

/// Says in one round trip what the phone's settings are before they are changed.
pub(super) const STATE_SCRIPT: &str = r#"
has() { command -v "$1" > /dev/null 2>&1; }
for tool in svc settings input dumpsys; do
    has $tool && printf 'tool %s\n' $tool
done
if has settings; then
    printf 'stay_awake %s\n' "$(settings get global stay_on_while_plugged_in 2> /dev/null)"
    printf 'airplane_mode %s\n' "$(settings get global airplane_mode_on 2> /dev/null)"
fi
[ "$(id -u)" = 0 ] && [ -w /sys/power/wake_lock ] && echo 'tool wake_lock'
if has dumpsys; then
    dumpsys power 2> /dev/null | grep -m 1 mWakefulness=
    dumpsys battery 2> /dev/null
fi
exit 0
"#;

/// Bits of `stay_on_while_plugged_in`: mains, USB and wireless.
const STAY_AWAKE_ALWAYS: u32 = 7;

/// Begins a line that says why `su` did not run the script, which then ran without it.
pub(super) const SU_REFUSED: &str = "farmctl-su-refused";

/// What a phone is set to, and how it is powered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeasuringState {
    tools: Vec<String>,
    stay_awake: Option<String>,
    airplane_mode: Option<String>,
    wakefulness: Option<String>,
    battery: Option<Battery>,
    /// Why what was wanted as root is done without.
    su_refused: Option<String>,
}

/// What to do to a phone before it is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangePlan {
    /// The changes in their order, each with what the setting is now.
    pub changes: Vec<(Setting, String)>,
    /// What can't be changed, or had better not be, and why.
    pub warnings: Vec<String>,
}

impl MeasuringState {
    pub(super) fn parse(text: &str) -> MeasuringState {
        let mut state = MeasuringState::default();
        let mut battery = Battery::default();
        for line in text.lines().map(str::trim) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "tool" => state.tools.push(rest.to_owned()),
                "stay_awake" => state.stay_awake = number_or_null(rest),
                "airplane_mode" => state.airplane_mode = number_or_null(rest),
                SU_REFUSED => state.su_refused = Some(excerpt(rest.as_bytes())),
                _ => {
                    if let Some(word) = line.strip_prefix("mWakefulness=") {
                        state.wakefulness = Some(word).filter(|word| is_word(word)).map(str::to_owned);
                    } else if let Some((name, value)) = line.split_once(": ") {
                        take_battery(&mut battery, name, value.trim());
                    }
                }
            }
        }
        state.battery = Some(battery).filter(|battery| *battery != Battery::default());
        state
    }

    /// How the phone is powered, when it tells.
    pub fn battery(&self) -> Option<&Battery> {
        self.battery.as_ref()
    }

    /// What to change, given what is wanted. `over_network`: the way to the phone is one that airplane mode would cut.
    pub fn plan(&self, wanted: &AndroidOptions, over_network: bool) -> ChangePlan {
        let mut plan = ChangePlan::default();
        if let Some(why) = &self.su_refused {
            plan.warnings.push(format!("`su` gives no root, so it is set up without: it says {why}"));
        }
        let wakes = wanted.keep_awake && self.plan_awake(&mut plan);
        if wanted.screen_off {
            self.plan_screen(wakes, &mut plan);
        }
        if wanted.airplane_mode {
            self.plan_airplane_mode(over_network, &mut plan);
        }
        plan
    }

    /// Returns whether the screen goes on by it.
    fn plan_awake(&self, plan: &mut ChangePlan) -> bool {
        if self.has("wake_lock") {
            plan.changes.push((Setting::WakeLock, "free".to_owned()));
        }
        let Some(previous) = &self.stay_awake else {
            plan.warnings
                .push("the phone may fall asleep: it has no `settings` that tell whether it stays awake".into());
            return false;
        };
        let bits: u32 = previous.parse().unwrap_or(0);
        if bits & STAY_AWAKE_ALWAYS == STAY_AWAKE_ALWAYS {
            return false;
        }
        if !self.has("svc") {
            plan.warnings.push("the phone may fall asleep: it has no `svc`, which keeps it awake".into());
            return false;
        }
        plan.changes.push((Setting::StayAwake, previous.clone()));
        true
    }

    /// With its screen off a phone stays awake only while something holds it: a lock, or power at its socket.
    fn plan_screen(&self, wakes: bool, plan: &mut ChangePlan) {
        let Some(previous) = &self.wakefulness else {
            plan.warnings.push("the screen is left as it is: `dumpsys power` does not say whether it is on".into());
            return;
        };
        if is_dark(previous) && !wakes {
            return;
        }
        if !self.has("input") {
            plan.warnings.push("the screen stays on: the phone has no `input` to turn it off".into());
        } else if self.has("wake_lock") || self.is_powered() {
            plan.changes.push((Setting::Screen, previous.clone()));
        } else {
            let why = "the screen stays on: the phone runs on battery, and would sleep with its screen off";
            plan.warnings.push(why.into());
        }
    }

    fn plan_airplane_mode(&self, over_network: bool, plan: &mut ChangePlan) {
        match self.airplane_mode.as_deref() {
            Some("1") => {}
            _ if over_network => {
                let why = "airplane mode is left off: this phone is reached over the network, which it would cut";
                plan.warnings.push(why.into());
            }
            Some(previous) => plan.changes.push((Setting::AirplaneMode, previous.to_owned())),
            None => {
                plan.warnings.push("airplane mode is left as it is: the phone has no `settings` that tell it".into())
            }
        }
    }

    fn has(&self, tool: &str) -> bool {
        self.tools.iter().any(|there| there == tool)
    }

    fn is_powered(&self) -> bool {
        self.battery.as_ref().is_some_and(|battery| !battery.powered_by.is_empty())
    }
}

/// Whether the screen is off at this wakefulness. A screen that only dozes shows a clock.
pub(super) fn is_dark(wakefulness: &str) -> bool {
    matches!(wakefulness, "Asleep" | "Dozing")
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() < 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What `settings get` says of a number: it, or `null` when it is not set. Anything else is no answer.
fn number_or_null(text: &str) -> Option<String> {
    (text == "null" || text.parse::<u32>().is_ok()).then(|| text.to_owned())
}

fn take_battery(battery: &mut Battery, name: &str, value: &str) {
    let source = match name {
        "AC powered" => "ac",
        "USB powered" => "usb",
        "Wireless powered" => "wireless",
        "Dock powered" => "dock",
        "level" => return battery.level_percent = value.parse().ok(),
        // Tenths of a degree.
        "temperature" => {
            return battery.temperature_c = value.parse::<i32>().ok().map(|tenths| f64::from(tenths) / 10.0);
        }
        "health" => return battery.health = battery_health(value).map(str::to_owned),
        "status" => return battery.status = battery_status(value).map(str::to_owned),
        _ => return,
    };
    if value == "true" {
        battery.powered_by.push(source.to_owned());
    }
}

/// Android's `BatteryManager.BATTERY_STATUS_*`.
fn battery_status(value: &str) -> Option<&'static str> {
    Some(match value {
        "1" => "unknown",
        "2" => "charging",
        "3" => "discharging",
        "4" => "not charging",
        "5" => "full",
        _ => return None,
    })
}

/// Android's `BatteryManager.BATTERY_HEALTH_*`.
fn battery_health(value: &str) -> Option<&'static str> {
    Some(match value {
        "1" => "unknown",
        "2" => "good",
        "3" => "overheat",
        "4" => "dead",
        "5" => "over voltage",
        "6" => "failure",
        "7" => "cold",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PHONE: &str = "tool svc\ntool settings\ntool input\ntool dumpsys\nstay_awake 0\nairplane_mode 0\n\
        \u{20} mWakefulness=Awake\nCurrent Battery Service state:\n  AC powered: false\n  USB powered: true\n\
        \u{20} status: 2\n  health: 3\n  level: 83\n  temperature: 291\n";

    fn planned(text: &str, airplane_mode: bool, over_network: bool) -> ChangePlan {
        MeasuringState::parse(text).plan(&AndroidOptions { airplane_mode, ..AndroidOptions::default() }, over_network)
    }

    fn settings(plan: &ChangePlan) -> Vec<Setting> {
        plan.changes.iter().map(|(setting, _)| *setting).collect()
    }

    #[test]
    fn a_phone_with_power_is_kept_awake_with_its_screen_off() {
        let plan = planned(PHONE, false, false);
        let expected = [(Setting::StayAwake, "0".to_owned()), (Setting::Screen, "Awake".to_owned())];
        assert_eq!((plan.changes, plan.warnings), (expected.to_vec(), vec![]));
        let battery = MeasuringState::parse(PHONE).battery.unwrap();
        assert_eq!((battery.level_percent, battery.temperature_c), (Some(83), Some(29.1)));
        assert_eq!((battery.status.as_deref(), battery.powered_by), (Some("charging"), vec!["usb".to_owned()]));
        assert_eq!(battery.health.as_deref(), Some("overheat"));
    }

    #[test]
    fn what_is_so_already_is_left_alone() {
        let text = PHONE.replace("stay_awake 0", "stay_awake 15").replace("Awake\n", "Asleep\n");
        assert_eq!(planned(&text.replace("airplane_mode 0", "airplane_mode 1"), true, false), ChangePlan::default());
        // To be kept awake wakes a phone up.
        let plan = planned(&PHONE.replace("=Awake", "=Asleep"), false, false);
        assert_eq!(plan.changes[1], (Setting::Screen, "Asleep".to_owned()));
    }

    #[test]
    fn on_battery_the_screen_stays_on_unless_a_lock_is_held() {
        let text = PHONE.replace("USB powered: true", "USB powered: false");
        let plan = planned(&text, false, false);
        assert_eq!((settings(&plan), plan.warnings.len()), (vec![Setting::StayAwake], 1));
        let plan = planned(&format!("tool wake_lock\n{text}"), false, false);
        assert_eq!(settings(&plan), [Setting::WakeLock, Setting::StayAwake, Setting::Screen]);
    }

    #[test]
    fn airplane_mode_never_cuts_our_own_way() {
        assert!(settings(&planned(PHONE, true, false)).contains(&Setting::AirplaneMode));
        let plan = planned(PHONE, true, true);
        assert!(!settings(&plan).contains(&Setting::AirplaneMode) && plan.warnings[0].contains("network"), "{plan:?}");
    }

    #[test]
    fn missing_tools_and_strange_answers_are_warnings() {
        assert_eq!(planned("", true, false).changes, []);
        assert_eq!(planned("", true, false).warnings.len(), 3);
        let plan = planned(&PHONE.replace("stay_awake 0", "stay_awake $(reboot)"), false, false);
        assert_eq!(settings(&plan), [Setting::Screen]);
        let plan = planned(&PHONE.replace("=Awake", "=Aw;ake"), false, false);
        assert_eq!(settings(&plan), [Setting::StayAwake]);
    }
}
