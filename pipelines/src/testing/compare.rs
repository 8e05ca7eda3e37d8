//! Rows as they should be against rows as they are: as multisets, or in their order.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;

/// Rows that a difference tells, at most.
const MAX_TOLD: usize = 100;
/// Pairs of a missing and an extra row that are looked at for what they have in common, at most.
const MAX_PAIRS: usize = 250_000;

/// What differs between two sets of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The columns that were compared.
    pub columns: Vec<String>,
    /// Rows that were expected.
    pub expected: u64,
    /// Rows that were made.
    pub actual: u64,
    /// Whether the rows are right and only their order is not.
    pub only_order: bool,
    /// What differs: the first of it.
    pub rows: Vec<DifferentRow>,
    /// Rows that differ and are not told.
    pub more: u64,
}

/// A row that differs. Cells are as SQL shows them; texts that could be mistaken are in quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum DifferentRow {
    /// It was expected and is not there.
    Missing {
        /// Its cells.
        expected: Vec<String>,
    },
    /// It is there and was not expected.
    Extra {
        /// Its cells.
        actual: Vec<String>,
    },
    /// One that was expected and the one that is most like it.
    Changed {
        /// The cells of the first.
        expected: Vec<String>,
        /// The cells of the other.
        actual: Vec<String>,
        /// The positions of the columns in which they differ.
        columns: Vec<usize>,
    },
}

/// What differs between the rows of `made` and those that were `expected`, in the columns of
/// the latter; nothing when all are equal. `tolerance` is absolute, of floating-point columns.
///
/// # Errors
/// A column that `made` has not, or values that cannot be shown.
pub(super) fn compare(
    expected: &RecordBatch,
    made: &[RecordBatch],
    ordered: bool,
    tolerance: f64,
) -> Result<Option<Difference>, ArrowError> {
    let schema = expected.schema();
    let made = match made.first() {
        Some(first) => concat_batches(&first.schema(), made)?,
        None => RecordBatch::new_empty(expected.schema()),
    };
    let mut positions = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        positions.push(made.schema().index_of(field.name())?);
    }
    let made = made.project(&positions)?;
    let tables = Tables {
        expected: Rows::new(expected)?,
        actual: Rows::new(&made)?,
        tolerance,
    };
    let (missing, extra) = tables.unmatched();
    let only_order = missing.is_empty() && extra.is_empty();
    let mut rows = match (ordered, only_order) {
        (false, true) => Vec::new(),
        (false, false) => tables.paired(missing, extra),
        (true, _) => tables.in_order(),
    };
    if rows.is_empty() {
        return Ok(None);
    }
    let more = rows.len().saturating_sub(MAX_TOLD) as u64;
    rows.truncate(MAX_TOLD);
    let names = schema.fields().iter().map(|field| field.name().clone());
    Ok(Some(Difference {
        columns: names.collect(),
        expected: expected.num_rows() as u64,
        actual: made.num_rows() as u64,
        only_order,
        rows,
        more,
    }))
}

/// A value: NULL, or its text, with its number where it is a floating-point one.
#[derive(Debug, Clone)]
struct Value {
    text: Option<String>,
    number: Option<f64>,
}

/// Rows of values.
struct Rows {
    rows: Vec<Vec<Value>>,
    /// Which columns hold floating-point numbers.
    floats: Vec<bool>,
}

impl Rows {
    fn new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let mut rows: Vec<Vec<Value>> = vec![Vec::new(); batch.num_rows()];
        let mut floats = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            floats.push(column.data_type().is_floating());
            for (row, value) in rows.iter_mut().zip(values(column)?) {
                row.push(value);
            }
        }
        Ok(Self { rows, floats })
    }
}

