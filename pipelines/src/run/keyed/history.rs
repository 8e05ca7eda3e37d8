//! The history of each key: a slowly changing dimension of type 2.
//!
//! What is known of a key is a row of events, one for each moment: that it became this row, or
//! that it ended. The rows of the source are events; so are those of the table, whose source
//! may have been updated in place since. At one moment the source is believed rather than the
//! table, and of several rows of the source the one with the greatest content. Each row holds
//! until the next event of its key.

use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::{lead, row_number};
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, lit};
use datafusion::scalar::ScalarValue;

pub(crate) use crate::plan::mode::{END_COLUMN as END, START_COLUMN as START};

use super::{Keyed, column, greatest_first, least_first};

/// When an event was.
const AT: &str = "__sluice_at";
/// Whether it is an end.
const ENDED: &str = "__sluice_ended";
/// Whom it is told by: the greatest is believed.
const TOLD_BY: &str = "__sluice_told_by";
/// The place of an event among those of its key and moment.
const PLACE: &str = "__sluice_place";

/// Who tells of an event.
#[derive(Debug, Clone, Copy)]
enum Teller {
    /// A row of the table that ended.
    End = 0,
    /// A row of the table that began.
    Start = 1,
    /// A row of the source.
    Source = 2,
}

/// The history that rows of the source give, together with what the table knows. Sorts, within
/// the memory of the session.
pub(crate) fn history(
    keyed: &Keyed,
    source: DataFrame,
    stored: Option<DataFrame>,
) -> Result<DataFrame> {
    let mut events = told_by_source(keyed, source)?;
    if let Some(stored) = stored {
        events = events
            .union(starts(keyed, stored.clone())?)?
            .union(ends(keyed, stored)?)?;
    }
    let moment = [keyed.key(), vec![column(AT)]].concat();
    let mut order = vec![greatest_first(column(TOLD_BY))];
    order.extend(keyed.greatest_content());
    let place = row_number().partition_by(moment).order_by(order).build()?;
    let events = events
        .window(vec![place.alias(PLACE)])?
        .filter(column(PLACE).eq(lit(1_u64)))?;
    let next = lead(column(AT), Some(1), None)
        .partition_by(keyed.key())
        .order_by(vec![least_first(column(AT))])
        .build()?;
    let mut kept = keyed.own();
    kept.extend([column(AT).alias(START), column(END)]);
    events
        .window(vec![next.alias(END)])?
        .filter(column(ENDED).is_not_true())?
        .select(kept)
}

fn told_by_source(keyed: &Keyed, source: DataFrame) -> Result<DataFrame> {
    let sequence = keyed.sequence.as_deref().unwrap_or_default();
    event(
        keyed.own(),
        column(sequence),
        keyed.is_deleted(),
        Teller::Source,
        source,
    )
}

fn starts(keyed: &Keyed, stored: DataFrame) -> Result<DataFrame> {
    event(
        keyed.own(),
        column(START),
        lit(false),
        Teller::Start,
        stored,
    )
}

/// An end knows nothing but its key.
fn ends(keyed: &Keyed, stored: DataFrame) -> Result<DataFrame> {
    let fields = keyed.columns.fields().iter();
    let own = fields.map(|field| match keyed.keys.contains(field.name()) {
        true => column(field.name()),
        false => cast(lit(ScalarValue::Null), field.data_type().clone()).alias(field.name()),
    });
    let ended = stored.filter(column(END).is_not_null())?;
    event(own.collect(), column(END), lit(true), Teller::End, ended)
}

fn event(
    own: Vec<Expr>,
    at: Expr,
    ended: Expr,
    teller: Teller,
    rows: DataFrame,
) -> Result<DataFrame> {
    let mut columns = own;
    columns.extend([
        at.alias(AT),
        ended.alias(ENDED),
        lit(teller as i32).alias(TOLD_BY),
    ]);
    rows.select(columns)
}
