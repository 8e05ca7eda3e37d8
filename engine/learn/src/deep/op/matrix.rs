//! Products of matrices on one thread, of numbers that lie anywhere in memory.
//!
//! candle multiplies whole tensors on all threads. What shares its rows out itself needs a
//! product of some of them, added to what is there, without a copy.

#![expect(
    unsafe_code,
    reason = "gemm takes pointers; each access is checked to lie within its slice"
)]

use super::real::Real;

/// Numbers in memory, read as a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    /// From a number to the one below it.
    down: usize,
    /// From a number to the one beside it.
    across: usize,
}

impl<'a, T: Real> Matrix<'a, T> {
    /// `columns` numbers at the start of every `step`, `rows` times.
    pub(super) fn of(values: &'a [T], rows: usize, columns: usize, step: usize) -> Self {
        assert!(columns <= step || rows <= 1, "rows do not overlap");
        let end = if rows == 0 || columns == 0 {
            0
        } else {
            (rows - 1) * step + columns
        };
        assert!(end <= values.len(), "a matrix lies within its numbers");
        Self {
            values,
            rows,
            columns,
            down: step,
            across: 1,
        }
    }

    /// The same numbers with rows for columns.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            down: self.across,
            across: self.down,
            ..self
        }
    }
}

/// Writes the product of `a` and `b` to the first columns of `out`, whose rows begin every
/// `step` numbers; with `add`, adds it to what is there.
pub(super) fn multiply<T: Real>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [T],
    step: usize,
    add: bool,
) {
    assert_eq!(a.columns, b.rows, "shapes go together");
    let (rows, columns, depth) = (a.rows, b.columns, a.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= step || rows == 1, "rows do not overlap");
    assert!(
        (rows - 1) * step + columns <= out.len(),
        "a product lies within its numbers"
    );
    let signed = |step: usize| isize::try_from(step).expect("no slice is longer than isize::MAX");
    // SAFETY: `T` is `f32` or `f64`, which gemm knows. It reads `a[i * down + j * across]` for
    // `i < rows` and `j < columns`, and `b` likewise: `Matrix::of` checked the furthest of
    // them, and no field changes after it but by `transposed`, under which the set of places
    // stays. It writes `out[i * step + j]` for `i < rows`, `j < columns`; the furthest is
    // checked above, the slice is ours alone, and rows do not overlap.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            signed(step),
            add,
            a.values.as_ptr(),
            signed(a.across),
            signed(a.down),
            b.values.as_ptr(),
            signed(b.across),
            signed(b.down),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, multiply};

    #[test]
    fn products_are_written_where_they_belong() {
        // [[1, 2], [3, 4], [5, 6]] within rows of 3.
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 5.0, 6.0];
        let a = Matrix::of(&a, 3, 2, 3);
        let b = [1.0, 10.0, 100.0, 1000.0];
        let b = Matrix::of(&b, 2, 2, 2);
        let mut out = [7.0; 9];
        multiply(a, b, &mut out, 3, false);
        assert_eq!(
            out,
            [201.0, 2010.0, 7.0, 403.0, 4030.0, 7.0, 605.0, 6050.0, 7.0]
        );
        multiply(a, b.transposed(), &mut out, 3, true);
        assert_eq!(out[..3], [201.0 + 21.0, 2010.0 + 2100.0, 7.0]);
        let mut square = [0.0; 4];
        multiply(a.transposed(), a, &mut square, 2, false);
        assert_eq!(square, [35.0, 44.0, 44.0, 56.0]);
    }

    #[test]
    #[should_panic(expected = "a matrix lies within its numbers")]
    fn a_matrix_beyond_its_numbers_is_refused() {
        let _ = Matrix::of(&[1.0_f32; 5], 2, 3, 3);
    }

    #[test]
    #[should_panic(expected = "a product lies within its numbers")]
    fn a_product_beyond_its_numbers_is_refused() {
        let ones = [1.0_f32; 6];
        let a = Matrix::of(&ones, 2, 3, 3);
        multiply(a, a.transposed(), &mut [0.0; 3], 2, false);
    }
}
