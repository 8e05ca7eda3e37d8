//! Numbers as people read them.

/// `1,234,567`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A share as `12.3 %`; less than a tenth of a percent is told as such. What is no number is
/// an en dash.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        return "–".to_owned();
    }
    if percent > 0.0 && percent < 0.1 {
        return "< 0.1 %".to_owned();
    }
    if percent > 99.9 && percent < 100.0 {
        return "> 99.9 %".to_owned();
    }
    let text = format!("{percent:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// A metric: four decimals, as leaderboards show them; what is no number is an en dash.
pub fn metric(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    if value.abs() >= 100_000.0 || (value != 0.0 && value.abs() < 0.0001) {
        return format!("{value:.3e}");
    }
    format!("{value:.4}")
}

/// Any number, rounded to four significant digits, with separators of thousands.
pub fn short(value: f64) -> String {
    significant(value, 4)
}

/// A number rounded to `digits` significant digits, without trailing zeros; whole numbers
/// below ten million keep all their digits.
pub fn significant(value: f64, digits: usize) -> String {
    /// Larger ones are not written out.
    const LONG: f64 = 1e7;
    if !value.is_finite() {
        return not_finite(value);
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let rounded: f64 = if value.fract() == 0.0 && value.abs() < LONG {
        value
    } else {
        // `{:e}` rounds to significant digits; parsing it back gives the shortest text.
        format!("{value:.*e}", digits.saturating_sub(1))
            .parse()
            .unwrap_or(value)
    };
    if rounded.abs() < 0.0001 || rounded.abs() >= LONG {
        return format!("{rounded:e}");
    }
    let text = rounded.to_string();
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", signed_groups(whole)),
        None => signed_groups(&text),
    }
}

/// `12 B`, `3.4 kB`, `1.2 MB`, in powers of a thousand.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut shown = UNITS[0];
    for unit in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        shown = unit;
    }
    format!("{value:.1} {shown}")
}

/// A duration given in seconds: `0.31 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite and positive; a float casts to an integer by saturating"
    )]
    let whole = seconds.round() as u64;
    let (minutes, rest) = (whole / 60, whole % 60);
    if minutes < 60 {
        format!("{minutes} min {rest:02} s")
    } else {
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    }
}

/// A length of a drawing with one decimal; 0 for what is no finite number.
pub(crate) fn px(value: f64) -> String {
    /// Beyond any drawing: larger numbers would only make the text long.
    const FAR: f64 = 1e6;
    if !value.is_finite() {
        return "0".to_owned();
    }
    let rounded = (value.clamp(-FAR, FAR) * 10.0).round() / 10.0;
    // Adding zero makes -0 a 0.
    (rounded + 0.0).to_string()
}

/// With this many decimals, and separators of thousands.
pub(crate) fn grouped_fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", signed_groups(whole)),
        None => signed_groups(&text),
    }
}

fn not_finite(value: f64) -> String {
    match value {
        f64::INFINITY => "∞".to_owned(),
        f64::NEG_INFINITY => "-∞".to_owned(),
        _ => "–".to_owned(),
    }
}

fn signed_groups(digits: &str) -> String {
    match digits.strip_prefix('-') {
        Some(digits) => format!("-{}", grouped(digits)),
        None => grouped(digits),
    }
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [0, 7, 999, 1000, 123_456, 1_234_567].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
        let shown: Vec<String> = [
            0.0,
            -0.0,
            7.0,
            1599.0,
            -1_234_567.0,
            1234.567,
            0.123_456,
            1e-7,
            1.5e300,
            f64::NAN,
            f64::NEG_INFINITY,
        ]
        .map(short)
        .into();
        assert_eq!(
            shown,
            [
                "0",
                "0",
                "7",
                "1,599",
                "-1,234,567",
                "1,235",
                "0.1235",
                "1e-7",
                "1.5e300",
                "–",
                "-∞"
            ]
        );
        assert_eq!(metric(0.912_345), "0.9123");
        assert_eq!(metric(1e-9), "1.000e-9");
        assert_eq!(metric(f64::NAN), "–");
    }

    #[test]
    fn shares_do_not_round_to_nothing_or_all() {
        let shown = [0.0, 0.0001, 0.123, 0.25, 0.9999, 1.0, f64::NAN].map(percent);
        assert_eq!(
            shown,
            ["0 %", "< 0.1 %", "12.3 %", "25 %", "> 99.9 %", "100 %", "–"]
        );
    }

    #[test]
    fn sizes_and_times_have_units() {
        let shown = [12, 3_400, 999_960, 1_200_000_000].map(bytes);
        assert_eq!(shown, ["12 B", "3.4 kB", "1.0 MB", "1.2 GB"]);
        let shown = [0.004, 0.31, 9.996, 12.34, 59.96, 125.4, 3725.0, f64::NAN].map(duration);
        assert_eq!(
            shown,
            [
                "0.00 s",
                "0.31 s",
                "10.0 s",
                "12.3 s",
                "1 min 00 s",
                "2 min 05 s",
                "1 h 02 min",
                "–"
            ]
        );
    }

    #[test]
    fn lengths_are_finite() {
        let shown = [0.04, -0.04, 1.25, f64::NAN, f64::INFINITY, 1e300].map(px);
        assert_eq!(shown, ["0", "0", "1.3", "0", "0", "1000000"]);
    }
}
