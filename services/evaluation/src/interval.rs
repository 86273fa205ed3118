//! How sure a number is: 95 % intervals.

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What was measured.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows it rests on.
    pub n: u64,
}

/// Of the standard normal distribution, 97.5 % lie below.
const Z: f64 = 1.959_963_984_540_054;

/// A share of `n` rows with Wilson's interval, which unlike the usual one holds near 0 and 1 too; `None` of nothing.
pub fn wilson(hits: u64, n: u64) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (rows, z2) = (n as f64, Z * Z);
    let value = hits as f64 / rows;
    let centre = (value + z2 / (2.0 * rows)) / (1.0 + z2 / rows);
    let half = Z * (value * (1.0 - value) / rows + z2 / (4.0 * rows * rows)).sqrt() / (1.0 + z2 / rows);
    Some(Estimate {
        value,
        low: (centre - half).clamp(0.0, value),
        high: (centre + half).clamp(value, 1.0),
        n,
    })
}

/// `value` with the middle 95 % of what it was in the resamples.
pub(crate) fn bootstrapped(value: f64, mut resampled: Vec<f64>, n: u64) -> Estimate {
    resampled.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * resampled.len().saturating_sub(1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let (low, high) = (resampled.get(low).copied()?, resampled.get(high).copied()?);
        Some(low + (high - low) * place.fract())
    };
    let (low, high) = (at(0.025).unwrap_or(value), at(0.975).unwrap_or(value));
    Estimate { value, low: low.min(value), high: high.max(value), n }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hits: u64, n: u64, low: f64, high: f64) {
        let found = wilson(hits, n).expect("rows");
        assert!((found.low - low).abs() < 5e-4 && (found.high - high).abs() < 5e-4, "{hits}/{n}: {found:?}");
    }

    /// As R's `prop.test(.., correct = FALSE)` has them.
    #[test]
    fn shares_have_the_interval_of_wilson() {
        check(0, 10, 0.0, 0.2775);
        check(10, 10, 0.7225, 1.0);
        check(5, 10, 0.2366, 0.7634);
        check(950, 1000, 0.9347, 0.9619);
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn the_middle_of_the_resamples_is_the_interval() {
        let found = bootstrapped(50.0, (0..=100).rev().map(f64::from).collect(), 7);
        assert_eq!(found, Estimate { value: 50.0, low: 2.5, high: 97.5, n: 7 });
        assert_eq!(bootstrapped(1.0, Vec::new(), 0), Estimate { value: 1.0, low: 1.0, high: 1.0, n: 0 });
    }
}
