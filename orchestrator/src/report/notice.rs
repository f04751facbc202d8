use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::{
    CheckVerdict, Event, EventKind, Failure, Finding, Notice, Record, Regression, RunStatus, SweepCompared, SweepId,
    SweepRow, Unfit,
};

use crate::wording::{clock_off_text, duration_text, many, single_line};

/// Counts what is told at the end of a sweep, of records that it is shown one after the other: those that count.
#[derive(Debug, Default)]
pub struct SweepNotice {
    statuses: [usize; RunStatus::ALL.len()],
    kinds: BTreeMap<&'static str, FailedKind>,
}

/// What failed in one way.
#[derive(Debug, Default)]
struct FailedKind {
    count: usize,
    devices: BTreeSet<String>,
}

impl SweepNotice {
    /// Takes in a record.
    pub fn take(&mut self, record: &Record) {
        let status = RunStatus::ALL.iter().position(|status| *status == record.status);
        status.and_then(|place| self.statuses.get_mut(place)).into_iter().for_each(|count| *count += 1);
        if record.status == RunStatus::Failed {
            let kind = record.failure.as_ref().map_or("unknown", |failure| failure.kind.as_str());
            let failed = self.kinds.entry(kind).or_default();
            failed.count += 1;
            if !failed.devices.contains(&record.job.device) {
                failed.devices.insert(record.job.device.clone());
            }
        }
    }

    /// The result in three lines.
    pub fn finish(self, sweep: &SweepRow, reports: &str) -> Notice {
        let counts =
            RunStatus::ALL.iter().zip(self.statuses).filter(|(status, count)| *count > 0 || **status == RunStatus::Ok);
        let counts =
            counts.map(|(status, count)| format!("{count} {}", status.as_str())).collect::<Vec<_>>().join(", ");
        let took = sweep.finished_at.and_then(|at| at.duration_since(sweep.started_at).try_into().ok());
        let took = took.map_or_else(String::new, |took| format!(", in {}", duration_text(took)));
        let failed = self.kinds.into_iter().map(|(kind, FailedKind { count, devices })| {
            format!("{count} × {kind} on {}", devices.into_iter().collect::<Vec<_>>().join(", "))
        });
        let failed = failed.collect::<Vec<_>>().join("; ");
        let word = sweep.state.as_str();
        Notice {
            event: "sweep_finished",
            about: sweep.id.to_string(),
            subject: single_line(&format!("sweep {} {word}: {counts}", sweep.name)),
            lines: [
                single_line(&format!("Sweep {} ({}) {word}: {counts}{took}.", sweep.name, sweep.id)),
                single_line(&if failed.is_empty() {
                    "Nothing failed.".to_owned()
                } else {
                    format!("Failed: {failed}.")
                }),
                single_line(&format!("Reports: {reports}; `farmctl sweeps show {}` says more.", sweep.id)),
            ],
        }
    }
}

/// What is told of an event; none of most kinds of them.
pub fn event_notice(event: &Event) -> Option<Notice> {
    match (&event.kind, &event.device) {
        (EventKind::DeviceQuarantined { failure, failures, .. }, Some(device)) => {
            Some(quarantine_notice(device, failure, *failures))
        }
        (EventKind::ScheduleChecked { schedule, checked, unfit, devices }, _) => {
            Some(checks_notice(schedule, *checked, *unfit, devices))
        }
        (EventKind::SweepCompared(compared), _) => Some(regressions_notice(event.sweep_id.as_ref(), compared)),
        (EventKind::ClockJumped { off_seconds, says }, _) => Some(clock_notice(*off_seconds, *says)),
        (EventKind::ClockBelieved { by }, _) => Some(clock_is_well(by)),
        _ => None,
    }
}

/// What is told when the clock jumped.
fn clock_notice(off_seconds: i64, says: Timestamp) -> Notice {
    let off = clock_off_text(off_seconds);
    Notice {
        event: "clock_jumped",
        about: "clock".to_owned(),
        subject: format!("the clock of the lab's host jumped {off}"),
        lines: [
            format!("The clock of the lab's host jumped {off}: it says {says:.0}."),
            "Nothing that is due is begun and nothing is taken out until it has gone on evenly for an hour.".to_owned(),
            "What helps: set it right, or, when it is right, say `farmctl clock accept`.".to_owned(),
        ],
    }
}

