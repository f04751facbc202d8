/// A scale of latencies: where each stands, in per cent of a chart's width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

/// A mark of a scale.
pub(super) struct Tick {
    pub(super) percent: f64,
    pub(super) text: String,
}

/// Above this ratio of largest to smallest, a linear scale shows only the slow ones.
const LOGARITHMIC_FROM: f64 = 5.0;
/// Most marks that a narrow screen has room for.
const MOST_TICKS: usize = 6;

impl Axis {
    /// A scale that holds values from `low` to `high`, both positive, with some room at its ends.
    pub(super) fn new(low: f64, high: f64) -> Axis {
        let low = low.max(f64::MIN_POSITIVE);
        let is_logarithmic = high / low >= LOGARITHMIC_FROM;
        let margin = if is_logarithmic { (high / low).powf(0.03) } else { 1.0 };
        let room = if is_logarithmic { 0.0 } else { (high - low).max(high * 0.02) * 0.03 };
        Axis { low: low / margin - room, high: high * margin + room, is_logarithmic }
    }

    /// Where a value stands, from 0 to 100.
    pub(super) fn percent(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        (share * 100.0).clamp(0.0, 100.0)
    }

    /// The marks, each with its place.
    pub(super) fn marked(&self) -> Vec<Tick> {
        self.ticks().into_iter().map(|tick| Tick { percent: self.percent(tick), text: tick_text(tick) }).collect()
    }

    /// Round values to mark.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let ticks = if self.is_logarithmic { self.logarithmic_ticks(&[1.0, 2.0, 5.0]) } else { self.linear_ticks() };
        if ticks.len() > MOST_TICKS && self.is_logarithmic { self.logarithmic_ticks(&[1.0]) } else { ticks }
    }

    fn logarithmic_ticks(&self, digits: &[f64]) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
        all.filter(|value| (self.low..=self.high).contains(value)).collect()
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / (MOST_TICKS - 1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough);
        let step = step.unwrap_or(power * 10.0);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|count| count as f64 * step).collect()
    }
}

/// A round number without the zeros that say nothing.
fn tick_text(tick: f64) -> String {
    let text = format!("{tick:.6}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round() {
        let near = |found: Vec<f64>, expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9 * b)
        };
        assert!(near(Axis::new(51.0, 57.0).ticks(), &[52.0, 54.0, 56.0]), "{:?}", Axis::new(51.0, 57.0).ticks());
        assert!(near(Axis::new(3.0, 40.0).ticks(), &[5.0, 10.0, 20.0]), "{:?}", Axis::new(3.0, 40.0).ticks());
        assert!(near(Axis::new(0.02, 900.0).ticks(), &[0.1, 1.0, 10.0, 100.0, 1000.0]));
    }

    proptest! {
        #[test]
        fn values_stand_in_their_order_inside(low in 1e-6..1e6f64, ratio in 1.0..1e6f64, part in 0.0..=1.0f64) {
            let high = low * ratio;
            let axis = Axis::new(low, high);
            let value = low + (high - low) * part;
            let places = [axis.percent(low), axis.percent(value), axis.percent(high)];
            prop_assert!(places.is_sorted() && places[0] >= 0.0 && places[2] <= 100.0, "{:?}", places);
            let ticks = axis.ticks();
            prop_assert!(ticks.len() <= 8 && ticks.is_sorted(), "{:?}", ticks);
        }
    }
}
