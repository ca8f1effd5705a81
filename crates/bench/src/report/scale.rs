//! Where a value lies on an axis, and which values the axis names.

use crate::units::Unit;

/// Bars whose longest is so many times the shortest are drawn on a logarithmic axis.
const WIDE: f64 = 25.0;
/// How many decades an axis names at most.
const MOST_TICKS: usize = 4;

/// An axis from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scale {
    /// From zero.
    Linear { most: f64, step: f64 },
    /// From one power to another of this base.
    Logarithmic { base: f64, low: f64, high: f64 },
}

impl Scale {
    /// A scale for bars of these values, in steps that are round in powers of `base` (10, or 1024 for bytes).
    pub(super) fn for_bars(values: impl Iterator<Item = f64> + Clone, base: f64) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        if most > 0.0 && most / least > WIDE {
            Self::logarithmic(least, most, base)
        } else {
            Self::linear(most, base)
        }
    }

    /// A logarithmic scale for values from `least` to `most`, both positive.
    pub(super) fn logarithmic(least: f64, most: f64, base: f64) -> Self {
        let power = |value: f64| value.ln() / base.ln();
        // A bar of the least value shall be seen.
        let low = (power(least) - 0.15).floor();
        let high = (power(most) - 1e-9).ceil();
        Self::Logarithmic { base, low, high: high.max(low + 1.0) }
    }

    /// A logarithmic scale that is hardly wider than the values, which are positive: nothing begins at its edge.
    pub(super) fn for_curves(least: f64, most: f64) -> Self {
        // Narrower ones would make much of little.
        const NARROWEST: f64 = 0.7;
        let (low, high) = (least.log10() - 0.08, most.log10() + 0.08);
        let more = ((NARROWEST - (high - low)) / 2.0).max(0.0);
        Self::Logarithmic { base: 10.0, low: low - more, high: high + more }
    }

    fn linear(most: f64, base: f64) -> Self {
        if most <= 0.0 {
            return Self::Linear { most: 1.0, step: 1.0 };
        }
        // Round in the unit that the value is shown in; four names fit below the narrowest bars.
        let unit = if base == 10.0 { 1.0 } else { 1024f64.powf((most.ln() / 1024f64.ln()).floor()) };
        let rough = most / unit / 3.4;
        let ten = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * ten)
            .find(|s| *s >= rough)
            .unwrap_or(ten * 10.0);
        Self::Linear { most: most * 1.02, step: step * unit }
    }

    /// Where `value` lies: 0 at the beginning of the axis, 1 at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        match self {
            Self::Linear { most, .. } => (value / most).clamp(0.0, 1.0),
            Self::Logarithmic { .. } if value <= 0.0 => 0.0,
            Self::Logarithmic { base, low, high } => {
                let power = value.ln() / base.ln();
                ((power - low) / (high - low)).clamp(0.0, 1.0)
            }
        }
    }

    /// The values that the axis names.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self {
            Self::Linear { most, step } => {
                let last = (most / step).floor() as u32;
                (0..=last).map(|n| f64::from(n) * step).collect()
            }
            Self::Logarithmic { base, low, high } => {
                let (first, last) = (low.ceil() as i32, high.floor() as i32);
                let every = usize::try_from(last - first).unwrap_or(0).div_ceil(MOST_TICKS).max(1);
                let whole: Vec<f64> = (first..=last).step_by(every).map(|power| base.powi(power)).collect();
                if whole.len() > 2 {
                    return whole;
                }
                // Few powers are within: then twice and five times those, too.
                let within = |value: &f64| (*low..=*high).contains(&(value.ln() / base.ln()));
                let all = (first - 1..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * base.powi(power)));
                if *base == 10.0 { all.filter(within).collect() } else { whole }
            }
        }
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        matches!(self, Self::Logarithmic { .. })
    }
}

/// The value of a tick, without what says nothing: decimals, and that a rate is one.
pub(super) fn tick(unit: Unit, value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ => unit.show(value).replace(".00 ", " ").replace(".0 ", " ").replace("/s", ""),
    }
}

/// Moves positions apart that are closer than `gap`, as little as that takes, within 0 to `most`.
pub(super) fn spread(positions: &[f64], gap: f64, most: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..positions.len()).collect();
    order.sort_by(|a, b| positions[*a].total_cmp(&positions[*b]));
    let mut placed = positions.to_vec();
    // Down from the top, then up again from the bottom.
    let mut next = 0.0;
    for &at in &order {
        placed[at] = placed[at].max(next);
        next = placed[at] + gap;
    }
    let mut last = most;
    for &at in order.iter().rev() {
        placed[at] = placed[at].min(last);
        last = placed[at] - gap;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_size_are_drawn_from_zero() {
        let scale = Scale::for_bars([1.0, 4.0, 9.0].into_iter(), 10.0);
        assert!(!scale.is_logarithmic());
        assert_eq!(scale.ticks(), [0.0, 3.0, 6.0, 9.0]);
        assert!((scale.at(4.59) - 0.5).abs() < 1e-9);
        let bytes = Scale::for_bars([3.0 * 1024.0, 8.0 * 1024.0].into_iter(), 1024.0);
        assert_eq!(bytes.ticks(), [0.0, 2560.0, 5120.0, 7680.0]);
    }

    #[test]
    fn values_of_many_sizes_are_drawn_by_powers() {
        let scale = Scale::for_bars([0.002, 0.9, 0.0].into_iter(), 10.0);
        assert_eq!(scale, Scale::Logarithmic { base: 10.0, low: -3.0, high: 0.0 });
        assert!((scale.at(0.001)).abs() < 1e-9 && (scale.at(1.0) - 1.0).abs() < 1e-9);
        assert_eq!(scale.at(0.0), 0.0);
        assert_eq!(scale.ticks().len(), 4);
        assert!(Scale::logarithmic(1.0, 1e12, 10.0).ticks().len() <= MOST_TICKS + 1);
    }

    #[test]
    fn curves_fill_their_drawing() {
        let scale = Scale::for_curves(0.0015, 0.0025);
        assert!(scale.at(0.0015) > 0.1 && scale.at(0.0025) < 0.9);
        assert_eq!(scale.ticks(), [0.001, 0.002]);
        assert_eq!(Scale::for_curves(0.001, 10.0).ticks().len(), 5);
        assert_eq!(
            (tick(Unit::Seconds, 0.0), tick(Unit::BytesPerSecond, 1048576.0)),
            ("0".into(), "1 MiB".into())
        );
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        for values in [vec![], vec![0.0], vec![-1.0, 0.0]] {
            let scale = Scale::for_bars(values.into_iter(), 10.0);
            assert!(scale.at(0.0) == 0.0 && !scale.ticks().is_empty());
        }
    }

    #[test]
    fn labels_do_not_overlap() {
        let placed = spread(&[10.0, 12.0, 11.0, 99.0, 98.0], 10.0, 100.0);
        let mut sorted = placed.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 10.0 - 1e-9), "{placed:?}");
        assert!(sorted[4] <= 100.0 && placed[0] < placed[2] && placed[2] < placed[1], "{placed:?}");
    }
}
