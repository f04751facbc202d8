use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::report::ReportInput;
use crate::report::spans::{DeviceSpan, Work, spans_of};
use crate::wording::{duration_text, single_line};

/// Most devices that are shown.
const MOST_SHOWN: usize = 120;
/// Steps of a lane: what is shorter than one is shown as one.
pub(super) const STEPS: usize = 1000;

/// What the devices did over the time of a sweep.
pub(super) struct Lanes {
    pub(super) lanes: Vec<Lane>,
    pub(super) more: usize,
    /// How long the sweep was.
    pub(super) took: String,
}

/// A device.
pub(super) struct Lane {
    pub(super) device: String,
    /// What it did in which part of the time.
    pub(super) title: String,
    pub(super) paths: Vec<Stretch>,
    /// Share of the time in which it did nothing, in per cent.
    pub(super) idle: String,
}

/// All times of one kind, as an SVG path.
pub(super) struct Stretch {
    pub(super) class: &'static str,
    pub(super) path: String,
}

/// The lanes of a sweep; `None` where nothing ran.
pub(super) fn lanes(input: &ReportInput<'_>) -> Option<Lanes> {
    let of_records = if input.spans.is_empty() { spans_of(input.records) } else { Vec::new() };
    let spans = if input.spans.is_empty() { &of_records } else { input.spans };
    let first = spans.iter().map(|span| span.from).min()?;
    let last = spans.iter().map(|span| span.until).max()?;
    let whole_s = last.duration_since(first).as_secs_f64();
    if whole_s <= 0.0 {
        return None;
    }
    let mut devices: BTreeMap<&str, Vec<&DeviceSpan>> = BTreeMap::new();
    for span in spans {
        devices.entry(&span.device).or_default().push(span);
    }
    let mut names: Vec<&str> = devices.keys().copied().collect();
    names.sort_by(|a, b| numeric_sort::cmp(a, b));
    let more = names.len().saturating_sub(MOST_SHOWN);
    let of = |name: &str| Lane::of(name, devices.get(name).map_or(&[][..], Vec::as_slice), first, whole_s);
    Some(Lanes {
        lanes: names.into_iter().take(MOST_SHOWN).map(of).collect(),
        more,
        took: duration_text(Duration::from_secs_f64(whole_s)),
    })
}

impl Lane {
    fn of(device: &str, spans: &[&DeviceSpan], first: Timestamp, whole_s: f64) -> Lane {
        let seconds = |work| {
            let own = spans.iter().filter(|span| span.work == work);
            own.map(|span| span.until.duration_since(span.from).as_secs_f64().max(0.0)).sum::<f64>()
        };
        let percent = |seconds: f64| seconds / whole_s * 100.0;
        let shares = Work::ALL.map(|work| (work, percent(seconds(work))));
        let idle = (100.0 - shares.iter().map(|(_, share)| share).sum::<f64>()).clamp(0.0, 100.0);
        let told = shares.iter().filter(|(_, share)| *share > 0.0);
        let told = told.map(|(work, share)| format!("{} {share:.0} %", work.as_str())).collect::<Vec<_>>().join(", ");
        let stretch = |work: Work| {
            let class = if work == Work::CoolDown { "cool" } else { work.as_str() };
            Stretch { class, path: path(spans.iter().filter(|span| span.work == work), first, whole_s) }
        };
        Lane {
            device: single_line(device),
            title: single_line(&format!("{device}: {told}, idle {idle:.0} %")),
            paths: Work::ALL.map(stretch).into_iter().filter(|stretch| !stretch.path.is_empty()).collect(),
            idle: format!("{idle:.0}"),
        }
    }
}

/// Strokes over the lane, those that touch as one.
fn path<'s>(spans: impl Iterator<Item = &'s &'s DeviceSpan>, first: Timestamp, whole_s: f64) -> String {
    let place = |at: Timestamp| at.duration_since(first).as_secs_f64().max(0.0) / whole_s * STEPS as f64;
    let ends = |span: &&DeviceSpan| {
        let from = (place(span.from).floor() as usize).min(STEPS - 1);
        [from, (place(span.until).ceil() as usize).clamp(from + 1, STEPS)]
    };
    let mut strokes: Vec<[usize; 2]> = spans.map(ends).collect();
    strokes.sort_unstable();
    let mut joined: Vec<[usize; 2]> = Vec::new();
    for [from, until] in strokes {
        match joined.last_mut() {
            Some(last) if from <= last[1] => last[1] = last[1].max(until),
            _ => joined.push([from, until]),
        }
    }
    joined.iter().map(|[from, until]| format!("M{from} 5h{}", until - from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    #[test]
    fn what_touches_is_one_stroke_and_the_shortest_is_seen() {
        let span = |from, until| DeviceSpan {
            device: "a".into(),
            work: Work::Run,
            from: sample::at(from),
            until: sample::at(until),
        };
        let spans = [span(0, 250), span(250, 500), span(600, 600), span(900, 1000)];
        let lane = Lane::of("a", &spans.iter().collect::<Vec<_>>(), sample::at(0), 1000.0);
        assert_eq!(lane.paths.len(), 1);
        assert_eq!(lane.paths[0].path, "M0 5h500M600 5h1M900 5h100");
        assert_eq!((lane.title.as_str(), lane.idle.as_str()), ("a: run 60 %, idle 40 %", "40"));
    }
}
