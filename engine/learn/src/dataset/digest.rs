//! What identifies the rows that a learner sees.

use super::{Dataset, Splits};

/// Floats that are spelled out at once.
const FLOATS: usize = 16 * 1024;

impl Splits {
    /// 32 hexadecimal digits of BLAKE3 over all that learners see: the columns with their
    /// categories and classes, of each split the features, labels and weights in the order in
    /// which they are learned, and the folds.
    ///
    /// Tables with the same rows give the same digest, whatever the order, the files and the
    /// versions in which they are stored; so do tables that differ in excluded columns alone.
    pub fn digest(&self) -> String {
        // Taken apart, so that a part that is added cannot be forgotten here.
        let Self {
            train,
            validation,
            test,
            straddling: _,
            folds,
        } = self;
        let mut hasher = blake3::Hasher::new();
        let plan = serde_json::to_vec(train.plan().as_ref())
            .expect("a plan of names, types and values has a JSON form");
        put_length(&mut hasher, plan.len());
        hasher.update(&plan);
        for part in [train, validation, test] {
            put_part(&mut hasher, part);
        }
        if let Some(folds) = folds {
            put_length(&mut hasher, folds.count());
            let of_rows = folds.of_rows().iter();
            let of_rows: Vec<u8> = of_rows.flat_map(|fold| fold.to_le_bytes()).collect();
            hasher.update(&of_rows);
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }
}

fn put_part(hasher: &mut blake3::Hasher, part: &Dataset) {
    let Dataset {
        plan: _,
        values,
        labels,
        weights,
    } = part;
    put_length(hasher, labels.len());
    put_floats(hasher, values);
    put_floats(hasher, labels);
    hasher.update(&[u8::from(weights.is_some())]);
    if let Some(weights) = weights {
        put_floats(hasher, weights);
    }
}

fn put_length(hasher: &mut blake3::Hasher, length: usize) {
    hasher.update(&(length as u64).to_le_bytes());
}

/// Missing values and zeros have one spelling each by now.
fn put_floats(hasher: &mut blake3::Hasher, values: &[f32]) {
    let mut bytes = Vec::with_capacity(values.len().min(FLOATS) * 4);
    for some in values.chunks(FLOATS) {
        bytes.clear();
        bytes.extend(some.iter().flat_map(|value| value.to_bits().to_le_bytes()));
        hasher.update(&bytes);
    }
}