fn values(column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(column, &options)?;
    let numbers = match column.data_type().is_floating() {
        true => Some(cast(column, &DataType::Float64)?),
        false => None,
    };
    let numbers = numbers
        .as_ref()
        .map(|array| array.as_primitive::<Float64Type>());
    let mut values = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        if column.is_null(row) {
            values.push(Value {
                text: None,
                number: None,
            });
            continue;
        }
        // As in SQL, the two zeros are equal.
        let text = match shown.value(row).try_to_string()? {
            zero if zero == "-0.0" => "0.0".to_owned(),
            text => text,
        };
        values.push(Value {
            text: Some(text),
            number: numbers.map(|numbers| numbers.value(row)),
        });
    }
    Ok(values)
}

/// What of a row has to be equal to the letter.
type Key = Vec<Option<String>>;
/// Rows that were expected, and rows that are there.
type Sides = (Vec<usize>, Vec<usize>);

struct Tables {
    expected: Rows,
    actual: Rows,
    tolerance: f64,
}

impl Tables {
    fn equal(&self, a: &Value, b: &Value) -> bool {
        if a.text == b.text {
            return true;
        }
        let near = |a: f64, b: f64| (a - b).abs() <= self.tolerance;
        matches!((a.number, b.number), (Some(a), Some(b)) if self.tolerance > 0.0 && near(a, b))
    }

    /// The columns in which two rows differ.
    fn differing(&self, expected: usize, actual: usize) -> Vec<usize> {
        let (a, b) = (&self.expected.rows[expected], &self.actual.rows[actual]);
        let columns = a.iter().zip(b).enumerate();
        let differ = columns.filter(|(_, (a, b))| !self.equal(a, b));
        differ.map(|(column, _)| column).collect()
    }

    /// What has to be equal to the letter: all of a row, but for numbers with a tolerance.
    fn key(&self, rows: &Rows, row: usize) -> Key {
        let exact = |column: usize| self.tolerance == 0.0 || !rows.floats[column];
        let cells = rows.rows[row].iter().enumerate();
        let cells = cells.filter(|(column, _)| exact(*column));
        cells.map(|(_, value)| value.text.clone()).collect()
    }

    /// The rows of either side that have no equal on the other, with as many pairs as can be.
    fn unmatched(&self) -> (Vec<usize>, Vec<usize>) {
        let mut groups: HashMap<Key, Sides> = HashMap::new();
        for row in 0..self.expected.rows.len() {
            let group = groups.entry(self.key(&self.expected, row)).or_default();
            group.0.push(row);
        }
        for row in 0..self.actual.rows.len() {
            let group = groups.entry(self.key(&self.actual, row)).or_default();
            group.1.push(row);
        }
        let (mut missing, mut extra) = (Vec::new(), Vec::new());
        for (expected, actual) in groups.into_values() {
            let partners = self.matched(&expected, &actual);
            let taken = |row: &usize| partners.iter().any(|partner| partner == &Some(*row));
            let alone = expected.iter().zip(&partners);
            let alone = alone.filter(|(_, partner)| partner.is_none());
            missing.extend(alone.map(|(row, _)| *row));
            extra.extend(actual.into_iter().filter(|row| !taken(row)));
        }
        missing.sort_unstable();
        extra.sort_unstable();
        (missing, extra)
    }

    /// For each row of one side its partner on the other: a largest matching (Kuhn's
    /// algorithm), since nearness is not transitive and a greedy choice may leave one alone.
    fn matched(&self, expected: &[usize], actual: &[usize]) -> Vec<Option<usize>> {
        if self.tolerance == 0.0 {
            let pairs = expected.iter().enumerate();
            return pairs.map(|(at, _)| actual.get(at).copied()).collect();
        }
        let mut owner: Vec<Option<usize>> = vec![None; actual.len()];
        for at in 0..expected.len() {
            let mut seen = vec![false; actual.len()];
            self.augment(at, (expected, actual), &mut owner, &mut seen);
        }
        let mut partners = vec![None; expected.len()];
        for (row, owner) in actual.iter().zip(owner) {
            if let Some(owner) = owner {
                partners[owner] = Some(*row);
            }
        }
        partners
    }

