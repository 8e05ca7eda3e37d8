//! SQL: parsing, and the canonical text, which stays what it is when it is parsed again.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use sluice_lake::sql::{normalise, normalise_expression, parse, parse_expression, table_refs};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    match parse_expression(text) {
        Ok(expression) => assert!(!normalise_expression(&expression).is_empty()),
        Err(error) => inside(text, &error),
    }
    let statements = match parse(text) {
        Ok(statements) => statements,
        Err(error) => {
            inside(text, &error);
            return Corpus::Keep;
        }
    };
    for statement in &statements {
        let canonical = normalise(statement);
        assert_eq!(canonical, normalise(statement));
        assert!(text.get(statement.span().range()).is_some());
        for table in table_refs(statement) {
            assert!(
                table
                    .span
                    .is_none_or(|span| text.get(span.range()).is_some())
            );
        }
    }
    Corpus::Keep
});

fn inside(text: &str, error: &sluice_lake::sql::SqlError) {
    assert!(!error.to_string().is_empty());
    if let Some(span) = error.span {
        assert!(text.get(span.range()).is_some(), "{error:?}");
    }
}
