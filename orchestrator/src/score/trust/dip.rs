/// The dip of a sorted sample: how far its distribution function lies, at its farthest point, from the nearest one that
/// has a single mode (J. A. and P. M. Hartigan, The Annals of Statistics 13, 1985). From 1 / (2 n) to 0.25.
///
/// A convex function from below up to the mode, a concave one from above behind it: the mode is sought where these two
/// lie farthest apart, in an interval that shrinks until what is outside of it deviates more.
pub(super) fn dip(sorted: &[f64]) -> f64 {
    let count = sorted.len();
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return 0.0 };
    // In steps of the distribution function; a single step is the least there is.
    let mut dip = 1.0_f64;
    if first < last {
        let (mut low, mut high) = (0, count - 1);
        while let Some(modal) = modal_interval(sorted, low, high, dip) {
            let left = modal.convex.windows(2).take_while(|edge| edge[1] <= modal.low);
            let right = modal.concave.windows(2).skip_while(|edge| edge[0] < modal.high);
            let below = left.map(|edge| deviation(sorted, edge[0], edge[1], 1.0));
            let above = right.map(|edge| deviation(sorted, edge[0], edge[1], -1.0));
            dip = below.chain(above).fold(dip, f64::max);
            if modal.low == low && modal.high == high {
                break;
            }
            (low, high) = (modal.low, modal.high);
        }
    }
    dip / (2.0 * count as f64)
}

struct Modal {
    /// Corners of the greatest convex function below the distribution, from the interval's low end on.
    convex: Vec<usize>,
    /// Corners of the least concave function above it.
    concave: Vec<usize>,
    low: usize,
    high: usize,
}

/// Where, between `low` and `high`, the convex and the concave function lie farthest apart; `None` where that is no
/// more than `dip`.
fn modal_interval(sorted: &[f64], low: usize, high: usize, dip: f64) -> Option<Modal> {
    if low >= high {
        return None;
    }
    let convex = corners(sorted, low, high, 1.0);
    let concave = corners(sorted, low, high, -1.0);
    let mut farthest = dip;
    let mut interval = None;
    // At each corner of the one, the other is straight: the farthest point is a corner.
    for &at in &convex {
        let edge = edge_of(&concave, at);
        let gap = height(sorted, edge, at) - at as f64 + 1.0;
        if gap > farthest {
            farthest = gap;
            interval = Some((at, edge.1));
        }
    }
    for &at in &concave {
        let edge = edge_of(&convex, at);
        let gap = at as f64 - height(sorted, edge, at) + 1.0;
        if gap > farthest {
            farthest = gap;
            interval = Some((edge.0, at));
        }
    }
    let (modal_low, modal_high) = interval?;
    Some(Modal { convex, concave, low: modal_low, high: modal_high.max(modal_low) })
}

/// The edge of a chain of corners that stands above or below a place.
fn edge_of(corners: &[usize], at: usize) -> (usize, usize) {
    let next = corners.partition_point(|corner| *corner < at).max(1).min(corners.len() - 1);
    (corners[next - 1], corners[next])
}

/// The height of a straight edge at a place, in steps.
fn height(sorted: &[f64], edge: (usize, usize), at: usize) -> f64 {
    let width = sorted[edge.1] - sorted[edge.0];
    let share = if width > 0.0 { (sorted[at] - sorted[edge.0]) / width } else { 1.0 };
    edge.0 as f64 + (edge.1 - edge.0) as f64 * share
}

/// Corners of the convex hull of the points (value, index): the lower side for a `turn` of 1, the upper one for -1.
fn corners(sorted: &[f64], low: usize, high: usize, turn: f64) -> Vec<usize> {
    let mut corners: Vec<usize> = vec![low];
    for next in low + 1..=high {
        while let [.., before, last] = corners[..] {
            let old = (last - before) as f64 * (sorted[next] - sorted[last]);
            let new = (next - last) as f64 * (sorted[last] - sorted[before]);
            if (new - old) * turn > 0.0 {
                break;
            }
            corners.pop();
        }
        corners.push(next);
    }
    corners
}

/// How far the distribution lies from a straight edge between two corners, in steps: above it for a `side` of 1, else
/// below.
fn deviation(sorted: &[f64], from: usize, to: usize, side: f64) -> f64 {
    let gap = |at: usize| (at as f64 - height(sorted, (from, to), at)) * side + 1.0;
    if to > from + 1 && sorted[to] > sorted[from] { (from..=to).map(gap).fold(0.0, f64::max) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        // Quality of 63 statistics departments: the example of Hartigan and Hartigan (1985). Their dip is 0.0595.
        let faculty = [
            30, 33, 35, 36, 37, 37, 39, 39, 39, 39, 39, 40, 40, 40, 40, 41, 42, 43, 43, 43, 44, 44, 45, 45, 46, 46, 47,
            47, 48, 48, 48, 49, 50, 50, 51, 52, 52, 53, 53, 53, 53, 53, 54, 54, 57, 57, 59, 60, 60, 60, 61, 61, 61, 61,
            62, 62, 62, 62, 63, 66, 70, 72, 72,
        ];
        assert!((dip(&faculty.map(f64::from)) - 7.5 / 126.0).abs() < 1e-12);
    }

    #[test]
    fn least_and_largest() {
        assert_eq!(dip(&[1.0, 1.0, 2.0, 2.0]), 0.25, "two points are as far from one mode as can be");
        let line: Vec<f64> = (0..100).map(f64::from).collect();
        assert!((dip(&line) - 1.0 / 200.0).abs() < 1e-12, "a uniform distribution has one mode");
        assert!((dip(&[0.0, 2.0, 3.0, 5.0, 6.0]) - 2.0 / 15.0).abs() < 1e-12);
        assert!((dip(&[0.0, 1.0, 3.0, 4.0, 6.0]) - 2.0 / 15.0).abs() < 1e-12, "its mirror image");
        assert_eq!((dip(&[]), dip(&[1.0]), dip(&[1.0; 9])), (0.0, 0.5, 1.0 / 18.0));
    }
}
