//! "Did you mean": the valid name that is closest to what was written.

pub use sluice_lake::nearest::nearest;

/// ``did you mean `x`?`` for the nearest candidate.
#[must_use]
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_no_strangers() {
        let keys = ["tables", "models", "vars", "lakehouse"];
        assert_eq!(nearest("tabels", keys), Some("tables"));
        assert_eq!(nearest("Models", keys), Some("models"));
        assert_eq!(nearest("var", keys), Some("vars"));
        assert_eq!(nearest("schedule", keys), None);
        assert_eq!(nearest("blob", ["bool"]), None);
        assert_eq!(nearest("tset", ["test"]), Some("test"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", keys), None);
    }
}
