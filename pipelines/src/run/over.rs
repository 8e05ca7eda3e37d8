//! A query asked of other rows than those that a table has.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use sluice_lake::TableName;

/// A plan that reads `rows` wherever it read the table. They have its columns. The plan must
/// not be optimised yet, so that its scans give all columns of all rows.
pub(crate) fn over(
    plan: LogicalPlan,
    table: &TableName,
    rows: &Arc<dyn TableProvider>,
) -> Result<LogicalPlan> {
    let replaced = plan.transform_up(|node| match &node {
        LogicalPlan::TableScan(scan) if is_table(&scan.table_name, table) => {
            let source = provider_as_source(Arc::clone(rows));
            let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?;
            Ok(Transformed::yes(scan.build()?))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}

fn is_table(scanned: &TableReference, table: &TableName) -> bool {
    let layer = scanned.schema().unwrap_or_default();
    layer.eq_ignore_ascii_case(table.layer()) && scanned.table().eq_ignore_ascii_case(table.table())
}
