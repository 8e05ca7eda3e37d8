//! `sluice runs`: lists and searches runs, trainings and trials, in MLflow's filter language;
//! shows one, and puts tags and notes on it.

mod filter;
mod label;
mod query;
mod show;
mod token;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use futures::TryStreamExt as _;
use sluice_lake::Lakehouse;
use sluice_lake::nearest::nearest;
use sluice_pipelines::diagnostic::{Diagnostic, Diagnostics};
use sluice_pipelines::source::{SourceFile, Span};

use super::Global;
use super::error::CliError;
use super::pairs::{NoteChange, TagChange};
use super::project::lakehouse_path;
use super::session::Session;
use super::sql::answer;
use crate::exit::Exit;
use crate::results::Format;
use filter::{Entity, Field, FilterError, parse_filter, parse_order};
use query::Search;

const WHERE: &str = "--where";
const ORDER_BY: &str = "--order-by";

/// Names shown when none is near.
const NAMES_SHOWN: usize = 8;

/// Options of `sluice runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A filter is written as in MLflow:
  metrics.\"validation.auc\" > 0.9 AND params.max_depth <= 6
  tags.`trial.number` = '7' OR attributes.status IN ('FAILED', 'KILLED')
  start_time > '2026-03-01' AND params.seed IS NOT NULL")]
pub(super) struct Options {
    /// The project whose lakehouse is asked; the nearest one upward by default
    #[arg(short, long, value_name = "PROJECT", global = true)]
    project: Option<PathBuf>,
    /// Which runs: comparisons of metrics., params., tags. and attributes. with AND and OR
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,
    /// What comes first: fields with ASC or DESC; the newest by default
    #[arg(long, value_name = "FIELDS")]
    order_by: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What is done with one run, named by its identifier or an unambiguous beginning of it;
/// without an action runs are listed.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Shows all that is known of a run: parameters, metrics, tags, data, artifacts, children
    Show {
        /// The run's identifier, or the beginning of it
        run: String,
    },
    /// Sets, takes away or shows the tags of a run
    Tag {
        /// The run's identifier, or the beginning of it
        run: String,
        #[command(flatten)]
        change: TagChange,
    },
    /// Sets, takes away or shows the note of a run
    Note {
        /// The run's identifier, or the beginning of it
        run: String,
        #[command(flatten)]
        change: NoteChange,
    },
}

/// Lists the runs that a filter keeps; each metric, parameter and tag that it names is a
/// column.
///
/// # Errors
/// A filter that is wrong as written or names what no run has; a lakehouse that cannot be
/// read.
pub(super) async fn runs(options: &Options, global: &Global) -> Result<Exit, CliError> {
    let root = lakehouse_path(options.project.as_deref(), global)?;
    if let Some(action) = &options.action {
        return one(action, options, Lakehouse::open(&root)?).await;
    }
    let mut search = Search {
        limit: options.limit,
        ..Search::default()
    };
    if let Some(text) = &options.filter {
        search.filter = Some(parse_filter(text).map_err(|error| wrong(WHERE, text, error))?);
    }
    if let Some(text) = &options.order_by {
        search.order = parse_order(text).map_err(|error| wrong(ORDER_BY, text, error))?;
    }
    let session = Session::open(&root)?;
    let filtered = search.filter.is_some();
    for (position, field) in search.keys().into_iter().enumerate() {
        if let Err(error) = known(&session, field).await? {
            // Fields of the filter come first; a text is only absent when none names it.
            let in_filter = filtered && position < filter_keys(&search);
            let (name, text) = match in_filter {
                true => (WHERE, &options.filter),
                false => (ORDER_BY, &options.order_by),
            };
            return Err(wrong(name, text.as_deref().unwrap_or_default(), error));
        }
    }
    let text = options.filter.as_deref().unwrap_or_default();
    let sql = search.sql().map_err(|error| wrong(WHERE, text, error))?;
    answer(&session, &sql, options.format).await?;
    Ok(Exit::Ok)
}

/// Does something with one run.
async fn one(action: &Action, options: &Options, lakehouse: Lakehouse) -> Result<Exit, CliError> {
    let searches = [
        (WHERE, options.filter.is_some()),
        (ORDER_BY, options.order_by.is_some()),
        ("--limit", options.limit.is_some()),
    ];
    if let Some((name, _)) = searches.iter().find(|(_, given)| *given) {
        let message = format!("`{name}` goes with the list of runs, not with one run");
        let help = "leave it out, or leave out `show`, `tag` or `note`";
        let diagnostic = Diagnostic::error("usage", message).maybe_help(Some(help.to_owned()));
        return Err(CliError::Wrong(Diagnostics::from(diagnostic)));
    }
    let (state, format) = (lakehouse.state_path(), options.format);
    match action {
        Action::Show { run } => show::show(&lakehouse, run, format).await?,
        Action::Tag { run, change } => label::tag(&state, run, change, format).await?,
        Action::Note { run, change } => label::note(&state, run, change).await?,
    }
    Ok(Exit::Ok)
}

/// How many keys the filter names.
fn filter_keys(search: &Search) -> usize {
    let filter = Search {
        filter: search.filter.clone(),
        ..Search::default()
    };
    filter.keys().len()
}

