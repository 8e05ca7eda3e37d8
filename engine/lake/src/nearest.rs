//! "Did you mean ...?": the valid name closest to one that is not.

use strsim::{damerau_levenshtein, jaro_winkler};

/// Comparing takes the product of the lengths: longer ones are no slip of the finger.
const LONGEST_NAME_BYTES: usize = 256;

/// The candidate closest to `name`, or `None` when nothing is close enough to
/// be worth suggesting.
///
/// Upper and lower case count as equal. A candidate is close when it differs by
/// about one edit in three characters (a transposition is one edit), or when
/// one name begins with the other and both have three characters or more; names
/// of more than 256 bytes are close to none. The
/// first of equally close candidates wins, so that the answer does not depend
/// on anything but the order of the candidates.
pub fn nearest<'a, I, S>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a S>,
    S: AsRef<str> + ?Sized + 'a,
{
    if name.len() > LONGEST_NAME_BYTES {
        return None;
    }
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let mut best: Option<(usize, f64, &'a str)> = None;
    for candidate in candidates {
        let candidate = candidate.as_ref();
        if candidate.len() > LONGEST_NAME_BYTES {
            continue;
        }
        let lower = candidate.to_lowercase();
        let other = lower.chars().count();
        let edits = damerau_levenshtein(&wanted, &lower);
        let allowed = (length.max(other) / 3).max(1);
        let shorter = length.min(other);
        let begins = shorter >= 3 && (lower.starts_with(&wanted) || wanted.starts_with(&lower));
        if edits >= length.max(other) || (edits > allowed && !begins) {
            continue;
        }
        let likeness = jaro_winkler(&wanted, &lower);
        let closer = match best {
            None => true,
            Some((least, most, _)) => edits < least || (edits == least && likeness > most),
        };
        if closer {
            best = Some((edits, likeness, candidate));
        }
    }
    best.map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let columns = ["alcohol", "quality", "pH", "fixed_acidity"];
        assert_eq!(nearest("qualty", &columns), Some("quality"));
        assert_eq!(nearest("aclohol", &columns), Some("alcohol"));
        assert_eq!(nearest("QUALITY", &columns), Some("quality"));
        assert_eq!(nearest("fixed", &columns), Some("fixed_acidity"));
        assert_eq!(nearest("ph_", &columns), Some("pH"));
    }

    #[test]
    fn what_is_not_close_is_not_suggested() {
        let columns = ["alcohol", "quality", "pH"];
        assert_eq!(nearest("temperature", &columns), None);
        assert_eq!(nearest("x", &columns), None);
        assert_eq!(nearest("", &columns), None);
        assert_eq!(nearest::<_, str>("x", []), None);
    }

    #[test]
    fn what_is_no_name_is_not_compared() {
        let long = "k".repeat(1 << 20);
        let other = "k".repeat((1 << 20) + 1);
        assert_eq!(nearest(&long, &[&other]), None);
        assert_eq!(nearest("k", &[long.as_str(), "K"]), Some("K"));
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(nearest("wine", &["wina", "winb"]), Some("wina"));
    }
}
