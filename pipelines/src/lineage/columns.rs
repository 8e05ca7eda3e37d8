//! The lineage of columns.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::plan::origins::{Origins, SourceColumn};
use crate::plan::{Asset, AssetBody, Plan, RowPlan, TokenizerSource};

/// A column that says what each row is for, written by `split:`.
const SPLIT_COLUMN: &str = "_split";

/// What a column is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnLineage {
    /// The table; or the model, whose columns are what it learns from.
    pub asset: String,
    /// The column.
    pub column: String,
    /// The columns that its values are made of, directly.
    pub from: Vec<SourceColumn>,
    /// The addresses of models whose answers they are, or are made of.
    pub models: Vec<String>,
    /// The columns of raw or foreign tables that it is made of in the end, through tables and
    /// models.
    pub roots: Vec<SourceColumn>,
}

/// Of every column of every asset, by asset in the plan's order, then by column as the asset
/// has them.
pub(super) fn of(plan: &Plan) -> Vec<ColumnLineage> {
    let mut known = Known {
        plan,
        direct: BTreeMap::new(),
        roots: BTreeMap::new(),
    };
    let mut order = Vec::new();
    for asset in &plan.assets {
        for (column, origins) in direct(asset) {
            let key = (asset.name.to_lowercase(), column.to_lowercase());
            known.direct.insert(key.clone(), origins);
            order.push((asset.name.clone(), column, key));
        }
    }
    order
        .into_iter()
        .map(|(asset, column, key)| {
            let origins = known.direct[&key].clone();
            let roots = known.of(&asset, &column);
            ColumnLineage {
                asset,
                column,
                from: origins.columns.into_iter().collect(),
                models: origins.models.into_iter().collect(),
                roots: roots.into_iter().collect(),
            }
        })
        .collect()
}

/// The columns that an asset has, or learns from, with what goes into them.
fn direct(asset: &Asset) -> Vec<(String, Origins)> {
    match &asset.body {
        AssetBody::Ingest(ingest) => {
            let fields = ingest.columns.fields().iter();
            let columns = fields.map(|field| (field.name().clone(), Origins::default()));
            with_split(asset, columns.collect(), &ingest.rows)
        }
        AssetBody::Sql(sql) => {
            let columns = sql.columns.iter();
            let columns = columns.map(|column| (column.column.clone(), column.origins.clone()));
            with_split(asset, columns.collect(), &sql.rows)
        }
        AssetBody::Scored(scored) => {
            let columns = scored.origins().into_iter();
            let columns = columns.map(|column| (column.column, column.origins));
            with_split(asset, columns.collect(), &scored.rows)
        }
        AssetBody::Model(model) => {
            let label = std::iter::once(&model.data.label);
            let seen = model.features.iter().chain(label);
            seen.map(|column| {
                let source = SourceColumn {
                    table: model.from.to_string(),
                    column: column.clone(),
                };
                (column.clone(), Origins::of_column(source))
            })
            .collect()
        }
        AssetBody::Tokenizer(tokenizer) => match &tokenizer.source {
            TokenizerSource::Train { from, column, .. } => {
                let source = SourceColumn {
                    table: from.to_string(),
                    column: column.clone(),
                };
                vec![(column.clone(), Origins::of_column(source))]
            }
            TokenizerSource::File { .. } => Vec::new(),
        },
        AssetBody::Report(_) | AssetBody::Unread(_) => Vec::new(),
    }
}

/// `_split` follows from the columns that decide, which are columns of the same query.
fn with_split(
    asset: &Asset,
    mut columns: Vec<(String, Origins)>,
    rows: &RowPlan,
) -> Vec<(String, Origins)> {
    let Some(split) = &rows.split else {
        return columns;
    };
    let decides = |column: &str| {
        split.by.iter().any(|by| by.eq_ignore_ascii_case(column))
            || (split.by.is_empty() && !column.starts_with('_'))
    };
    let mut all = Origins::default();
    for (column, origins) in columns.iter().filter(|(column, _)| decides(column)) {
        match asset.body {
            // Its columns come from files: they are the beginning.
            AssetBody::Ingest(_) => all.add(Origins::of_column(SourceColumn {
                table: asset.name.clone(),
                column: column.clone(),
            })),
            _ => all.add(origins.clone()),
        }
    }
    columns.push((SPLIT_COLUMN.to_owned(), all));
    columns
}

/// What is known while columns are followed to their beginning.
struct Known<'a> {
    plan: &'a Plan,
    /// By asset and column in lower case.
    direct: BTreeMap<(String, String), Origins>,
    roots: BTreeMap<(String, String), BTreeSet<SourceColumn>>,
}

impl Known<'_> {
    /// The columns that a column is made of in the end: itself, where nothing is known of what
    /// goes into it, and nothing at all for what is made of constants.
    fn of(&mut self, asset: &str, column: &str) -> BTreeSet<SourceColumn> {
        let key = (asset.to_lowercase(), column.to_lowercase());
        if let Some(roots) = self.roots.get(&key) {
            return roots.clone();
        }
        let itself = || {
            BTreeSet::from([SourceColumn {
                table: asset.to_owned(),
                column: column.to_owned(),
            }])
        };
        let Some(origins) = self.direct.get(&key).cloned() else {
            return itself();
        };
        let position = self.plan.position(asset);
        let is_raw = position.is_some_and(|position| {
            matches!(self.plan.assets[position].body, AssetBody::Ingest(_))
        });
        if is_raw && origins.columns.is_empty() {
            return itself();
        }
        // No column is made of itself: plans have no cycles, but a model may be applied to the
        // table that it was trained on. What is being followed counts as followed.
        self.roots.insert(key.clone(), BTreeSet::new());
        let mut roots = BTreeSet::new();
        for source in &origins.columns {
            roots.extend(self.of(&source.table, &source.column));
        }
        for address in &origins.models {
            roots.extend(self.of_model(address));
        }
        self.roots.insert(key, roots.clone());
        roots
    }

    /// The roots of what a model was trained on, if the project trains it.
    fn of_model(&mut self, address: &str) -> BTreeSet<SourceColumn> {
        let plan = self.plan;
        let applied = plan.assets.iter().find_map(|asset| match &asset.body {
            AssetBody::Sql(sql) => sql.applies.iter().find(|known| known.written == address),
            _ => None,
        });
        let makers = applied.map(|applied| plan.makers(&applied.uri));
        let mut roots = BTreeSet::new();
        for maker in makers.into_iter().flatten() {
            let asset = &plan.assets[maker];
            for (column, _) in direct(asset) {
                roots.extend(self.of(&asset.name, &column));
            }
        }
        roots
    }
}