    /// Finds a partner for `at`, moving others to other partners where that helps.
    fn augment(
        &self,
        at: usize,
        sides: (&[usize], &[usize]),
        owner: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        let (expected, actual) = sides;
        for candidate in 0..actual.len() {
            if seen[candidate] || !self.differing(expected[at], actual[candidate]).is_empty() {
                continue;
            }
            seen[candidate] = true;
            let free = match owner[candidate] {
                None => true,
                Some(other) => self.augment(other, sides, owner, seen),
            };
            if free {
                owner[candidate] = Some(at);
                return true;
            }
        }
        false
    }

    /// Missing rows, each beside the extra one that has the most in common with it, if that
    /// is at least half of it; then the other extra rows.
    fn paired(&self, missing: Vec<usize>, mut extra: Vec<usize>) -> Vec<DifferentRow> {
        let pairs = missing.len().saturating_mul(extra.len()) <= MAX_PAIRS;
        let mut rows = Vec::with_capacity(missing.len() + extra.len());
        for row in missing {
            let width = self.expected.rows[row].len();
            let candidates = extra.iter().enumerate().filter(|_| pairs);
            let nearest = candidates
                .map(|(at, other)| (self.differing(row, *other).len(), at))
                .min()
                .filter(|(differing, _)| differing * 2 <= width && *differing < width);
            rows.push(match nearest {
                Some((_, at)) => self.changed(row, extra.remove(at)),
                None => self.missing(row),
            });
        }
        rows.extend(extra.into_iter().map(|row| self.extra(row)));
        rows
    }

    /// The rows that are not what they should be where they stand.
    fn in_order(&self) -> Vec<DifferentRow> {
        let (expected, actual) = (self.expected.rows.len(), self.actual.rows.len());
        let both = (0..expected.min(actual)).filter(|row| !self.differing(*row, *row).is_empty());
        let both = both.map(|row| self.changed(row, row));
        let missing = (actual..expected).map(|row| self.missing(row));
        let extra = (expected..actual).map(|row| self.extra(row));
        both.chain(missing).chain(extra).collect()
    }

    fn missing(&self, row: usize) -> DifferentRow {
        DifferentRow::Missing {
            expected: shown(&self.expected.rows[row]),
        }
    }

    fn extra(&self, row: usize) -> DifferentRow {
        DifferentRow::Extra {
            actual: shown(&self.actual.rows[row]),
        }
    }

    fn changed(&self, expected: usize, actual: usize) -> DifferentRow {
        DifferentRow::Changed {
            expected: shown(&self.expected.rows[expected]),
            actual: shown(&self.actual.rows[actual]),
            columns: self.differing(expected, actual),
        }
    }
}

fn shown(row: &[Value]) -> Vec<String> {
    let cells = row.iter().map(|value| match &value.text {
        None => "NULL".to_owned(),
        Some(text) if is_plain(text) => text.clone(),
        Some(text) => format!("{text:?}"),
    });
    cells.collect()
}

