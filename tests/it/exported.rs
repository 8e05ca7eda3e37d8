//! Where else the events of a run go: `--events`, `system.events`, OpenLineage.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

fn lines(sandbox: &Sandbox, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(sandbox.path().join(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Two tables that are made, one that fails, one that is blocked by it.
fn broken() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("orders.csv", "id,price\n1,2.5\n2,-1\n");
    sandbox.write(
        "pipeline.yaml",
        r#"pipeline: shop
openlineage: lineage.ndjson
tables:
  bronze.orders:
    ingest: {files: orders*.csv}
  silver.orders:
    comment: What was ordered.
    sql: SELECT id, price * 2 AS double_price FROM bronze.orders
  gold.orders:
    sql: SELECT * FROM silver.orders
    expect:
      positive: {that: double_price > 0, otherwise: fail}
  gold.more:
    sql: SELECT * FROM gold.orders
"#,
    );
    sandbox
}

#[test]
fn events_are_added_to_a_file_and_kept_in_the_store() {
    let sandbox = broken();
    let first = sandbox.call(&["run", "--json", "--events", "events.jsonl"]);
    assert_eq!(first.code, Some(1), "{}", first.all());
    let told = first.events();
    assert_eq!(
        lines(&sandbox, "events.jsonl"),
        told,
        "a file has what --json shows"
    );
    let run = told[0]["run_id"].as_str().unwrap();
    for (place, event) in told.iter().enumerate() {
        assert_eq!(event["format_version"], 1);
        assert_eq!(event["run"], run);
        assert_eq!(event["seq"], place + 1);
    }
    sandbox.edit("pipeline.yaml", "double_price > 0", "double_price > -9");
    let second = sandbox.call(&["run", "--json", "--events", "events.jsonl"]);
    assert_eq!(second.code, Some(0), "{}", second.all());
    let all = lines(&sandbox, "events.jsonl");
    assert_eq!(all.len(), told.len() + second.events().len());

    let kept = sandbox.rows(
        "SELECT event, asset, details FROM system.events \
         WHERE run_id = (SELECT min(run_id) FROM system.runs WHERE kind = 'run') ORDER BY seq",
    );
    let of_store: Vec<&Value> = kept.iter().map(|row| &row["event"]).collect();
    let lasting = |event: &&Value| event["event"] != "stage_progress";
    let of_file: Vec<&Value> = told
        .iter()
        .filter(lasting)
        .map(|event| &event["event"])
        .collect();
    assert_eq!(of_store, of_file);
    let failed = kept
        .iter()
        .find(|row| row["event"] == "stage_failed")
        .unwrap();
    assert_eq!(failed["asset"], "gold.orders");
    let details: Value = serde_json::from_str(failed["details"].as_str().unwrap()).unwrap();
    assert!(details["error"].as_str().unwrap().contains("`positive`"));
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_stops_nothing() {
    let sandbox = Sandbox::apples();
    let nowhere = sandbox.call(&["run", "--events", "no/such/folder/events.jsonl"]);
    assert_eq!(nowhere.code, Some(4), "{}", nowhere.all());
    assert!(
        !sandbox.path().join("lakehouse").exists(),
        "nothing has run"
    );
    if std::path::Path::new("/dev/full").exists() {
        let full = sandbox.call(&["run", "-s", "bronze.apples", "--events", "/dev/full"]);
        assert_eq!(full.code, Some(0), "{}", full.all());
        assert!(full.stderr.contains("events are lost: "), "{}", full.all());
    }
    let wrong = sandbox.call(&["run", "--openlineage", "kafka://host"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.all());
    assert!(wrong.stderr.contains("http://"), "{}", wrong.all());
}

/// By run: the types of its events, in order.
fn transitions(events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let run = event["run"]["runId"].as_str().unwrap().to_owned();
        let kind = event["eventType"].as_str().unwrap().to_owned();
        runs.entry(run).or_default().push(kind);
    }
    runs
}

fn of<'a>(events: &'a [Value], job: &str, kind: &str) -> &'a Value {
    let is = |event: &&Value| event["job"]["name"] == job && event["eventType"] == kind;
    events
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("no {kind} of {job}"))
}

