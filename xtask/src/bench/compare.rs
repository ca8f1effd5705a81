//! What moved since the recorded run: instructions by more than a hundredth, memory by more than a tenth.

use std::collections::BTreeMap;

/// In hundredths. Instructions repeat exactly, but the compiler orders code anew where nothing was meant to change.
const COUNT_NOISE: u64 = 1;
/// In hundredths. Which thread takes which directory differs from run to run, and with it the pages touched.
const PEAK_NOISE: u64 = 10;
/// In hundredths. From here on a count has grown so far that `--fail-on-growth` fails.
const GROWTH: u64 = 5;

/// A figure that moved, or is in one of the two runs only.
#[derive(Debug, PartialEq)]
pub(super) struct Moved<K> {
    pub(super) name: K,
    pub(super) then: Option<u64>,
    pub(super) now: Option<u64>,
}

impl<K> Moved<K> {
    /// How much it changed as a part of what it was; `None` for one that is in one run only.
    fn change(&self) -> Option<f64> {
        let (then, now) = (self.then? as f64, self.now? as f64);
        Some(now / then - 1.0)
    }

    /// Whether the figures are apart by more than so many hundredths of the earlier one.
    fn is_apart(&self, hundredths: u64) -> bool {
        // Exactly, as in floating point a change of just one hundredth may be more.
        let wide = |figure: u64| u128::from(figure);
        let both = self.then.zip(self.now);
        both.is_some_and(|(then, now)| wide(now.abs_diff(then)) * 100 > wide(then) * wide(hundredths))
    }

    /// Whether it grew by more than a twentieth.
    pub(super) fn grew_much(&self) -> bool {
        self.now > self.then && self.is_apart(GROWTH)
    }

    /// One line, `unit` after each figure.
    pub(super) fn line(&self, name: &str, unit: &str) -> String {
        let shown = |figure: Option<u64>| figure.map_or("not measured".into(), |n| grouped(n) + unit);
        let change = self.change().map(|change| format!(" ({:+.1} %)", change * 100.0));
        format!("{name}: {} -> {}{}", shown(self.then), shown(self.now), change.unwrap_or_default())
    }
}

/// The instruction counts that moved, by name; a path that is new or gone has moved.
pub(super) fn counts(then: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<Moved<String>> {
    let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
    let pairs = names.map(|name| Moved {
        name: name.clone(),
        then: then.get(name).copied(),
        now: now.get(name).copied(),
    });
    pairs.filter(|moved| moved.then.is_none() || moved.now.is_none() || moved.is_apart(COUNT_NOISE)).collect()
}

/// The peaks that moved, by the size of the tree; sizes that one run left out are not compared.
pub(super) fn peaks(then: &BTreeMap<u64, u64>, now: &BTreeMap<u64, u64>) -> Vec<Moved<u64>> {
    let pairs = now.iter().filter_map(|(&name, &peak)| {
        then.get(&name).map(|&then| Moved { name, then: Some(then), now: Some(peak) })
    });
    pairs.filter(|moved| moved.is_apart(PEAK_NOISE)).collect()
}

/// `number` with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counts, grouped, peaks};

    #[test]
    fn counts_move_by_more_than_a_hundredth() {
        for (then, now, line, much) in [
            (10_000, 10_000, None, false),
            (10_000, 10_100, None, false),
            (10_000, 9_900, None, false),
            (10_000, 10_101, Some("x: 10,000 -> 10,101 (+1.0 %)"), false),
            (10_000, 10_500, Some("x: 10,000 -> 10,500 (+5.0 %)"), false),
            (10_000, 10_501, Some("x: 10,000 -> 10,501 (+5.0 %)"), true),
            (10_000, 5_000, Some("x: 10,000 -> 5,000 (-50.0 %)"), false),
            (0, 0, None, false),
            (0, 1, Some("x: 0 -> 1 (+inf %)"), true),
        ] {
            let table = |count| [("x".to_owned(), count)].into();
            let moved = counts(&table(then), &table(now));
            let shown = moved.first().map(|moved| moved.line(&moved.name, ""));
            assert_eq!(shown.as_deref(), line, "{then} to {now}");
            assert_eq!(moved.first().is_some_and(super::Moved::grew_much), much, "{then} to {now}");
        }
    }

    #[test]
    fn a_path_that_is_new_or_gone_is_told_and_is_no_growth() {
        let (then, now) = ([("gone".to_owned(), 7)].into(), [("new".to_owned(), 1_000)].into());
        let moved = counts(&then, &now);
        let lines: Vec<_> = moved.iter().map(|moved| moved.line(&moved.name, "")).collect();
        assert_eq!(lines, ["gone: 7 -> not measured", "new: not measured -> 1,000"]);
        assert!(!moved.iter().any(super::Moved::grew_much));
    }

    #[test]
    fn peaks_move_by_more_than_a_tenth_and_of_trees_of_one_size() {
        let then = [(100, 1_000), (1_000, 2_000)].into();
        for (now, expected) in
            [([(100, 1_100)], 0), ([(100, 1_101)], 1), ([(100, 899)], 1), ([(10, 5_000)], 0)]
        {
            assert_eq!(peaks(&then, &now.into()).len(), expected, "{now:?}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