/// Whether a text is seen for what it is without quotes.
fn is_plain(text: &str) -> bool {
    let odd = text.is_empty() || text == "NULL" || text.trim() != text || text.starts_with('"');
    !odd && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(&str, f64)]) -> RecordBatch {
        let texts: Vec<Option<&str>> = rows
            .iter()
            .map(|(text, _)| (*text != "-").then_some(*text))
            .collect();
        let numbers = Float64Array::from_iter_values(rows.iter().map(|(_, number)| *number));
        RecordBatch::try_from_iter_with_nullable([
            ("a", Arc::new(StringArray::from(texts)) as ArrayRef, true),
            ("x", Arc::new(numbers) as ArrayRef, true),
        ])
        .unwrap()
    }

    fn told(
        expected: &[(&str, f64)],
        made: &[(&str, f64)],
        ordered: bool,
        tolerance: f64,
    ) -> Option<Difference> {
        compare(&batch(expected), &[batch(made)], ordered, tolerance).unwrap()
    }

    #[test]
    fn rows_are_a_multiset_unless_their_order_is_asked_for() {
        let (one, two) = (("p", 1.0), ("-", 2.0));
        assert_eq!(told(&[one, two, one], &[two, one, one], false, 0.0), None);
        let fewer = told(&[one, two, one], &[two, one], false, 0.0).unwrap();
        let expected = vec!["p".to_owned(), "1.0".to_owned()];
        assert_eq!(fewer.rows, [DifferentRow::Missing { expected }]);
        let swapped = told(&[one, two], &[two, one], true, 0.0).unwrap();
        assert!(swapped.only_order);
        assert_eq!(swapped.rows.len(), 2);
        assert_eq!(told(&[one, two], &[one, two], true, 0.0), None);
    }

    #[test]
    fn the_nearest_row_stands_beside_a_missing_one() {
        let found = told(
            &[("p", 1.0), ("q", 2.0)],
            &[("z", 9.0), ("q", 2.5)],
            false,
            0.0,
        );
        let rows = found.unwrap().rows;
        assert!(
            matches!(&rows[0], DifferentRow::Missing { expected } if expected[0] == "p"),
            "{rows:?}"
        );
        assert!(
            matches!(&rows[1], DifferentRow::Changed { columns, .. } if *columns == [1]),
            "{rows:?}"
        );
        assert!(
            matches!(&rows[2], DifferentRow::Extra { actual } if actual[0] == "z"),
            "{rows:?}"
        );
    }

    #[test]
    fn a_tolerance_is_kept_and_no_row_is_left_alone_for_a_greedy_choice() {
        // 1.0 goes with 1.05 and with 1.0; 1.1 only with 1.05.
        let found = told(
            &[("p", 1.0), ("p", 1.1)],
            &[("p", 1.05), ("p", 1.0)],
            false,
            0.06,
        );
        assert_eq!(found, None);
        assert!(told(&[("p", 1.0)], &[("p", 1.05)], false, 0.01).is_some());
        assert!(told(&[("p", 1.0)], &[("q", 1.0)], false, 9.0).is_some());
        assert_eq!(told(&[("p", -0.0)], &[("p", 0.0)], false, 0.0), None);
        assert_eq!(
            told(&[("p", f64::NAN)], &[("p", f64::NAN)], true, 0.0),
            None
        );
    }

    #[test]
    fn null_is_no_text_and_texts_that_mislead_are_quoted() {
        let found = told(&[("-", 1.0)], &[("NULL", 1.0)], false, 0.0).unwrap();
        let DifferentRow::Changed {
            expected, actual, ..
        } = &found.rows[0]
        else {
            panic!("{found:?}");
        };
        assert_eq!(
            (expected[0].as_str(), actual[0].as_str()),
            ("NULL", "\"NULL\"")
        );
    }

    proptest! {
        /// Shuffled rows are equal; one row more is told as exactly that row.
        #[test]
        fn one_row_more_is_one_difference(
            rows in prop::collection::vec((0_u8..4, 0_u8..4), 1..30),
            more in (0_u8..5, 0_u8..5),
            turn in 0_usize..30,
        ) {
            let names = ["p", "q", "-", "NULL", "z"];
            let row = |(a, x): (u8, u8)| (names[usize::from(a)], f64::from(x));
            let expected: Vec<(&str, f64)> = rows.iter().copied().map(row).collect();
            let mut made = expected.clone();
            made.rotate_left(turn % rows.len());
            prop_assert_eq!(told(&expected, &made, false, 0.0), None);
            prop_assert_eq!(told(&expected, &made, false, 1e-9), None);
            made.insert(turn % rows.len(), row(more));
            for tolerance in [0.0, 1e-9] {
                let found = told(&expected, &made, false, tolerance).unwrap();
                prop_assert_eq!(found.rows.len(), 1);
                let is_extra = matches!(found.rows[0], DifferentRow::Extra { .. });
                prop_assert!(is_extra);
            }
        }
    }
}
