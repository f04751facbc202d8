//! Limits and times of a sweep file that contradict each other.

use crate::config::document::place;
use crate::domain::{Cooldown, Scenario, Sweep};

use super::Reader;

impl Reader<'_> {
    /// Refuses limits that contradict each other.
    pub(super) fn bounds(&mut self, sweep: &Sweep) {
        let limits = &sweep.limits;
        let runs = (f64::from(limits.min_runs), f64::from(limits.max_runs));
        self.ordered("warmup", ("min_seconds", limits.warmup_min_seconds), ("max_seconds", limits.warmup_max_seconds));
        self.ordered("measure", ("min_seconds", limits.min_seconds), ("max_seconds", limits.max_seconds));
        self.ordered("measure", ("min_runs", runs.0), ("max_runs", runs.1));
        if let Some(Cooldown { min_seconds, max_seconds, .. }) = sweep.cooldown
            && min_seconds > max_seconds
        {
            let message = format!("`min_seconds` is {min_seconds}, more than `max_seconds`, which is {max_seconds}");
            self.document.refuse(place!["cooldown", "min_seconds"], message, None);
        }
        let mut scenarios = sweep.include.iter().flat_map(|pattern| &pattern.scenarios).chain(&sweep.scenarios);
        let sustained = scenarios.any(|scenario| *scenario == Scenario::Sustained).then_some(sweep.sustained_seconds);
        let least = (limits.warmup_min_seconds + limits.min_seconds).max(sustained.unwrap_or_default());
        if least >= sweep.timeouts.run_seconds && self.document.is_clean() {
            let message = format!(
                "a run may take {} seconds, but warm-up and timed loop alone need {least}",
                sweep.timeouts.run_seconds
            );
            let lower = if sustained == Some(least) { "limits.sustained.seconds" } else { "min_seconds` in `limits" };
            let hint = format!("raise `timeouts.run_seconds`, or lower `{lower}`");
            self.document.refuse(place!["timeouts", "run_seconds"], message, Some(hint));
        }
        self.longest_loop(sweep);
    }

    /// Refuses a timed loop that may last longer than its run: what it had measured would be lost. Only a loop that is
    /// to reach an interval goes on past its minima.
    fn longest_loop(&mut self, sweep: &Sweep) {
        let (limits, run_seconds) = (&sweep.limits, sweep.timeouts.run_seconds);
        let warmup_seconds =
            if limits.steady_percent.is_some() { limits.warmup_max_seconds } else { limits.warmup_min_seconds };
        let most = warmup_seconds + limits.max_seconds;
        if limits.interval_percent.is_some() && most >= run_seconds && self.document.is_clean() {
            let message = format!(
                "a run may take {run_seconds} seconds, but warm-up and timed loop may last {most}: what was measured \
                 by then would be lost"
            );
            let hint = format!(
                "raise `timeouts.run_seconds`, or lower `limits.measure.max_seconds`, which is {}",
                limits.max_seconds
            );
            self.document.refuse(place!["timeouts", "run_seconds"], message, Some(hint));
        }
    }

    fn ordered(&mut self, group: &str, (min_name, min): (&str, f64), (max_name, max): (&str, f64)) {
        if min <= max {
            return;
        }
        let (min_place, max_place) = (place!["limits", group, min_name], place!["limits", group, max_name]);
        let said = |place| self.document.span(place) != self.document.span(place!["limits", group]);
        let (place, word) = match (said(min_place), said(max_place)) {
            (true, false) => (min_place, max_name),
            _ => (max_place, min_name),
        };
        let word_of_default = if self.has_preset { " (by the preset)" } else { " (the default)" };
        let default = if said(min_place) && said(max_place) { "" } else { word_of_default };
        let message = if word == max_name {
            format!("`{min_name}` is {min}, more than `{max_name}`, which is {max}{default}")
        } else {
            format!("`{max_name}` is {max}, less than `{min_name}`, which is {min}{default}")
        };
        self.document.refuse(place, message, None);
    }
}
