//! Reports: pages to look at.
//!
//! A kind of report is a struct of its own here, one variant of [`ReportKind`], and one file
//! in each of `spec`, `check` and `run`.

use serde_json::{Value, json};
use sluice_lake::TableName;
use sluice_lake::sql::{Expression, normalise_expression};

/// A page to look at.
#[derive(Debug, Clone)]
pub struct ReportAsset {
    /// The pipeline, below whose name the page is found.
    pub pipeline: String,
    /// The page's heading, if it is not the report's name.
    pub title: Option<String>,
    /// The table that it is about.
    pub of: TableName,
    /// What it shows.
    pub kind: ReportKind,
}

/// What a report shows.
#[derive(Debug, Clone)]
pub enum ReportKind {
    /// What is in the table's columns.
    Profile(ProfilePlan),
}

impl ReportKind {
    /// The key in the language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Profile(_) => "profile",
        }
    }
}

impl ReportAsset {
    /// What identifies the definition: all that the page depends on, besides the data.
    pub fn definition(&self) -> Value {
        let mut definition = match &self.kind {
            ReportKind::Profile(profile) => profile.definition(),
        };
        definition["title"] = json!(self.title);
        definition[self.kind.name()] = json!(self.of.to_string().to_lowercase());
        definition
    }

    /// The same as it is told to people: SQL as it was written.
    pub fn settings(&self) -> Value {
        let mut settings = self.definition();
        let ReportKind::Profile(profile) = &self.kind;
        if let Some(by) = &profile.by {
            settings["by"] = json!(by.written);
        }
        settings
    }
}

/// A profile of a table.
#[derive(Debug, Clone)]
pub struct ProfilePlan {
    /// What gives each row its class.
    pub by: Option<ByPlan>,
    /// Columns that are left out, as the table spells them.
    pub exclude: Vec<String>,
    /// Rows of the sample.
    pub sample_rows: usize,
}

/// What gives each row its class.
#[derive(Debug, Clone)]
pub struct ByPlan {
    /// As it was written.
    pub written: String,
    /// The same, parsed.
    pub expression: Expression,
    /// The columns that it reads, as the table spells them.
    pub made_of: Vec<String>,
}

impl ProfilePlan {
    fn definition(&self) -> Value {
        let by = self.by.as_ref();
        json!({
            "by": by.map(|by| normalise_expression(&by.expression)),
            "exclude": self.exclude,
            "sample_rows": self.sample_rows,
        })
    }
}
