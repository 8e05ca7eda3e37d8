//! The random numbers that decide which rows a tree sees.

/// SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*,
/// OOPSLA 2014). Written out here because a model's bytes depend on it: no dependency's
/// upgrade may change them.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator for stream number `stream` of `seed`; streams do not depend on each
    /// other's length, so trees can draw in any order.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        let mut mixer = Self { state: seed };
        let base = mixer.next_u64();
        let mut generator = Self {
            state: base ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        generator.next_u64();
        generator
    }

    /// The next 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`, by Lemire's multiplication (*Fast random integer
    /// generation in an interval*, 2019) without its rejection step: the bias is below
    /// `bound / 2^64`. `bound` must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * (bound as u128);
        (product >> 64) as usize
    }

    /// `count` row numbers out of `0..rows` with replacement, ascending.
    pub(crate) fn with_replacement(&mut self, rows: usize, count: usize) -> Vec<usize> {
        let mut drawn: Vec<usize> = (0..count).map(|_| self.below(rows)).collect();
        drawn.sort_unstable();
        drawn
    }

    /// `count` different row numbers out of `0..rows`, ascending (Knuth's selection
    /// sampling, TAOCP 3.4.2, algorithm S). `count` must not exceed `rows`.
    pub(crate) fn without_replacement(&mut self, rows: usize, count: usize) -> Vec<usize> {
        let mut drawn = Vec::with_capacity(count);
        for row in 0..rows {
            if self.below(rows - row) < count - drawn.len() {
                drawn.push(row);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    #[test]
    fn reference_values_of_splitmix64() {
        // The first outputs for seed 1234567, as in the reference implementation.
        let mut generator = SplitMix64 { state: 1_234_567 };
        assert_eq!(generator.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(generator.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_in_range_and_are_the_right_number() {
        let mut generator = SplitMix64::stream(7, 3);
        let with = generator.with_replacement(100, 250);
        assert_eq!(with.len(), 250);
        assert!(with.iter().all(|&row| row < 100));
        let without = generator.without_replacement(100, 60);
        assert_eq!(without.len(), 60);
        assert!(without.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(
            generator.without_replacement(5, 5),
            vec![0, 1, 2, 3, 4],
            "all rows"
        );
    }

    #[test]
    fn streams_differ() {
        let a = SplitMix64::stream(1, 0).next_u64();
        let b = SplitMix64::stream(1, 1).next_u64();
        let c = SplitMix64::stream(2, 0).next_u64();
        assert!(a != b && a != c && b != c);
    }
}