/// Whether any run has a metric, parameter or tag of this name. Where there are none at all,
/// every name is fine.
async fn known(session: &Session, field: &Field) -> Result<Result<(), FilterError>, CliError> {
    let (table, what) = match field.entity {
        Entity::Metric => ("metrics", "metric"),
        Entity::Param => ("params", "parameter"),
        Entity::Tag => ("tags", "tag"),
        Entity::Attribute(_) => return Ok(Ok(())),
    };
    let names = names(session, table).await?;
    if names.is_empty() || names.contains(&field.name) {
        return Ok(Ok(()));
    }
    let shown: Vec<&str> = names.iter().map(String::as_str).take(NAMES_SHOWN).collect();
    let more = if names.len() > NAMES_SHOWN {
        ", ..."
    } else {
        ""
    };
    Ok(Err(FilterError::new(
        format!("no run has the {what} `{}`", field.name),
        field.at.clone(),
    )
    .help(format!("there are {}{more}", shown.join(", ")))
    .near(nearest(&field.name, names.iter().map(String::as_str)))))
}

async fn names(session: &Session, table: &str) -> Result<BTreeSet<String>, CliError> {
    let mut names = BTreeSet::new();
    for statement in Session::parse(&format!("SELECT DISTINCT key FROM system.{table}"))? {
        let mut rows = session.query(&statement).await?;
        while let Some(batch) = rows.try_next().await.map_err(CliError::Query)? {
            let keys = cast(batch.column(0), &DataType::Utf8)
                .map_err(|error| CliError::Query(DataFusionError::from(error)))?;
            names.extend(keys.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
    }
    Ok(names)
}

fn wrong(name: &str, text: &str, error: FilterError) -> CliError {
    let source = Arc::new(SourceFile::new(name, text));
    let diagnostic = Diagnostic::error("filter", error.message)
        .maybe_help(error.help)
        .at(&source, Span::new(error.at.start, error.at.end));
    CliError::Wrong(Diagnostics::from(diagnostic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(filter: &str) -> String {
        let search = Search {
            filter: Some(parse_filter(filter).unwrap()),
            ..Search::default()
        };
        let sql = search.sql().unwrap();
        let (_, rest) = sql.split_once(" WHERE r").map_or_else(
            || sql.rsplit_once(" WHERE ").unwrap(),
            |(head, rest)| (head, rest),
        );
        rest.split_once(" ORDER BY").unwrap().0.to_owned()
    }

    fn told(filter: &str) -> String {
        let error = match parse_filter(filter) {
            Err(error) => error,
            Ok(filter) => {
                let search = Search {
                    filter: Some(filter),
                    ..Search::default()
                };
                search.sql().unwrap_err()
            }
        };
        let help = error
            .help
            .map_or_else(String::new, |help| format!(" ({help})"));
        format!(
            "{filter}\n{}^ {}{help}",
            " ".repeat(error.at.start),
            error.message
        )
    }

    #[test]
    fn filters_become_conditions() {
        let cases = [
            "metrics.\"validation.auc\" > 0.9",
            "metrics.validation.auc > 0.9",
            "metric.`a \"b\"` <= -1e-3 and params.model = \"it's\"",
            "params.max_depth < 6 AND tags.x ILIKE '%A%'",
            "tags.a NOT LIKE 'b' OR (params.a IS NULL AND params.b IS NOT NULL)",
            "params.seed IN ('1', '2') AND metrics.m NOT IN (1, 2)",
        ];
        insta::assert_snapshot!(
            cases
                .map(|case| format!("{case}\n  {}", sql(case)))
                .join("\n")
        );
    }

    #[test]
    fn attributes_need_no_prefix() {
        for filter in [
            "status = 'FAILED'",
            "attributes.status = \"FAILED\"",
            "run.Status == 'FAILED'",
        ] {
            let parsed = parse_filter(filter).unwrap();
            let search = Search {
                filter: Some(parsed),
                ..Search::default()
            };
            let sql = search.sql().unwrap();
            assert!(sql.contains("WHERE r.status = 'FAILED'"), "{sql}");
        }
        let times = ["start_time >= '2026-03-01'", "created >= 1772323200000"];
        for filter in times {
            let search = Search {
                filter: Some(parse_filter(filter).unwrap()),
                ..Search::default()
            };
            let sql = search.sql().unwrap();
            assert!(sql.contains(">= 1772323200000"), "{sql}");
        }
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let cases = [
            "",
            "metrics.auc",
            "metrics.auc > 'high'",
            "metrics.auc LIKE 'x'",
            "metric.auc > 0.9 AND",
            "metircs.auc > 0.9",
            "attributes.stauts = 'FAILED'",
            "status = FAILED",
            "status = 1",
            "tags.a-b = 'x'",
            "params.x = 'open",
            "params.x IN '1'",
            "(params.x = '1'",
            "params.x = '1' params.y = '2'",
            "params.x IS 1",
            "start_time > 'yesterday'",
            "metrics.m > 1.2.3",
        ];
        insta::assert_snapshot!(cases.map(told).join("\n"));
    }

    #[test]
    fn orders_have_directions() {
        let order = parse_order("metrics.`a b` DESC, start_time asc, run_id").unwrap();
        let shown: Vec<(&str, bool)> = order
            .iter()
            .map(|(field, down)| (field.name.as_str(), *down))
            .collect();
        assert_eq!(
            shown,
            [("a b", true), ("start_time", false), ("run_id", false)]
        );
        let error = parse_order("metrics.a DOWN").unwrap_err();
        assert_eq!(error.at, 10..14, "{error:?}");
    }
}
