//! Ingests over several runs: bad records, files that change and go, columns that change.

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionContext;
use sluice_pipelines::check::{World, check};
use sluice_pipelines::events::{Event, EventKind, EventSink};
use sluice_pipelines::project::Project;
use sluice_pipelines::run::{RunOptions, run};
use sluice_pipelines::spec::{Overrides, load};
use tokio_util::sync::CancellationToken;

/// A project with one ingest, `bronze.t`, of the files in `in/`.
struct Ingest {
    dir: tempfile::TempDir,
}

impl Ingest {
    fn new(keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ingest = Self { dir };
        ingest.define(keys);
        ingest
    }

    fn define(&self, keys: &str) {
        let text = format!(
            "pipeline: p\ntables:\n  bronze.t:\n    ingest:\n      files: in/\n{}",
            keys.lines()
                .map(|key| format!("      {key}\n"))
                .collect::<String>()
        );
        std::fs::write(self.dir.path().join("pipeline.yaml"), text).unwrap();
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join("in").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join("in").join(name)).unwrap();
    }

    /// Runs; gives what is said: warnings, errors and reasons to skip.
    async fn run(&self) -> Vec<String> {
        let project = Project::from_file(self.dir.path().join("pipeline.yaml"));
        let (spec, _) = load(&project, &Overrides::default()).unwrap();
        let world = World::open(&spec.lakehouse.path).await.unwrap();
        let plan = match check(&spec, &world).await {
            Ok((plan, _)) => plan,
            Err(diagnostics) => return vec![format!("check: {}", diagnostics.plain())],
        };
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let events = Arc::clone(&said);
        let sink: EventSink = Arc::new(move |event: &Event| {
            let words = match &event.kind {
                EventKind::Warning { message, .. } => format!("warning: {message}"),
                EventKind::StageFailed { error, .. } => format!("failed: {error}"),
                EventKind::StageSkipped { reason, .. } => format!("skipped: {reason}"),
                _ => return,
            };
            events.lock().unwrap().push(words);
        });
        run(plan, RunOptions::default(), sink, CancellationToken::new())
            .await
            .unwrap();
        let said = said.lock().unwrap();
        said.clone()
    }

    /// Rows of a query on a table, called `t` in it.
    async fn rows(&self, table: &str, query: &str) -> Vec<String> {
        let lake = sluice_lake::Lakehouse::open(self.lakehouse()).unwrap();
        let table = lake.load(&table.parse().unwrap(), None).await.unwrap();
        let context = SessionContext::new();
        context.register_table("t", table.provider).unwrap();
        let batches = context.sql(query).await.unwrap().collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter();
                let cells = cells.map(|column| array_value_to_string(column, row).unwrap());
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    fn lakehouse(&self) -> std::path::PathBuf {
        self.dir.path().join("lakehouse")
    }

    async fn good(&self) -> Vec<String> {
        self.rows(
            "bronze.t",
            "SELECT * EXCEPT (_ingested_at) FROM t ORDER BY _file, _row",
        )
        .await
    }

    async fn bad(&self) -> Vec<String> {
        let query = "SELECT _file, _row, _line, _raw, _reason FROM t ORDER BY _file, _row";
        self.rows("bronze.t__rejected", query).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_a_table_of_their_own_and_follow_their_file() {
    let ingest = Ingest::new("csv: {columns: {n: int}}");
    ingest.file("a.csv", "n,s\n1,x\n2\n\"3\",\"y\nz\"\nx,w\n5,v\n");
    ingest.file("b.csv", "n,s\n1,b\n");
    let said = ingest.run().await;
    assert_eq!(
        said,
        [
            "warning: 2 records were rejected: see bronze.t__rejected; the first is in/a.csv, \
             row 2: 1 field, but the header has 2: fix the line, or quote a field that holds \
             the delimiter or a line break"
        ]
    );
    let good = [
        "1|x|in/a.csv|1",
        "3|y\nz|in/a.csv|3",
        "5|v|in/a.csv|5",
        "1|b|in/b.csv|1",
    ];
    assert_eq!(ingest.good().await, good);
    let bad = ingest.bad().await;
    assert!(bad[0].starts_with("in/a.csv|2|3|2|1 field, but"), "{bad:?}");
    assert!(
        bad[1].starts_with("in/a.csv|4|6|x,w|\"x\" in the column `n`"),
        "{bad:?}"
    );

    // Nothing new: nothing is done. Another file: its bad records are added.
    assert!(ingest.run().await[0].starts_with("skipped: its 2 files are unchanged"));
    ingest.file("c.csv", b"n,s\n1,caf\xE9\n");
    assert!(ingest.run().await[0].starts_with("warning: 1 record was rejected"));
    assert_eq!(ingest.bad().await.len(), 3);
    let bytes = "SELECT _raw_bytes FROM t WHERE _raw_bytes IS NOT NULL";
    let hex = ingest.rows("bronze.t__rejected", bytes).await;
    assert_eq!(hex, ["312c636166e9"]);

    // Mended, a file leaves no bad record behind, and no row twice.
    ingest.file("a.csv", "n,s\n1,x\n2,y\n");
    assert!(ingest.run().await.is_empty());
    assert_eq!(
        ingest.good().await,
        ["1|x|in/a.csv|1", "2|y|in/a.csv|2", "1|b|in/b.csv|1"]
    );
    assert_eq!(ingest.bad().await.len(), 1);

    // Another definition makes both tables anew.
    ingest.define("csv: {}");
    assert!(ingest.run().await[0].starts_with("warning: 1 record was rejected"));
    assert_eq!(ingest.bad().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_between_the_two_tables_is_made_good() {
    let ingest = Ingest::new("csv: {columns: {n: int}}");
    ingest.file("a.csv", "n\n1\n");
    ingest.run().await;
    ingest.file("b.csv", "n\n2\nx\n");
    ingest.run().await;
    let (good, bad) = (ingest.good().await, ingest.bad().await);
    // The rejected records were committed, and the rows were not.
    let log = ingest.lakehouse().join("bronze/t/_delta_log");
    let last = log.join(format!("{:020}.json", 1));
    assert!(last.exists());
    std::fs::remove_file(last).unwrap();
    assert_eq!(ingest.good().await, ["1|in/a.csv|1"]);
    let said = ingest.run().await;
    assert!(
        said.iter()
            .any(|said| said.contains("1 record was rejected")),
        "{said:?}"
    );
    assert_eq!(ingest.good().await, good);
    assert_eq!(ingest.bad().await, bad);
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_writes_nothing_at_all() {
    let ingest = Ingest::new("on_bad_record: fail");
    ingest.file("a.csv", "n,s\n1,x\n");
    assert!(ingest.run().await.is_empty());
    ingest.file("b.csv", "n,s\n1,y\n2\n");
    let said = ingest.run().await;
    assert!(
        said[0].contains("in/b.csv, line 3, row 2: 1 field"),
        "{said:?}"
    );
    assert_eq!(ingest.good().await, ["1|x|in/a.csv|1"]);
    assert!(!Path::new(&ingest.lakehouse().join("bronze/t__rejected")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_leave_their_rows() {
    let ingest = Ingest::new("csv: {}");
    ingest.file("a.csv", "n\n1\n");
    ingest.file("b.csv", "n\n2\n");
    ingest.run().await;
    ingest.remove("a.csv");
    assert!(ingest.run().await[0].starts_with("skipped: its file is unchanged"));
    ingest.remove("b.csv");
    assert!(ingest.run().await[0].starts_with("skipped: its files are gone, their rows stay"));
    assert_eq!(ingest.good().await, ["1|in/a.csv|1", "2|in/b.csv|1"]);
    ingest.file("c.csv", "n\n3\n");
    assert!(ingest.run().await.is_empty());
    assert_eq!(ingest.good().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_shown_or_followed() {
    let ingest = Ingest::new("csv: {}");
    ingest.file("a.csv", "id,n,gone\n1,10,x\n2,20,y\n");
    ingest.run().await;
    ingest.remove("a.csv");
    ingest.file("b.csv", "id,n,new\n3,1.5,2024-01-01\n");
    let said = ingest.run().await;
    assert_eq!(
        said,
        [
            "failed: in/b.csv does not have the columns of the table: `n` was BIGINT and is \
             DOUBLE, `new` (DATE) is new, `gone` is missing; make them alike, or say `evolve: true`"
        ]
    );
    assert_eq!(ingest.good().await.len(), 2);

    ingest.define("csv: {}\nevolve: true");
    assert_eq!(ingest.run().await, Vec::<String>::new());
    let query = "SELECT id, n, gone, new, _file FROM t ORDER BY id";
    let expected = [
        "1|10.0|x||in/a.csv",
        "2|20.0|y||in/a.csv",
        "3|1.5||2024-01-01|in/b.csv",
    ];
    assert_eq!(ingest.rows("bronze.t", query).await, expected);
    assert!(ingest.run().await[0].starts_with("skipped: its file is unchanged"));

    // A changed file is replaced as before, and other files stay.
    ingest.file("b.csv", "id,n,new\n4,2,2024-01-02\n");
    assert_eq!(ingest.run().await, Vec::<String>::new());
    let rows = ingest.rows("bronze.t", query).await;
    assert_eq!(rows[..2], expected[..2]);
    assert_eq!(rows[2], "4|2.0||2024-01-02|in/b.csv");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_value_is_a_bad_record_and_no_drift() {
    let ingest = Ingest::new("csv: {}");
    ingest.file("a.csv", "n\n1\n2\n");
    ingest.run().await;
    ingest.file("b.csv", "n\n3\noops\n");
    let said = ingest.run().await;
    assert!(
        said[0].contains("in/b.csv, row 2: \"oops\" in the column `n`"),
        "{said:?}"
    );
    assert_eq!(ingest.good().await.len(), 3);
    // A file that has no value of the type is something else.
    ingest.file("c.csv", "n\nx\ny\n");
    let said = ingest.run().await;
    assert!(
        said[0].contains("`n` was BIGINT and is VARCHAR"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_the_dialect_counts() {
    let ingest = Ingest::new(
        "csv:\n  delimiter: \";\"\n  quote: \"'\"\n  escape: \"\\\\\"\n  decimal: \",\"\n  \
         nulls: [NA]\n  encoding: windows-1252\n  names: as_is",
    );
    ingest.file(
        "a.csv",
        b"id;price;note\n1;1,5;'it\\'s; caf\xE9'\n2;NA;NA\n",
    );
    assert_eq!(ingest.run().await, Vec::<String>::new());
    assert_eq!(
        ingest.good().await,
        ["1|1.5|it's; café|in/a.csv|1", "2|||in/a.csv|2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_both_shapes_and_parquet_make_one_table() {
    let ingest = Ingest::new("evolve: true");
    ingest.file(
        "a.ndjson",
        "{\"id\": 1, \"tags\": [1, 2], \"at\": \"2024-01-01\"}\n{\"id\": 2}\nnope\n",
    );
    ingest.file("b.json", "[{\"id\": 3, \"s\": \"\"}, 4]");
    let said = ingest.run().await;
    assert!(
        said[0].starts_with("warning: 2 records were rejected"),
        "{said:?}"
    );
    let query = "SELECT id, tags, at, s IS NULL, _file, _row FROM t ORDER BY id";
    assert_eq!(
        ingest.rows("bronze.t", query).await,
        [
            "1|[1, 2]|2024-01-01|true|in/a.ndjson|1",
            "2|||true|in/a.ndjson|2",
            "3|||false|in/b.json|1"
        ]
    );
    let bad: Vec<String> = ingest.bad().await;
    assert!(
        bad[0].starts_with("in/a.ndjson|3|3|nope|this is not JSON"),
        "{bad:?}"
    );
    assert!(
        bad[1].starts_with("in/b.json|2|1|4|this is not a JSON object"),
        "{bad:?}"
    );

    // The table's own data file, as a file to ingest.
    let table = ingest.lakehouse().join("bronze/t");
    let parquet = std::fs::read_dir(table).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        (path.extension()? == "parquet").then_some(path)
    });
    let from = Ingest::new("csv: {}");
    from.file("t.parquet", std::fs::read(parquet.unwrap()).unwrap());
    let said = from.run().await;
    assert!(said[0].contains("it is Parquet"), "{said:?}");
}
