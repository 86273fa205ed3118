//! Triton's `classification`: in place of a tensor of numbers its best few, as strings that clients know how to split.

use bytes::Bytes;

/// `score:index:label`, with the six decimals of Triton; without the label where there is none.
pub(crate) fn entry(score: f64, idx: usize, label: Option<&str>) -> Bytes {
    match label {
        Some(label) => format!("{score:.6}:{idx}:{label}").into(),
        None => format!("{score:.6}:{idx}").into(),
    }
}

/// Positions of the `n` largest, best first; equals in order of position, numbers before NaN.
pub(crate) fn best(scores: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let key = |idx: &usize| if scores[*idx].is_nan() { f64::NEG_INFINITY } else { scores[*idx] };
    order.sort_by(|a, b| key(b).total_cmp(&key(a)));
    order.truncate(n);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_as_tritons() {
        assert_eq!(entry(0.5, 3, Some("a:b")), "0.500000:3:a:b");
        assert_eq!(entry(-1.25, 0, None), "-1.250000:0");
    }

    #[test]
    fn the_best_come_first_and_a_nan_last() {
        assert_eq!(best(&[0.1, f64::NAN, 0.7, 0.7], 4), [2, 3, 0, 1]);
        assert_eq!(best(&[0.1, 0.7], 1), [1]);
        assert_eq!(best(&[], 3), [0; 0]);
    }
}
