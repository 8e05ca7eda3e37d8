//! Sums that do not depend on the order of their terms.
//!
//! A term is added without an error to a pair of floats (Knuth's two-sum), which holds some
//! 106 bits; rounded to one float at the end, the order of the terms is no longer seen.

/// A sum as two floats that do not overlap.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    high: f64,
    low: f64,
}

/// `a + b` as the rounded sum and what rounding lost.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

impl Sum {
    pub(crate) fn add(&mut self, term: f64) {
        let (sum, lost) = two_sum(self.high, term);
        let (high, low) = two_sum(sum, lost + self.low);
        (self.high, self.low) = (high, low);
    }

    /// Adds `x * x`, exactly.
    pub(crate) fn add_square(&mut self, x: f64) {
        let square = x * x;
        self.add(square);
        let lost = x.mul_add(x, -square);
        if lost.is_finite() {
            self.add(lost);
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    /// `(squares - self^2 / n)`: the sum of squared distances from the mean, where `self` is
    /// the sum of `n` terms and `squares` that of their squares.
    pub(crate) fn squared_distances(self, squares: Self, n: f64) -> f64 {
        let product = self.high * self.high;
        let lost = self.high.mul_add(self.high, -product) + 2.0 * self.high * self.low;
        let quotient = product / n;
        let rest = (-quotient).mul_add(n, product) + lost;
        let mut distances = squares;
        distances.add(-quotient);
        distances.add(-rest / n);
        distances.value().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_around_a_far_mean_is_right() {
        // Microseconds since 1970, a second apart: the mean is 1e9 times the spread.
        let far = 1.7e15;
        let (mut sum, mut squares) = (Sum::default(), Sum::default());
        let terms: Vec<f64> = (0..1_000).map(|i| far + f64::from(i) * 1e6).collect();
        for term in &terms {
            sum.add(*term);
            squares.add_square(*term);
        }
        let spread = sum.squared_distances(squares, 1_000.0);
        // The sum of squares of 0..1000 around their mean is n (n^2 - 1) / 12.
        let truth = 1_000.0 * (1e6 - 1.0) / 12.0 * 1e12;
        assert!((spread / truth - 1.0).abs() < 1e-9, "{spread} {truth}");
        let (mut back, mut back_squares) = (Sum::default(), Sum::default());
        for term in terms.iter().rev() {
            back.add(*term);
            back_squares.add_square(*term);
        }
        assert_eq!(sum.value(), back.value());
        assert_eq!(spread, back.squared_distances(back_squares, 1_000.0));
    }
}
