//! The order in which rows reach a learner.

/// The seeded hash of a row: the first 64 bits of BLAKE3 over the seed, the features'
/// bits and the label's bits, little-endian. Missing values and zeros have one spelling
/// each by now.
pub(super) fn row_hash(seed: u64, row: &[f32], label: f32) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = Vec::with_capacity((row.len() + 1) * 4);
    for value in row.iter().chain(std::iter::once(&label)) {
        bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    hasher.update(&bytes);
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// One spelling for each value: every NaN becomes the standard one, -0 becomes 0.
pub(super) fn canonical(value: f32) -> f32 {
    if value.is_nan() {
        f32::NAN
    } else {
        // -0.0 + 0.0 is 0.0 and nothing else changes.
        value + 0.0
    }
}

/// The row numbers in the order of their hashes, then of their content, so that rows with
/// equal hashes cannot reveal the order in which they arrived.
pub(super) fn content_order(
    width: usize,
    values: &[f32],
    labels: &[f32],
    hashes: &[u64],
) -> Vec<usize> {
    let content = |row: usize| {
        values[row * width..(row + 1) * width]
            .iter()
            .chain(std::iter::once(&labels[row]))
            .map(|value| value.to_bits())
    };
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_unstable_by(|&a, &b| {
        hashes[a]
            .cmp(&hashes[b])
            .then_with(|| content(a).cmp(content(b)))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::{canonical, content_order, row_hash};

    #[test]
    fn equal_hashes_fall_back_on_the_content() {
        let values = [3.0, 1.0, 2.0];
        let labels = [0.0, 0.0, 0.0];
        assert_eq!(content_order(1, &values, &labels, &[7, 7, 7]), [1, 2, 0]);
        assert_eq!(content_order(1, &values, &labels, &[1, 3, 2]), [0, 2, 1]);
    }

    #[test]
    fn the_hash_sees_the_seed_every_value_and_the_label() {
        let row = [1.0, f32::NAN];
        let hash = row_hash(1, &row, 0.0);
        assert_eq!(hash, row_hash(1, &row, 0.0));
        assert_ne!(hash, row_hash(2, &row, 0.0));
        assert_ne!(hash, row_hash(1, &row, 1.0));
        assert_ne!(hash, row_hash(1, &[2.0, f32::NAN], 0.0));
    }

    #[test]
    fn zeros_and_missing_values_have_one_spelling() {
        assert_eq!(canonical(-0.0).to_bits(), 0.0_f32.to_bits());
        let odd_nan = f32::from_bits(0x7fc0_1234);
        assert_eq!(canonical(odd_nan).to_bits(), f32::NAN.to_bits());
        assert_eq!(canonical(-1.5).to_bits(), (-1.5_f32).to_bits());
    }
}
