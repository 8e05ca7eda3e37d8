//! "Did you mean": the closest valid name.

/// The name among `names` that `written` most likely stands for, or `None` when none is
/// close: a different case counts as equal, otherwise Jaro-Winkler similarity of 0.8.
pub(crate) fn nearest<'a, S: AsRef<str> + ?Sized + 'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a S>,
) -> Option<String> {
    let lower = written.to_lowercase();
    names
        .into_iter()
        .map(|name| {
            let name = name.as_ref();
            (strsim::jaro_winkler(&lower, &name.to_lowercase()), name)
        })
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
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
    }
}
