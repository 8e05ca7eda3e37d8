//! The order in which rows reach a learner.

/// All that learners see of a row.
pub(super) struct Content<'r> {
    pub(super) values: &'r [f32],
    pub(super) label: f32,
    /// Where the table has weights.
    pub(super) weight: Option<f32>,
}

impl Content<'_> {
    fn bits(&self) -> impl Iterator<Item = u32> {
        let values = self.values.iter().chain(std::iter::once(&self.label));
        values.chain(&self.weight).map(|value| value.to_bits())
    }
}

/// The seeded hash of a row: the first 64 bits of BLAKE3 over the seed, the features' bits,
/// the label's bits and the weight's, if there is one, little-endian. Missing values and
/// zeros have one spelling each by now.
pub(super) fn row_hash(seed: u64, row: &Content<'_>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = Vec::with_capacity((row.values.len() + 2) * 4);
    for bits in row.bits() {
        bytes.extend_from_slice(&bits.to_le_bytes());
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
pub(super) fn content_order<'r>(
    hashes: &[u64],
    content: impl Fn(usize) -> Content<'r>,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_unstable_by(|&a, &b| {
        hashes[a]
            .cmp(&hashes[b])
            .then_with(|| content(a).bits().cmp(content(b).bits()))
    });
    order
}

#[cfg(test)]
mod tests {
    use super::{Content, canonical, content_order, row_hash};

    #[test]
    fn equal_hashes_fall_back_on_the_content() {
        let values = [3.0, 1.0, 2.0];
        let row = |row: usize| Content {
            values: &values[row..=row],
            label: 0.0,
            weight: None,
        };
        assert_eq!(content_order(&[7, 7, 7], row), [1, 2, 0]);
        assert_eq!(content_order(&[1, 3, 2], row), [0, 2, 1]);
    }

    #[test]
    fn the_hash_sees_the_seed_every_value_the_label_and_the_weight() {
        let hash = |seed, values: &[f32], label, weight| {
            row_hash(
                seed,
                &Content {
                    values,
                    label,
                    weight,
                },
            )
        };
        let row = [1.0, f32::NAN];
        let first = hash(1, &row, 0.0, None);
        assert_eq!(first, hash(1, &row, 0.0, None));
        assert_ne!(first, hash(2, &row, 0.0, None));
        assert_ne!(first, hash(1, &row, 1.0, None));
        assert_ne!(first, hash(1, &[2.0, f32::NAN], 0.0, None));
        assert_ne!(first, hash(1, &row, 0.0, Some(1.0)));
    }

    #[test]
    fn zeros_and_missing_values_have_one_spelling() {
        assert_eq!(canonical(-0.0).to_bits(), 0.0_f32.to_bits());
        let odd_nan = f32::from_bits(0x7fc0_1234);
        assert_eq!(canonical(odd_nan).to_bits(), f32::NAN.to_bits());
        assert_eq!(canonical(-1.5).to_bits(), (-1.5_f32).to_bits());
    }
}
