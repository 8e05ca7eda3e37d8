//! Names that tests are made of.

use super::name::{ModelNames, NameRule};

/// Names of tests.
#[derive(Debug, Clone, Copy)]
pub struct TestNames;

impl NameRule for TestNames {
    const WHAT: &'static str = "a test";
    const FORM: &'static str = ModelNames::FORM;
    const PATTERN: &'static str = ModelNames::PATTERN;

    fn has_form(name: &str) -> bool {
        ModelNames::has_form(name)
    }
}

/// Columns in the rows of a test: any, since the table says which there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct FixtureColumns;

impl NameRule for FixtureColumns {
    const WHAT: &'static str = "a column";
    const FORM: &'static str = "a column's name";
    const PATTERN: &'static str = "^.+$";

    fn has_form(name: &str) -> bool {
        !name.is_empty()
    }
}