/// What is told when it is believed again.
fn clock_is_well(by: &str) -> Notice {
    Notice {
        event: "clock_believed",
        about: "clock".to_owned(),
        subject: "the clock of the lab's host is believed again".to_owned(),
        lines: [
            single_line(&format!("The clock of the lab's host is believed again: {by}.")),
            "What was due meanwhile is begun as its schedule says of missed times.".to_owned(),
            "`farmctl schedules history` shows what became of it.".to_owned(),
        ],
    }
}

/// What is told when a device is quarantined.
fn quarantine_notice(device: &str, failure: &Failure, failures: u32) -> Notice {
    let failures = many(u64::from(failures), "failure");
    Notice {
        event: "device_quarantined",
        about: device.to_owned(),
        subject: single_line(&format!("device {device} is quarantined: {}", failure.kind)),
        lines: [
            single_line(&format!("Device {device} is quarantined after {failures} in a row: {failure}.")),
            single_line(&format!("What helps: {}.", failure.remedy(device, None))),
            format!("`farmctl why {device}` says more; `farmctl devices release {device}` once it is well."),
        ],
    }
}

/// What is told when devices are found unfit before the sweep of a schedule: those, of so many that were checked. Of
/// many, `devices` are the first.
fn checks_notice(schedule: &str, checked: u64, unfit: u64, devices: &[Unfit]) -> Notice {
    /// More make a message that nobody reads.
    const TOLD: usize = 20;
    let told = || devices.iter().take(TOLD);
    let more = unfit.saturating_sub(told().count() as u64);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let of_each = |text: &dyn Fn(&Finding) -> String| {
        let device = |unfit: &Unfit| {
            let texts = unfit.findings.iter().map(text).collect::<Vec<_>>().join(", ");
            format!("{}: {texts}", unfit.device)
        };
        told().map(device).collect::<Vec<_>>().join("; ")
    };
    let failed = devices.iter().filter(|unfit| unfit.verdict == CheckVerdict::Failed).count();
    let word = if failed == devices.len() { "do not answer as they should" } else { "are not as they should be" };
    let names = told().map(|unfit| unfit.device.as_str()).collect::<Vec<_>>();
    Notice {
        event: "devices_checked",
        about: schedule.to_owned(),
        subject: single_line(&format!("schedule {schedule}: {unfit} of {checked} devices {word}")),
        lines: [
            single_line(&format!(
                "Before the sweep of schedule {schedule}, {unfit} of {checked} devices {word}: {}{more}.",
                of_each(&|finding| finding.what.clone())
            )),
            single_line(&format!("What helps: {}.", of_each(&|finding| finding.remedy.clone()))),
            single_line(&format!(
                "The sweep begins all the same; `farmctl devices check {}` checks again.",
                names.join(" ")
            )),
        ],
    }
}

