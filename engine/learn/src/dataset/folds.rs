//! Rows dealt into folds: groups of rows that belong together stay together, and each fold
//! has its share of the rows and of each class.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};

use super::Dataset;
use crate::error::LearnError;
use crate::features::Task;

/// Folds that rows may be dealt into.
pub const FOLDS: std::ops::RangeInclusive<usize> = 2..=1_000;

/// How rows are dealt into folds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldSpec {
    /// How many folds: of [`FOLDS`].
    pub count: usize,
    /// Columns whose rows of equal values stay in one fold (scikit-learn's `groups`); without
    /// any, equal rows do.
    pub by: Vec<String>,
    /// Another seed deals otherwise.
    pub seed: u64,
}

/// The fold of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    count: usize,
    of_row: Vec<u32>,
}

impl Folds {
    /// How many folds there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The fold of each row, from 0.
    pub fn of_rows(&self) -> &[u32] {
        &self.of_row
    }

    /// The rows of one fold, and those of all others.
    pub(crate) fn rows(&self, fold: usize) -> (Vec<usize>, Vec<usize>) {
        let own = |row: &usize| self.of_row[*row] as usize == fold;
        (0..self.of_row.len()).partition(own)
    }
}

/// Rows that stay together.
struct Group {
    hash: u64,
    rows: usize,
    /// Rows of each class that occurs, by its code.
    classes: Vec<(usize, usize)>,
}

/// Deals rows, of which those with equal `groups` stay together. The largest groups go first,
/// equally large ones in the order of their hashes, each to the fold that has the least of
/// its classes so far, then to that with the fewest rows. Of single rows every fold thus gets
/// the same number, give or take one, of each class (as `StratifiedKFold`); numbers to predict
/// are one class (`KFold`, `GroupKFold`).
///
/// # Errors
///
/// Fewer groups than folds, in all or of one class.
pub(super) fn deal(groups: &[u64], rows: &Dataset, spec: &FoldSpec) -> Result<Folds, LearnError> {
    let label = &rows.plan().label;
    let classes = match label.task {
        Task::Regression => 1,
        Task::Binary | Task::Multiclass => label.classes.len(),
    };
    let class = |row: usize| match label.task {
        Task::Regression => 0,
        Task::Binary | Task::Multiclass => rows.labels()[row] as usize,
    };
    let mut gathered = gather(groups, class);
    let too_few = |groups: usize, class: Option<usize>| LearnError::TooFewForFolds {
        groups,
        class: class.map(|class| label.classes[class].to_string()),
        folds: spec.count,
        by: !spec.by.is_empty(),
    };
    if gathered.len() < spec.count {
        return Err(too_few(gathered.len(), None));
    }
    if label.task != Task::Regression {
        let mut of_class = vec![0_usize; classes];
        for (class, _) in gathered.iter().flat_map(|group| &group.classes) {
            of_class[*class] += 1;
        }
        if let Some(class) = of_class.iter().position(|&groups| groups < spec.count) {
            return Err(too_few(of_class[class], Some(class)));
        }
    }
    gathered.sort_unstable_by(|a, b| b.rows.cmp(&a.rows).then(a.hash.cmp(&b.hash)));
    let fold_of = place(&gathered, classes, spec.count);
    Ok(Folds {
        count: spec.count,
        of_row: groups.iter().map(|hash| fold_of[hash]).collect(),
    })
}

/// The groups, in some order.
fn gather(groups: &[u64], class: impl Fn(usize) -> usize) -> Vec<Group> {
    let mut gathered: Vec<Group> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for (row, &hash) in groups.iter().enumerate() {
        let place = *places.entry(hash).or_insert(gathered.len());
        if place == gathered.len() {
            gathered.push(Group {
                hash,
                rows: 0,
                classes: Vec::new(),
            });
        }
        let (group, class) = (&mut gathered[place], class(row));
        group.rows += 1;
        match group.classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => group.classes.push((class, 1)),
        }
    }
    for group in &mut gathered {
        group.classes.sort_unstable();
    }
    gathered
}

/// The fold of each group, by its hash.
fn place(groups: &[Group], classes: usize, folds: usize) -> HashMap<u64, u32> {
    let mut totals = vec![0_usize; classes];
    for (class, count) in groups.iter().flat_map(|group| &group.classes) {
        totals[*class] += count;
    }
    let mut rows = vec![0_usize; folds];
    let mut of_class = vec![0_usize; folds * classes];
    let mut fold_of = HashMap::with_capacity(groups.len());
    for group in groups {
        // How full a fold is of what the group brings, each class by its share.
        let full = |fold: usize| -> f64 {
            let parts = group.classes.iter().map(|&(class, count)| {
                count as f64 * of_class[fold * classes + class] as f64 / totals[class] as f64
            });
            parts.sum()
        };
        let mut best = (0, full(0));
        for fold in 1..folds {
            let full = full(fold);
            if full < best.1 || (full == best.1 && rows[fold] < rows[best.0]) {
                best = (fold, full);
            }
        }
        let (fold, _) = best;
        rows[fold] += group.rows;
        for &(class, count) in &group.classes {
            of_class[fold * classes + class] += count;
        }
        fold_of.insert(group.hash, fold as u32);
    }
    fold_of
}

/// The seeded hash of each row of some columns: the first 64 bits of BLAKE3 over the seed and
/// the texts with their lengths, little-endian. NULL is a value of its own.
pub(super) fn value_hashes(columns: &[StringArray], seed: u64) -> Vec<u64> {
    let rows = columns.first().map_or(0, |column| column.len());
    let hash = |row: usize| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        for column in columns {
            if column.is_null(row) {
                hasher.update(&u64::MAX.to_le_bytes());
            } else {
                let text = column.value(row);
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        let mut first = [0_u8; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    };
    (0..rows).map(hash).collect()
}