#[test]
fn openlineage_is_told_of_the_run_and_each_stage() {
    let sandbox = broken();
    let ended = sandbox.call(&["run"]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let events = lines(&sandbox, "lineage.ndjson");
    // The run, and three stages: what was not tried is no run.
    let runs = transitions(&events);
    assert_eq!(runs.len(), 4);
    for kinds in runs.values() {
        assert_eq!(kinds.len(), 2, "{kinds:?}");
        assert_eq!(kinds[0], "START");
    }
    let run = of(&events, "shop", "FAIL");
    let made = of(&events, "shop.silver.orders", "COMPLETE");
    let failed = of(&events, "shop.gold.orders", "FAIL");
    assert_eq!(
        made["run"]["facets"]["parent"]["run"]["runId"],
        run["run"]["runId"]
    );
    let words = &failed["run"]["facets"]["errorMessage"]["message"];
    assert!(words.as_str().unwrap().contains("`positive`"));
    let folder = std::fs::canonicalize(sandbox.path()).unwrap();
    let path = |name: &str| folder.join("lakehouse").join(name).display().to_string();
    let output = &made["outputs"][0];
    assert_eq!(output["namespace"], "file");
    assert_eq!(output["name"], path("silver/orders"));
    assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 2);
    assert_eq!(output["facets"]["version"]["datasetVersion"], "0");
    let fields = &output["facets"]["schema"]["fields"];
    assert_eq!(
        *fields,
        json!([{"name": "id", "type": "BIGINT"}, {"name": "double_price", "type": "DOUBLE"}])
    );
    let from = &output["facets"]["columnLineage"]["fields"]["double_price"]["inputFields"];
    assert_eq!(
        *from,
        json!([{"namespace": "file", "name": path("bronze/orders"), "field": "price"}])
    );
    let read = of(&events, "shop.bronze.orders", "START");
    assert_eq!(read["inputs"][0]["name"], folder.display().to_string());
    check_facets(&Value::Array(events));
}

/// Every facet says who made it and which schema it is of.
fn check_facets(value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(check_facets),
        Value::Object(object) => {
            for (key, value) in object {
                if key.ends_with("acets") {
                    for facet in value.as_object().unwrap().values() {
                        let producer = facet["_producer"].as_str().unwrap();
                        assert!(producer.starts_with("urn:sluice:"), "{facet}");
                        let schema = facet["_schemaURL"].as_str().unwrap();
                        assert!(
                            schema.starts_with("https://openlineage.io/spec/"),
                            "{facet}"
                        );
                    }
                }
                check_facets(value);
            }
        }
        _ => {}
    }
}

#[test]
fn a_server_is_told_and_one_that_hangs_holds_nothing_up() {
    let sandbox = broken();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, bodies) = mpsc::channel();
    let server = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut length, mut first) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if first.is_empty() {
                    first = line.trim().to_owned();
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            assert_eq!(first, "POST /api/v1/lineage HTTP/1.1");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let last = body["job"]["name"] == "shop" && body["eventType"] == "FAIL";
            told.send(body).unwrap();
            let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
            if last {
                return;
            }
        }
    });
    let ended = sandbox.call(&["run", "--openlineage", &url]);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(!ended.stderr.contains("lost"), "{}", ended.all());
    server.join().unwrap();
    let events: Vec<Value> = bodies.try_iter().collect();
    assert_eq!(events.len(), 8);
    assert!(
        !sandbox.path().join("lineage.ndjson").exists(),
        "the option counts"
    );

    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let ended = sandbox.call(&[
        "run",
        "-s",
        "bronze.orders",
        "--full-refresh",
        "*",
        "--openlineage",
        &url,
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(
        ended.stderr.contains("of 4 events are lost: "),
        "{}",
        ended.all()
    );
}