/// What is told when cells of a schedule got slower, or do so no more: by how much, how sure, since when, and where.
fn regressions_notice(sweep: Option<&SweepId>, compared: &SweepCompared) -> Notice {
    let SweepCompared { schedule, against, found, gone, slower, ended, .. } = compared;
    let sweep = sweep.map(SweepId::as_str).unwrap_or_default();
    let devices = |list: &[Regression]| {
        let names: BTreeSet<&str> = list.iter().map(|it| it.device.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let more = |list: &[Regression], count: u64| match count.saturating_sub(list.len() as u64) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let of_found = slower.iter().map(|it| format!("{} {} since {} [{}]", it.cell, it.size(), it.since, it.id));
    let of_gone = ended.iter().map(|it| {
        let why = it.end.as_ref().map_or_else(String::new, |end| format!(": {}", end.why));
        format!("{} {:+.1} % [{}]{why}", it.cell, it.percent, it.id)
    });
    let parts = [
        (*found > 0).then(|| format!("{} slower on {}", many(*found, "cell"), devices(slower))),
        (*gone > 0).then(|| format!("{} slower no more on {}", many(*gone, "cell"), devices(ended))),
    ];
    let subject = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let said = |none: &str, words: String| if words.is_empty() { none.to_owned() } else { words };
    let found = of_found.collect::<Vec<_>>().join("; ") + &more(slower, *found);
    let gone = of_gone.collect::<Vec<_>>().join("; ") + &more(ended, *gone);
    Notice {
        event: "regressions",
        about: schedule.clone(),
        subject: single_line(&format!("schedule {schedule}: {subject}")),
        lines: [
            single_line(&format!(
                "Slower in sweep {sweep} of schedule {schedule} than its {against}: {}.",
                said("nothing new", found)
            )),
            single_line(&format!("Slower no more: {}.", said("nothing", gone))),
            "`farmctl history alarms` lists what is slower; `farmctl history ack NAME` makes it the new level."
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::{FailureKind, RegressionEnd, RegressionState, SweepState, sample};

    fn unfit(device: &str, verdict: CheckVerdict) -> Unfit {
        let finding = Finding { what: format!("{device} is\nhot"), remedy: "cool it".into() };
        Unfit { device: device.into(), verdict, findings: vec![finding] }
    }

    #[test]
    fn a_sweep_is_told_in_three_lines() {
        let mut records: Vec<Record> = ["a", "b", "b"].iter().map(|device| sample::record(device, "tiny")).collect();
        for record in &mut records[1..] {
            record.status = RunStatus::Failed;
            record.failure = Some(Failure::new(FailureKind::Timeout, "too slow"));
        }
        let started_at = sample::at(0);
        let (state, finished_at) = (SweepState::Finished, Some(sample::at(3_600)));
        let sweep = SweepRow { name: "night\nly".into(), started_at, finished_at, state, ..sample::sweep() };
        let told = |records: &[Record], reports: &str| {
            let mut notice = SweepNotice::default();
            records.iter().for_each(|record| notice.take(record));
            notice.finish(&sweep, reports)
        };
        let notice = told(&records, "reports/x");
        assert_eq!(notice.text().lines().count(), 3, "a line break in a name makes no fourth line");
        assert!(notice.subject.ends_with("finished: 1 ok, 2 failed"), "{}", notice.subject);
        assert!(notice.lines[0].contains("1 ok, 2 failed, in "), "{}", notice.lines[0]);
        assert_eq!(notice.lines[1], "Failed: 2 × timeout on b.");
        assert_eq!(told(&records[..1], "r").lines[1], "Nothing failed.");
    }

    #[test]
    fn unfit_devices_are_told_in_three_lines_with_what_helps() {
        let devices = [unfit("a", CheckVerdict::Warning), unfit("b", CheckVerdict::Failed)];
        let notice = checks_notice("nightly", 9, 2, &devices);
        assert_eq!(notice.subject, "schedule nightly: 2 of 9 devices are not as they should be");
        let text = notice.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(notice.lines[0].ends_with("a: a is hot; b: b is hot."), "{text}");
        assert!(
            notice.lines[1] == "What helps: a: cool it; b: cool it." && text.contains("devices check a b`"),
            "{text}"
        );
        let many = vec![unfit("c", CheckVerdict::Failed); 50];
        let notice = checks_notice("nightly", 90, 70, &many);
        assert!(
            notice.subject.contains("70 of 90 devices do not answer") && notice.lines[0].ends_with("; and 50 more.")
        );
    }

    #[test]
    fn what_got_slower_is_told_with_how_much_how_sure_since_when_and_where() {
        let slower: Vec<Regression> = ["pi", "pixel"].iter().map(|device| sample::regression(device)).collect();
        let end = RegressionEnd { at: sample::at(9), by: None, why: "it takes 1.000 ms now".into() };
        let ended = vec![sample::regression("tablet").ended(RegressionState::Gone, end)];
        let compared = SweepCompared {
            schedule: "nightly".into(),
            against: "history".into(),
            cells: 99,
            is_told: true,
            found: 5,
            gone: 1,
            slower,
            ended,
        };
        let notice = regressions_notice(Some(&SweepId("s".into())), &compared);
        assert_eq!(notice.subject, "schedule nightly: 5 cells slower on pi, pixel; 1 cell slower no more on tablet");
        let text = notice.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        let size = "pixel: m tract +10.0 % (+9.0 to +11.0 %, p < 0.0001) since night-12 [r123456789]";
        assert!(notice.lines[0].contains(size) && notice.lines[0].ends_with("; and 3 more."), "{text}");
        assert!(notice.lines[1].contains("tablet: m tract +10.0 % [r123456789]: it takes 1.000 ms now."), "{text}");
        let none = SweepCompared { found: 0, slower: vec![], ..compared };
        let notice = regressions_notice(None, &none);
        assert!(notice.lines[0].ends_with("history: nothing new."), "{}", notice.text());
    }

    #[test]
    fn a_quarantine_is_told_with_what_helps() {
        let notice = quarantine_notice("pi", &Failure::new(FailureKind::Unreachable, "no answer"), 3);
        assert!(notice.lines[0].contains("3 failures in a row: unreachable: no answer"), "{}", notice.lines[0]);
        let once = quarantine_notice("a", &Failure::new(FailureKind::Unreachable, "no answer"), 1);
        assert!(once.lines[0].contains("after 1 failure in a row:"), "{}", once.lines[0]);
        assert!(notice.lines[1].contains("check power") && notice.lines[2].contains("devices release pi"));
    }
}
