//! The arithmetic of the operations, in `f32` for training and `f64` for gradient checks.
//!
//! The functions for `f32` are branch-free, so that the compiler turns a loop over them
//! into vector instructions. None of them fuses a multiplication with an addition: the
//! same numbers come out with and without AVX.

use std::ops::Neg;

use candle_core::WithDType;

/// A number that the operations compute with.
pub(crate) trait Real: WithDType + Neg<Output = Self> {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// `e^self`; for `f32` within 2 units in the last place, and 0 only up to rounding.
    fn exp(self) -> Self;
    /// The error function; for `f32` within 4e-7.
    fn erf(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    /// Cephes' `expf` (Moshier): reduction by multiples of ln 2, then a polynomial. NaN
    /// stays NaN.
    #[inline(always)]
    fn exp(self) -> Self {
        /// 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.0, 88.0);
        let rounded = x * std::f32::consts::LOG2_E + ROUND;
        let n = rounded - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4_f32;
        for c in [
            1.398_2e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            p = p * r + c;
        }
        let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
        (p * r * r + r + 1.0) * power
    }

    /// The rational approximation that Eigen and XLA use, of x in [-4, 4]; beyond, it is
    /// ±1 to the last bit but one. NaN stays NaN.
    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.clamp(-4.0, 4.0);
        let square = x * x;
        let mut p = -2.726_142_3e-10_f32;
        for c in [
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_5e-5,
            -7.349_906_4e-4,
            -2.954_6e-3,
            -1.609_603_4e-2,
        ] {
            p = p * square + c;
        }
        let mut q = -1.456_607_2e-5_f32;
        for c in [
            -2.133_740_6e-4,
            -1.682_827e-3,
            -7.373_329_3e-3,
            -1.426_474e-2,
        ] {
            q = q * square + c;
        }
        (x * p / q).clamp(-1.0, 1.0)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
}

/// Runs `work` compiled for AVX2 where the processor has it. What `work` calls must be
/// `#[inline(always)]`, or it stays as it is.
#[inline]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(simd, work);
    }
    work()
}

/// Independent sums side by side, so that adding up can be vectorised.
const LANES: usize = 16;

/// The sum of `f(i)` over `0..count`, in an order that depends on `count` only.
#[inline(always)]
pub(crate) fn sum<T: Real>(count: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let whole = count / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(start + lane);
        }
        start += LANES;
    }
    for i in whole..count {
        lanes[i - whole] += f(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest of `f(i)` over `0..count` and `least`; NaN does not count.
#[inline(always)]
pub(crate) fn largest<T: Real>(count: usize, least: T, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [least; LANES];
    let whole = count / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, most) in lanes.iter_mut().enumerate() {
            let value = f(start + lane);
            *most = if value > *most { value } else { *most };
        }
        start += LANES;
    }
    let mut most = least;
    for i in whole..count {
        let value = f(i);
        most = if value > most { value } else { most };
    }
    for value in lanes {
        most = if value > most { value } else { most };
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{Real, largest, sum};

    #[test]
    fn exponentials_and_error_functions_are_those_of_f64() {
        let mut x = -12.0_f32;
        while x < 12.0 {
            let exact = f64::from(x).exp();
            let relative = (f64::from(Real::exp(x)) - exact).abs() / exact;
            assert!(relative < 2.5e-7, "exp({x}) is off by {relative}");
            let exact = Real::erf(f64::from(x));
            let error = (f64::from(Real::erf(x)) - exact).abs();
            assert!(error < 4e-7, "erf({x}) is off by {error}");
            x += 0.003;
        }
        assert!(Real::exp(-1000.0_f32) < 1e-37);
        assert!(Real::exp(1000.0_f32).is_finite());
        assert!(Real::exp(f32::NAN).is_nan() && Real::erf(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_of_any_length_are_complete() {
        for count in [0_usize, 1, 15, 16, 17, 100] {
            let total: f64 = sum(count, |i| i as f64);
            assert_eq!(total, (count * count.saturating_sub(1) / 2) as f64);
            let most = largest(count, -1.0, |i| (i as f64 - 20.0).abs());
            let expected = (0..count).map(|i| (i as f64 - 20.0).abs());
            assert_eq!(most, expected.fold(-1.0, f64::max));
        }
    }
}
