//! "Did you mean": the closest valid name.

/// The name among `names` that `written` most likely stands for, or `None` when none is
/// close: the fewest typing errors (in any case), at most one for every three letters,
/// else a Jaro-Winkler similarity of 0.8.
pub(crate) fn nearest<'a, S: AsRef<str> + ?Sized + 'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a S>,
) -> Option<String> {
    let lower = written.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter_map(|name| {
            let candidate = name.as_ref().to_lowercase();
            let errors = strsim::damerau_levenshtein(&lower, &candidate);
            let similarity = strsim::jaro_winkler(&lower, &candidate);
            (errors <= allowed || similarity >= 0.8).then_some((errors, name))
        })
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, name)| name.as_ref().to_owned())
}

/// ` (did you mean `x`?)`, or nothing.
pub(crate) fn hint(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name_and_noise_finds_none() {
        let names = ["learning_rate", "max_depth", "rounds"];
        assert_eq!(
            nearest("learnig_rate", names),
            Some("learning_rate".to_owned())
        );
        assert_eq!(nearest("MAX_DEPTH", names), Some("max_depth".to_owned()));
        assert_eq!(nearest("zzz", names), None);
        // A swap of two letters is nearer than a common prefix.
        assert_eq!(nearest("acu", ["accuracy", "auc"]), Some("auc".to_owned()));
        assert_eq!(
            nearest("valid", ["validation"]),
            Some("validation".to_owned())
        );
    }
}
