use crate::report::label::number;
use crate::report::places::{self, PlacedRow, SweepRanking};
use crate::report::ranking::{Labels, workloads};
use crate::wording::single_line;

/// Who is how good: a bar a system.
pub(super) struct Chart {
    pub(super) definition: String,
    pub(super) workloads: String,
    pub(super) explanation: &'static str,
    pub(super) unit: &'static str,
    pub(super) bars: Vec<Bar>,
}

/// A system under test.
pub(super) struct Bar {
    /// `whole`, or `part` of one that has no rank.
    pub(super) class: &'static str,
    pub(super) place: String,
    pub(super) name: String,
    /// The device, to find its rows by.
    pub(super) device: String,
    pub(super) width_percent: f64,
    /// The ends of its interval.
    pub(super) interval: Option<Whisker>,
    /// Why it has no rank.
    pub(super) unranked: String,
    pub(super) figure: String,
}

/// An interval on the scale of the bars.
pub(super) struct Whisker {
    pub(super) left_percent: f64,
    pub(super) width_percent: f64,
    /// Half of it, in per cent of the value.
    pub(super) half: String,
}

impl Chart {
    pub(super) fn of(ranking: &SweepRanking) -> Chart {
        let SweepRanking { ranking: ranked, places } = ranking;
        let labels = Labels::of(ranked);
        let values = ranked.result.rows.iter().filter_map(|row| row.values[0]);
        let ends = places.iter().flatten().filter_map(|place| Some(place.interval?.1));
        let largest = values.chain(ends).fold(0.0, f64::max);
        let definition = ranked.result.definition.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
        Chart {
            definition: single_line(&definition),
            workloads: single_line(&workloads(ranked, &labels)),
            explanation: places::EXPLANATION,
            unit: ranked.result.figures[0].unit,
            bars: ranking.rows().map(|placed| Bar::of(&placed, &labels, largest)).collect(),
        }
    }
}

impl Bar {
    fn of(placed: &PlacedRow<'_>, labels: &Labels, largest: f64) -> Bar {
        let PlacedRow { row, place, .. } = placed;
        let settings = labels.settings(row);
        let separator = if settings.is_empty() { "" } else { " · " };
        let percent = |value: f64| value / largest * 100.0;
        let value = row.values[0].unwrap_or(0.0);
        let whisker = |(low, high): (f64, f64)| Whisker {
            left_percent: percent(low),
            width_percent: percent(high - low),
            half: place.and_then(|place| place.half_interval_percent(value)).map_or_else(String::new, |half| {
                if half < 100.0 { format!("{half:.1}") } else { format!("{half:.0}") }
            }),
        };
        Bar {
            class: if row.rank.is_some() { "whole" } else { "part" },
            place: place.map_or_else(|| "–".to_owned(), |place| place.text()),
            name: single_line(&format!("{}{separator}{settings}", row.device)),
            device: single_line(&row.device),
            width_percent: percent(value),
            interval: place.and_then(|place| place.interval).map(whisker),
            unranked: row.unranked.as_deref().map(single_line).unwrap_or_default(),
            figure: number(row.values[0]),
        }
    }
}
