use farmctl_protocol::Conditions;

use super::{plain_milliseconds, plain_number};
use crate::report::columns::Row;
use crate::report::label::Axes;
use crate::score::trust::over_time;
use crate::wording::{short_number, single_line};

use super::links::Links;

/// Height of a chart in its own units.
pub(super) const HEIGHT: f64 = 20.0;

/// Most runs that are shown: a page of thousands is none that a browser opens.
const MOST_SHOWN: usize = 30;
/// Points of a line of latencies: medians of so many parts.
const POINTS: usize = 80;
/// Fewer looks make no line.
const FEWEST_LOOKS: usize = 3;

/// What a run was like over its time.
pub(super) struct TimeLine {
    pub(super) who: String,
    /// Its row in the table.
    pub(super) row: usize,
    /// What doubt there is of it, in a word.
    pub(super) doubt: &'static str,
    pub(super) lines: Vec<Line>,
    /// How long that was.
    pub(super) seconds: String,
}

/// A figure over the time, as an SVG path; each on a scale of its own.
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) path: String,
    /// Its least and its largest value, with the unit.
    pub(super) range: String,
}

/// A figure at a moment.
struct Point {
    at_s: f64,
    value: f64,
}

/// The runs over their time, the doubtful ones first, and how many more there are.
pub(super) fn time_lines(rows: &[Row<'_>], axes: &Axes, links: &Links) -> (Vec<TimeLine>, usize) {
    let (doubtful, others): (Vec<&Row<'_>>, Vec<&Row<'_>>) = rows.iter().partition(|row| row.doubt().is_some());
    let mut lines: Vec<TimeLine> =
        doubtful.into_iter().chain(others).filter_map(|row| TimeLine::of(row, axes, links)).collect();
    let more = lines.len().saturating_sub(MOST_SHOWN);
    lines.truncate(MOST_SHOWN);
    (lines, more)
}

impl TimeLine {
    /// The lines of a run; `None` of one that has not even two parts.
    fn of(row: &Row<'_>, axes: &Axes, links: &Links) -> Option<TimeLine> {
        row.certainty.as_ref()?;
        let measurement = &row.record.measurement;
        let told = measurement.conditions.as_deref();
        let loop_s = measurement.samples_ns.iter().map(|sample| *sample as f64).sum::<f64>() / 1e9;
        // The watch ends with the timed loop, and may have begun before it.
        let whole_s = told.map_or(loop_s, |told| (told.watched_ns as f64 / 1e9).max(loop_s));
        let start_s = whole_s - loop_s;
        let latency: Vec<Point> = over_time(&measurement.samples_ns, POINTS)
            .into_iter()
            .map(|point| Point { at_s: start_s + point.at_ns / 1e9, value: point.p50_ns / 1e6 })
            .collect();
        if latency.len() < 2 || whole_s <= 0.0 {
            return None;
        }
        let mut lines = vec![Line::of("latency", &latency, whole_s, |low, high| {
            let ms = |value: f64| plain_milliseconds((value * 1e6) as u64);
            format!("{} to {} ms", ms(low), ms(high))
        })];
        for Look { class, unit, value } in LOOKS {
            let looks: Vec<Point> = told.map(|told| looks(told, value)).unwrap_or_default();
            if looks.len() >= FEWEST_LOOKS {
                let range = |low: f64, high: f64| format!("{} to {} {unit}", short_number(low), short_number(high));
                lines.push(Line::of(class, &looks, whole_s, range));
            }
        }
        Some(TimeLine {
            who: single_line(&axes.cell(&row.record.job)),
            row: links.of_record(row.record),
            doubt: row.doubt().map(|doubt| doubt.as_str()).unwrap_or_default(),
            lines,
            seconds: plain_number(whole_s),
        })
    }
}

type LookValue = fn(&farmctl_protocol::Moment) -> Option<f64>;

/// Something that each look at a device has.
struct Look {
    /// Its class in the page.
    class: &'static str,
    unit: &'static str,
    value: LookValue,
}

const LOOKS: [Look; 2] = [
    Look { class: "frequency", unit: "MHz", value: |look| look.frequency_khz.map(|khz| khz as f64 / 1e3) },
    Look { class: "temperature", unit: "°C", value: |look| look.celsius },
];

fn looks(told: &Conditions, value: LookValue) -> Vec<Point> {
    let point = |look: &farmctl_protocol::Moment| Some(Point { at_s: look.at_ms as f64 / 1e3, value: value(look)? });
    told.series.iter().filter_map(point).collect()
}

impl Line {
    fn of(class: &'static str, points: &[Point], whole_s: f64, range: impl Fn(f64, f64) -> String) -> Line {
        let low = points.iter().map(|point| point.value).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max);
        // What hardly moves is a straight line, not a wild one.
        let (middle, room) = ((low + high) / 2.0, (high - low).max(high.abs() * 0.05).max(f64::MIN_POSITIVE));
        let place = |point: &Point| {
            let x = (point.at_s / whole_s * 100.0).clamp(0.0, 100.0);
            let y = HEIGHT / 2.0 - (point.value - middle) / room * (HEIGHT - 4.0);
            format!("{x:.1} {y:.1}")
        };
        let path = format!("M{}", points.iter().map(place).collect::<Vec<_>>().join("L"));
        Line { class, path, range: range(low, high) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::sample;
    use crate::score::trust::Certainty;

    fn row_of(samples_ns: Vec<u64>, with_looks: bool) -> Vec<TimeLine> {
        let (sweep, mut record) = (sample::sweep(), sample::record("board-1", "tiny"));
        record.measurement.samples_ns = samples_ns;
        let mut told = sample::conditions();
        told.watched_ns = 20_000_000_000;
        let look = |second: u64| farmctl_protocol::Moment {
            at_ms: second * 1000,
            celsius: Some(40.0 + second as f64),
            frequency_khz: (second < 2).then_some(1_800_000),
            ..Default::default()
        };
        told.series = (0..20).map(look).collect();
        record.measurement.conditions = with_looks.then(|| Box::new(told));
        let certainty = Certainty::of_record(&record, &Default::default());
        let row = Row { certainty, ..Row::bare(&sweep, &record) };
        let rows = [row];
        time_lines(&rows, &Axes::of(std::iter::once(&record.job)), &Links::of(&rows)).0
    }

    #[test]
    fn a_run_is_shown_over_its_time() {
        // Ten seconds, the last half twice as slow as the first.
        let samples = [vec![50_000_000; 67], vec![100_000_000; 67]].concat();
        let [line] = row_of(samples, true).try_into().ok().unwrap();
        assert_eq!((line.who.as_str(), line.doubt, line.seconds.as_str()), ("board-1: tiny", "throttled", "20.0"));
        let classes: Vec<&str> = line.lines.iter().map(|line| line.class).collect();
        assert_eq!(classes, ["latency", "temperature"], "two looks at the frequency make no line");
        assert_eq!(line.lines[0].range, "50.0 to 100 ms");
        assert_eq!(line.lines[1].range, "40.0 to 59.0 °C");
        // The loop is the second half of the watch, and the slow end is at the top.
        let (first, last) = (&line.lines[0].path[..10], line.lines[0].path.rsplit('L').next().unwrap());
        assert!(first.starts_with("M49.") || first.starts_with("M50."), "{first}");
        assert!(last.ends_with(" 2.0"), "{last}");
    }

    #[test]
    fn without_looks_there_is_the_latency_alone_and_without_samples_nothing() {
        let [line] = row_of(vec![7_000_000; 30], false).try_into().ok().unwrap();
        assert_eq!((line.lines.len(), line.doubt), (1, ""));
        assert!(
            line.lines[0].path.matches(" 10.0").count() >= 30,
            "what does not move is straight: {}",
            line.lines[0].path
        );
        assert!(row_of(vec![], true).is_empty() && row_of(vec![5], true).is_empty());
    }
}
