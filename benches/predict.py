"""`predict` in SQL against the learner's own batch prediction and Python's xgboost.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install numpy==2.4.6 pyarrow xgboost-cpu==3.2.0
    cargo build --release
    cargo build --release -p sluice-learn --example batch_predict
    /tmp/bench/bin/python benches/predict.py --sluice target/release/sluice

A model of 100 trees of depth 6 on 11 columns, and a Delta table of `--rows` rows without a
model's answer to give away. Printed: rows a second, and the ratio to the learner's own:

- `sql`: `sluice sql` with an aggregate over `predict`, so that no output is written, less
  the same aggregate over the columns alone (start, planning and scan, printed as `scan`);
- `learner`: hessboost's batch prediction of the same rows, which lie in memory as `f32`;
- `library`: the same call through sluice-learn;
- `xgboost`: `Booster.inplace_predict` of them, the model loaded from the same file.

All use as many threads as there are processors; `taskset` gives fewer. The median of
`--repeat` measurements is taken, interleaved.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import pyarrow
import pyarrow.parquet
import xgboost

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = 11
NAMES = [f"c{at}" for at in range(COLUMNS)]
LEARNT_ROWS = 20_000

PIPELINE = """pipeline: bench
lakehouse: lakehouse
tables:
  bronze.rows:
    ingest: {files: rows-*.parquet}
  bronze.learnt:
    ingest: {files: learnt.parquet}
  gold.learnt:
    sql: SELECT * EXCEPT (_file, _row, _ingested_at) FROM bronze.learnt
    split:
      parts: {train: 0.9, validation: 0.05, test: 0.05}
      seed: 1
models:
  scorer:
    train:
      from: gold.learnt
      label: good
      estimator:
        gradient_boosting: {rounds: 100, max_depth: 6, learning_rate: 0.1}
    register: {as: scorer, alias: production}
"""


def matrix(rows, seed):
    return np.random.default_rng(seed).standard_normal((rows, COLUMNS)).astype(np.float32)


def write(folder, name, values, **more):
    columns = {c: values[:, at].astype(np.float64) for at, c in enumerate(NAMES)}
    pyarrow.parquet.write_table(pyarrow.table({**columns, **more}), folder / name)


def write_project(folder, rows):
    learnt = matrix(LEARNT_ROWS, 1)
    score = np.sin(learnt[:, 0] * 2) + learnt[:, 1] * learnt[:, 2] + learnt[:, 3:].sum(1) / 4
    noise = np.random.default_rng(2).standard_normal(LEARNT_ROWS)
    write(folder, "learnt.parquet", learnt, good=score + noise > 0)
    values = matrix(rows, 3)
    for part, piece in enumerate(np.array_split(values, 4)):
        write(folder, f"rows-{part}.parquet", piece)
    values.tofile(folder / "rows.f32")
    (folder / "pipeline.yaml").write_text(PIPELINE)
    return values


def run(*command, **more):
    done = subprocess.run(command, check=True, capture_output=True, text=True, **more)
    return done.stdout


def sql_seconds(sluice, folder, query):
    begin = time.perf_counter()
    run(sluice, "sql", "--format", "csv", query, cwd=folder)
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", required=True, type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    sluice = options.sluice.resolve()
    learner = sluice.parent / "examples" / "batch_predict"
    threads = len(os.sched_getaffinity(0))
    seconds = {name: [] for name in ["scan", "sql", "learner", "library", "xgboost"]}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as scratch:
        folder = pathlib.Path(scratch)
        values = write_project(folder, options.rows)
        run(sluice, "run", cwd=folder)
        model = next((folder / "lakehouse").glob("**/model.json"))
        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(model)
        sums = " + ".join(NAMES)
        scan = f"SELECT count(*), avg({sums}) AS mean FROM bronze.rows"
        predict = (
            "SELECT count(p), avg(p) AS mean FROM (SELECT "
            "predict('models:/scorer@production', *) AS p FROM bronze.rows)"
        )
        for _ in range(options.repeat):
            alone = sql_seconds(sluice, folder, scan)
            seconds["scan"].append(alone)
            whole = sql_seconds(sluice, folder, predict)
            seconds["sql"].append(whole - alone)
            text = run(learner, model, folder / "rows.f32", "1")
            own, ours = (float(line.split()[1]) for line in text.splitlines())
            seconds["learner"].append(own)
            seconds["library"].append(ours)
            begin = time.perf_counter()
            booster.inplace_predict(values)
            seconds["xgboost"].append(time.perf_counter() - begin)
    print(f"{options.rows} rows, {threads} threads, median of {options.repeat}")
    print(f"{'':10} {'seconds':>8} {'million rows/s':>15} {'of learner':>11}")
    base = statistics.median(seconds["learner"])
    for name, took in seconds.items():
        took = statistics.median(took)
        speed = options.rows / took / 1e6
        print(f"{name:10} {took:8.3f} {speed:15.2f} {base / took:11.2f}")


main()
