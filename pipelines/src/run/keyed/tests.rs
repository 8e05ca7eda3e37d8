//! Increments against a naive recomputation in plain Rust: random rows that come late, twice
//! and in any order, and go, too. Each key is a story of its own, so that one case tells many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::lit;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::increment::KeySession;
use super::{Keeps, Keyed, column};

/// A row of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: Key,
    at: i64,
    op: &'static str,
    value: Option<i64>,
}

type Key = (Option<i64>, &'static str);

/// A row of a history: what, and from when until when.
type Stored = (Row, i64, Option<i64>);

fn columns(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
    let ids: Int64Array = rows.iter().map(|row| row.key.0).collect();
    let parts = StringArray::from_iter_values(rows.iter().map(|row| row.key.1));
    let ats = Int64Array::from_iter_values(rows.iter().map(|row| row.at));
    let ops = StringArray::from_iter_values(rows.iter().map(|row| row.op));
    let values: Int64Array = rows.iter().map(|row| row.value).collect();
    vec![
        ("id", Arc::new(ids)),
        ("part", Arc::new(parts)),
        ("at", Arc::new(ats)),
        ("op", Arc::new(ops)),
        ("value", Arc::new(values)),
    ]
}

fn batch(columns: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    let columns = columns
        .into_iter()
        .map(|(name, values)| (name, values, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn source(rows: &[Row]) -> RecordBatch {
    batch(columns(rows))
}

fn stored(rows: &[Stored], keeps: Keeps) -> RecordBatch {
    let own: Vec<Row> = rows.iter().map(|(row, ..)| row.clone()).collect();
    let mut columns = columns(&own);
    if keeps == Keeps::History {
        let starts = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        let ends: Int64Array = rows.iter().map(|row| row.2).collect();
        columns.push(("__start_at", Arc::new(starts)));
        columns.push(("__end_at", Arc::new(ends)));
    }
    batch(columns)
}

fn frame(ctx: &SessionContext, batch: RecordBatch) -> DataFrame {
    // Two partitions, as rows of two files come in.
    let (half, rows) = (batch.num_rows() / 2, batch.num_rows());
    let parts = vec![
        vec![batch.slice(0, half)],
        vec![batch.slice(half, rows - half)],
    ];
    let table = MemTable::try_new(batch.schema(), parts).unwrap();
    ctx.read_table(Arc::new(table)).unwrap()
}

/// What is written back out of a table's batches.
fn rows_of(batches: &[RecordBatch]) -> Vec<Stored> {
    let word = |text: &str| ["u", "d", "x", "y"].into_iter().find(|word| *word == text);
    let mut rows = Vec::new();
    for batch in batches {
        let number = |name: &str, row: usize| {
            let values = batch.column_by_name(name)?.as_primitive::<Int64Type>();
            values.is_valid(row).then(|| values.value(row))
        };
        let text = |name: &str, row: usize| {
            word(
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_string::<i32>()
                    .value(row),
            )
            .unwrap()
        };
        rows.extend((0..batch.num_rows()).map(|row| {
            let own = Row {
                key: (number("id", row), text("part", row)),
                at: number("at", row).unwrap(),
                op: text("op", row),
                value: number("value", row),
            };
            let start = number("__start_at", row).unwrap_or(own.at);
            (own, start, number("__end_at", row))
        }));
    }
    rows.sort();
    rows
}

/// What a table of the last rows holds, told naively.
fn naive_latest(source: &[Row], deletes: bool) -> Vec<Stored> {
    let mut last: BTreeMap<Key, &Row> = BTreeMap::new();
    for row in source {
        let known = last.entry(row.key).or_insert(row);
        if (row.at, row.op, row.value) > (known.at, known.op, known.value) {
            *known = row;
        }
    }
    let there = last.into_values().filter(|row| !(deletes && row.op == "d"));
    there.map(|row| (row.clone(), row.at, None)).collect()
}

/// What a table of histories holds, told naively: the source's events and those that the table
/// knew, moment by moment.
fn naive_history(source: &[Row], known: &[Stored], deletes: bool) -> Vec<Stored> {
    let mut events: BTreeMap<(Key, i64), Option<Row>> = BTreeMap::new();
    for (row, _, end) in known {
        if let Some(end) = end {
            events.insert((row.key, *end), None);
        }
    }
    for (row, start, _) in known {
        events.insert((row.key, *start), Some(row.clone()));
    }
    let mut told: BTreeMap<(Key, i64), Row> = BTreeMap::new();
    for row in source {
        let greatest = told.entry((row.key, row.at)).or_insert_with(|| row.clone());
        if (row.op, row.value) > (greatest.op, greatest.value) {
            *greatest = row.clone();
        }
    }
    for (moment, row) in told {
        let ended = deletes && row.op == "d";
        events.insert(moment, (!ended).then_some(row));
    }
    let mut rows = Vec::new();
    for ((key, at), row) in &events {
        let Some(row) = row else { continue };
        let later = (
            std::ops::Bound::Excluded((*key, *at)),
            std::ops::Bound::Unbounded,
        );
        let next = events.range(later).next();
        let next = next.filter(|((other, _), _)| other == key);
        rows.push((row.clone(), *at, next.map(|((_, at), _)| *at)));
    }
    rows.sort();
    rows
}

fn keyed(keeps: Keeps, deletes: bool) -> Keyed {
    Keyed {
        keeps,
        columns: source(&[]).schema(),
        keys: vec!["id".to_owned(), "part".to_owned()],
        sequence: Some("at".to_owned()),
        delete_when: deletes.then(|| column("op").eq(lit("d"))),
        drops_rows: false,
    }
}

/// What becomes of a row that is the last of its key, or is in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Aside,
    Dropped,
}

/// What the rules of a table do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    None,
    Quarantine,
    QuarantineAndDrop,
}

impl Rules {
    fn fate(self, row: &Row) -> Fate {
        match (self, row.value) {
            (Self::None, _) => Fate::Kept,
            (_, Some(0)) => Fate::Aside,
            (Self::QuarantineAndDrop, None) => Fate::Dropped,
            _ => Fate::Kept,
        }
    }

    /// The rows of a table and those of its quarantine.
    fn washed(self, rows: Vec<Stored>) -> Washed {
        let mut washed = Washed::default();
        for row in rows {
            match self.fate(&row.0) {
                Fate::Kept => washed.table.push(row),
                Fate::Aside => washed.quarantine.push(row),
                Fate::Dropped => {}
            }
        }
        washed.table.sort();
        washed.quarantine.sort();
        washed
    }
}

/// A table and its quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Washed {
    table: Vec<Stored>,
    quarantine: Vec<Stored>,
}

impl Washed {
    /// What is known.
    fn all(&self) -> Vec<Stored> {
        let mut all = [self.table.clone(), self.quarantine.clone()].concat();
        all.sort();
        all
    }

    fn of(&self, key: Key) -> Self {
        let of = |rows: &[Stored]| {
            let own = rows.iter().filter(|(row, ..)| row.key == key);
            own.cloned().collect()
        };
        Self {
            table: of(&self.table),
            quarantine: of(&self.quarantine),
        }
    }
}

/// Rows that come, and which of those that are there go.
type Step = (Vec<Row>, Vec<usize>);

/// A source and its table, going through changes.
struct Story {
    session: KeySession,
    queries: SessionContext,
    deletes: bool,
    rules: Rules,
    source: Vec<Row>,
    is: Washed,
    /// How often the source was read whole, and how often not.
    looked_up: [usize; 2],
}

impl Story {
    fn new(keeps: Keeps, deletes: bool) -> Self {
        Self::with_rules(keeps, deletes, Rules::None)
    }

    fn with_rules(keeps: Keeps, deletes: bool, rules: Rules) -> Self {
        let keyed = Keyed {
            drops_rows: rules != Rules::None,
            ..keyed(keeps, deletes)
        };
        Self {
            session: KeySession::open(keyed, 2).unwrap(),
            queries: SessionContext::new(),
            deletes,
            rules,
            source: Vec::new(),
            is: Washed::default(),
            looked_up: [0, 0],
        }
    }

    fn keeps(&self) -> Keeps {
        self.session.keyed.keeps
    }

    fn query(&self, rows: &[Row]) -> DataFrame {
        frame(&self.queries, source(rows))
    }

    fn stored(&self) -> DataFrame {
        frame(self.session.context(), stored(&self.is.all(), self.keeps()))
    }

    /// What a naive recomputation gives; a history goes on from `known`.
    fn recomputed(&self, known: &Washed) -> Washed {
        self.rules.washed(match self.keeps() {
            Keeps::Latest => naive_latest(&self.source, self.deletes),
            Keeps::History => naive_history(&self.source, &known.all(), self.deletes),
        })
    }

    fn expected(&self) -> Washed {
        self.recomputed(&self.is)
    }

    async fn begin(&mut self, rows: Vec<Row>) {
        self.source = rows;
        let whole = self.session.whole(self.query(&self.source), None);
        let whole = rows_of(&whole.unwrap().collect().await.unwrap());
        self.is = self.rules.washed(whole);
    }

    /// Changes the source, and brings the table up to date; the keys that were written.
    async fn step(&mut self, (added, going): Step) -> BTreeSet<Key> {
        let mut removed = Vec::new();
        for place in going {
            if !self.source.is_empty() {
                removed.push(self.source.remove(place % self.source.len()));
            }
        }
        self.source.extend(added.iter().cloned());
        let gone = (!removed.is_empty()).then(|| self.query(&removed));
        let change = self.session.change(self.query(&added), gone, self.stored());
        let change = change.await.unwrap();
        let keys = self.session.to_look_up(&change).await.unwrap();
        let found = (!keys.is_empty()).then(|| self.query(&self.source));
        self.looked_up[usize::from(found.is_none())] += 1;
        let outcome = self.session.outcome(&change, &keys, found).await.unwrap();
        let read = |spool: &sluice_lake::spool::Spool| {
            let rows = self.session.context().read_table(spool.table().unwrap());
            rows.unwrap().collect()
        };
        let changed = read(&outcome.keys).await.unwrap();
        let changed: BTreeSet<Key> = changed.iter().flat_map(keys_in).collect();
        let rows = rows_of(&read(&outcome.rows).await.unwrap());
        assert!(rows.iter().all(|(row, ..)| changed.contains(&row.key)));
        // As a write of keys does it, in the table and in its quarantine.
        let mut all = self.is.all();
        all.retain(|(row, ..)| !changed.contains(&row.key));
        all.extend(rows);
        self.is = self.rules.washed(all);
        changed
    }
}

fn keys_in(batch: &RecordBatch) -> Vec<Key> {
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let parts = batch.column(1).as_string::<i32>();
    let part = |row| if parts.value(row) == "x" { "x" } else { "y" };
    let keys =
        (0..batch.num_rows()).map(|row| (ids.is_valid(row).then(|| ids.value(row)), part(row)));
    keys.collect()
}

fn row() -> impl Strategy<Value = Row> {
    let id = prop_oneof![1 => Just(None), 24 => (0_i64..24).prop_map(Some)];
    let part = prop_oneof![Just("x"), Just("y")];
    let op = prop_oneof![3 => Just("u"), 1 => Just("d")];
    let value = prop_oneof![1 => Just(None), 4 => (0_i64..3).prop_map(Some)];
    (id, part, 0_i64..7, op, value).prop_map(|(id, part, at, op, value)| Row {
        key: (id, part),
        at,
        op,
        value,
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::vec(row(), 0..60)
}

/// Steps of which some remove rows, and some do not.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let going = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(0_usize..1000, 0..10)
    ];
    proptest::collection::vec((rows(), going), 1..4)
}

type Told = (Keeps, bool, Rules, Vec<Row>, Vec<Step>);

fn stories(keeps: Keeps) -> impl Strategy<Value = Told> {
    let rules = prop_oneof![
        1 => Just(Rules::None),
        2 => Just(Rules::Quarantine),
        2 => Just(Rules::QuarantineAndDrop),
    ];
    (Just(keeps), any::<bool>(), rules, rows(), steps())
}

fn run(test: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Runtime::new().unwrap().block_on(test)
}

async fn is_as_recomputed(
    (keeps, deletes, rules, first, steps): Told,
) -> Result<(), TestCaseError> {
    let mut story = Story::with_rules(keeps, deletes, rules);
    story.begin(first).await;
    prop_assert_eq!(&story.is, &story.recomputed(&Washed::default()));
    let mut all_kept = true;
    for step in steps {
        all_kept &= step.1.is_empty();
        let before = story.is.clone();
        let changed = story.step(step).await;
        prop_assert_eq!(&story.is, &story.recomputed(&before));
        // What is dropped is nowhere, and differs from that each time.
        for key in changed
            .into_iter()
            .filter(|_| rules != Rules::QuarantineAndDrop)
        {
            prop_assert_ne!(
                before.of(key),
                story.is.of(key),
                "a key was written as it was"
            );
        }
        if keeps == Keeps::History && all_kept {
            prop_assert_eq!(&story.is, &story.recomputed(&Washed::default()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_last_rows_are_those_of_a_recomputation(story in stories(Keeps::Latest)) {
        run(is_as_recomputed(story))?;
    }

    #[test]
    fn histories_are_those_of_a_recomputation(story in stories(Keeps::History)) {
        run(is_as_recomputed(story))?;
    }
}

fn at(id: i64, at: i64, value: i64) -> Row {
    Row {
        key: (Some(id), "x"),
        at,
        op: "u",
        value: Some(value),
    }
}

fn gone(id: i64, at: i64) -> Row {
    Row {
        key: (Some(id), "x"),
        at,
        op: "d",
        value: None,
    }
}

#[tokio::test]
async fn rows_that_only_come_are_merged_without_a_look_at_the_others() {
    for keeps in [Keeps::Latest, Keeps::History] {
        let mut story = Story::new(keeps, false);
        story.begin(vec![at(1, 1, 10), at(2, 1, 20)]).await;
        // A new key, a later row and an earlier one.
        let news = vec![at(3, 1, 30), at(1, 2, 11), at(2, 0, 19)];
        story.step((news, vec![])).await;
        assert_eq!(story.looked_up, [0, 1], "{keeps:?}");
        assert_eq!(story.is, story.expected());
        // Nor are those of keys that are there, where rows may say that they are gone.
        let mut story = Story::new(keeps, true);
        story.begin(vec![at(1, 1, 10), at(2, 1, 20)]).await;
        story.step((vec![at(1, 2, 11), gone(2, 3)], vec![])).await;
        assert_eq!(story.looked_up, [0, 1], "{keeps:?}");
        // A key that is not there may have been.
        story.step((vec![at(2, 5, 21)], vec![])).await;
        assert_eq!(story.looked_up, [1, 1], "{keeps:?}");
        assert_eq!(story.is, story.expected());
    }
}

#[tokio::test]
async fn keys_whose_rows_stay_the_same_are_not_written() {
    let mut story = Story::new(Keeps::Latest, false);
    story.begin(vec![at(1, 5, 10), at(2, 5, 20)]).await;
    // The source was rewritten: the same row went and came, and an older one came late.
    let written = story.step((vec![at(1, 5, 10), at(2, 1, 0)], vec![0])).await;
    assert_eq!(written, BTreeSet::new());
}

#[tokio::test]
async fn a_source_that_is_updated_in_place_has_its_history_in_the_table() {
    let mut story = Story::new(Keeps::History, false);
    story.begin(vec![at(1, 1, 10), at(2, 1, 20)]).await;
    story.step((vec![at(1, 5, 11)], vec![0])).await;
    // The row of key 2 is removed for good: that ends nothing.
    story.step((vec![], vec![0])).await;
    assert_eq!(story.source, [at(1, 5, 11)]);
    let history = [
        (at(1, 1, 10), 1, Some(5)),
        (at(1, 5, 11), 5, None),
        (at(2, 1, 20), 1, None),
    ];
    assert_eq!(story.is.table, history);
    // Whoever cannot tell what changed looks at all keys, and loses no history.
    let outcome = story
        .session
        .outcome_of_all(story.query(&story.source), story.stored());
    assert!(outcome.await.unwrap().keys.is_empty());
}

#[tokio::test]
async fn rows_without_a_place_in_the_order_are_counted_and_refused() {
    let session = KeySession::open(
        Keyed {
            sequence: Some("value".to_owned()),
            ..keyed(Keeps::Latest, false)
        },
        2,
    );
    let session = session.unwrap();
    let rows = [at(1, 1, 1), gone(1, 1), gone(2, 1)];
    let queries = SessionContext::new();
    let whole = session.whole(frame(&queries, source(&rows)), None);
    let error = whole.unwrap().collect().await.unwrap_err().to_string();
    assert!(
        error.contains("`value`, which `sequence_by` names, is NULL in 2 of 3 rows"),
        "{error}"
    );
}
