//! What can be said of a handful of samples without assuming how they are distributed.

use serde::{Deserialize, Serialize};

/// How sure an interval shall be at least, if there are samples enough for it.
pub const WANTED_COVERAGE: f64 = 0.95;

/// A median, and the interval in which the true median lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median of the samples.
    pub median: f64,
    /// The lower end of the interval: one of the samples.
    pub low: f64,
    /// The upper end of the interval: one of the samples.
    pub high: f64,
    /// How likely such an interval holds the true median: at least [`WANTED_COVERAGE`] from six samples on; fewer
    /// cannot be that sure.
    pub coverage: f64,
    /// Which samples lie beyond Tukey's fences (1.5 times the distance of the quartiles outside them), by position.
    /// They count like all others.
    pub outliers: Vec<usize>,
}

/// Sums `samples` up; `None` when there are none, or one is not a number.
///
/// The interval is that of order statistics: the true median lies between the k-th smallest and the k-th largest
/// of n samples unless fewer than k of them fell on one side of it, which is tossing a coin n times. That holds for
/// any distribution, as long as the samples are independent of each other.
pub fn summarise(samples: &[f64]) -> Option<Summary> {
    if samples.is_empty() || samples.iter().any(|s| !s.is_finite()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (rank, coverage) = rank(sorted.len());
    let (lower, upper) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
    let reach = 1.5 * (upper - lower);
    let is_outlier = |s: f64| s < lower - reach || s > upper + reach;
    Some(Summary {
        median: quantile(&sorted, 0.5),
        low: sorted[rank - 1],
        high: sorted[sorted.len() - rank],
        coverage,
        outliers: samples.iter().enumerate().filter(|(_, s)| is_outlier(**s)).map(|(at, _)| at).collect(),
    })
}

/// The largest k for which the interval from the k-th smallest to the k-th largest of `count` samples is as sure as
/// wanted, else 1, and how sure it is.
fn rank(count: usize) -> (usize, f64) {
    // The chance that a fair coin tossed `count` times shows heads fewer than k times, for k = 1, 2, …
    let mut chance = 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut fewer = chance;
    let mut best = (1, (1.0 - 2.0 * fewer).max(0.0));
    for k in 2..=count / 2 {
        chance *= (count - k + 2) as f64 / (k - 1) as f64;
        fewer += chance;
        let coverage = 1.0 - 2.0 * fewer;
        if coverage < WANTED_COVERAGE {
            break;
        }
        best = (k, coverage);
    }
    best
}

/// The quantile `at` (0 to 1) of sorted samples, interpolated between neighbours.
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let position = at * (sorted.len() - 1) as f64;
    let (below, part) = (position.floor() as usize, position.fract());
    let next = sorted[(below + 1).min(sorted.len() - 1)];
    sorted[below] + part * (next - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        for (samples, median) in [(&[3.0][..], 3.0), (&[4.0, 1.0], 2.5), (&[9.0, 1.0, 5.0], 5.0)] {
            assert_eq!(summarise(samples).unwrap().median, median);
        }
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!((quantile(&sorted, 0.25), quantile(&sorted, 0.75)), (2.0, 4.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.75), 1.75);
    }

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics, the binomial distribution with p = 1/2.
        for (count, expected, coverage) in [
            (1, 1, 0.0),
            (3, 1, 0.75),
            (5, 1, 0.9375),
            (6, 1, 0.968_75),
            (9, 2, 0.960_937_5),
            (10, 2, 0.978_515_625),
            (11, 2, 0.988_281_25),
            (12, 3, 0.961_425_78),
            (20, 6, 0.958_610_53),
            (25, 8, 0.956_714_75),
        ] {
            let (rank, sure) = rank(count);
            assert_eq!(rank, expected, "{count} samples");
            assert!((sure - coverage).abs() < 1e-7, "{count} samples: {sure}");
        }
    }

    #[test]
    fn an_interval_is_made_of_samples_and_holds_the_median() {
        let samples: Vec<f64> = [11, 2, 7, 1, 9, 4, 10, 3, 8, 5, 6].map(f64::from).to_vec();
        let summary = summarise(&samples).unwrap();
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 6.0, 10.0));
    }

    #[test]
    fn outliers_are_shown_and_counted() {
        let samples = [5.0, 4.9, 5.1, 50.0, 5.0, 5.2, 4.8];
        let summary = summarise(&samples).unwrap();
        assert_eq!(summary.outliers, [3]);
        assert_eq!(summary.high, 50.0, "an outlier is a sample like others");
        assert!(summarise(&[1.0; 9]).unwrap().outliers.is_empty());
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(summarise(&[]), None);
        assert_eq!(summarise(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn intervals_hold_the_true_median_as_often_as_they_say() {
        // Of a skewed distribution, whose median is known: u² for u even in 0 to 1.
        let mut random = crate::random::Random::new(4);
        let mut held = 0;
        for _ in 0..2000 {
            let samples: Vec<f64> =
                (0..11).map(|_| (random.below(1 << 40) as f64 / (1u64 << 40) as f64).powi(2)).collect();
            let summary = summarise(&samples).unwrap();
            held += u32::from(summary.low <= 0.25 && 0.25 <= summary.high);
        }
        assert!((1960..=1995).contains(&held), "{held} of 2000, where 98.8 % were promised");
    }
}
