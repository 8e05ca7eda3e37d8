//! "Did you mean": the valid name that is closest to what was written.

/// The candidate nearest to `name`, if one is near enough to be a likely slip.
///
/// Differences of case are ignored. A candidate is near when at most about a third of the
/// longer name would have to be edited (optimal string alignment: a swap of neighbours is one edit),
/// or when one of the two begins with the other. Ties go to the first candidate.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other = candidate.to_lowercase();
        let distance = strsim::osa_distance(&wanted, &other);
        let longest = wanted.chars().count().max(other.chars().count());
        let prefix = wanted.len() >= 3
            && other.len() >= 3
            && (wanted.starts_with(&other) || other.starts_with(&wanted));
        let allowed = ((longest + 1) / 3).max(1);
        let near = distance <= allowed.min(longest.saturating_sub(1)) || prefix;
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

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
