"""The same 96 trials here and with Python's xgboost in threads, on the same cores.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install numpy==2.4.6 xgboost-cpu==3.2.0
    cargo build --release
    /tmp/bench/bin/python benches/sweep.py --sluice target/release/sluice

Boosted trees on the wines of `data/wine`: depth 4 to 100, up to 1,000 rounds, early
stopping after 50. Sluice draws the parameters (random search, so that pruning does not
move the points), writes the split, and runs the sweep unpruned and with each pruner;
xgboost then fits the very same parameter sets on the very same rows, one fit a thread.
Printed: wall-clock seconds of the search alone, their ratio to xgboost's, and the best
validation AUC of each. The median of `--repeat` measurements is taken, interleaved.
"""

import argparse
import csv
import io
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xgboost

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIALS = 96
ROUNDS = 1000
EARLY_STOPPING_ROUNDS = 50
SEARCHED = ["max_depth", "learning_rate", "reg_alpha", "reg_lambda", "min_child_weight"]
PRUNERS = {
    "unpruned": None,
    "median": "{median: {warmup_rounds: 20}}",
    "successive_halving": "{successive_halving: {min_rounds: 20, reduction_factor: 3}}",
}

PIPELINE = """pipeline: bench
lakehouse: lakehouse
tables:
  bronze.wine:
    ingest:
      files: {data}/winequality-*.csv
      csv: {{delimiter: ";"}}
  gold.wine:
    sql: |
      SELECT * EXCEPT (quality, _file, _row, _ingested_at), quality >= 7 AS good,
             _file LIKE '%red%' AS is_red
      FROM bronze.wine
    split:
      parts: {{train: 0.6, validation: 0.2, test: 0.2}}
      seed: 123
models:
  search:
    sweep:
      from: gold.wine
      label: good
      estimator:
        gradient_boosting:
          rounds: {rounds}
          early_stopping_rounds: {early}
          max_depth: {{int: [4, 100]}}
          learning_rate: {{log: [0.05, 1.0]}}
          reg_alpha: {{log: [0.00001, 0.1]}}
          reg_lambda: {{log: [0.000001, 0.1]}}
          min_child_weight: {{log: [0.3, 20.0]}}
      sampler: {{random: {{seed: 123}}}}
      trials: {trials}
      maximize: validation.auc
{pruner}"""


def write_project(folder, pruner):
    folder.mkdir(parents=True)
    text = PIPELINE.format(
        data=ROOT / "data" / "wine",
        rounds=ROUNDS,
        early=EARLY_STOPPING_ROUNDS,
        trials=TRIALS,
        pruner=f"      pruner: {pruner}\n" if pruner else "",
    )
    (folder / "pipeline.yaml").write_text(text)


def run(sluice, folder, threads):
    """Seconds of the sweep from its start to its leaderboard, and the best AUC."""
    done = subprocess.run(
        [sluice, "run", "--json", "--parallelism", str(threads)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    begin = next(
        e["time_ms"]
        for e in events
        if e["event"] == "stage_started" and e["asset"] == "search"
    )
    board = next(e for e in events if e["event"] == "leaderboard")
    return (board["time_ms"] - begin) / 1000, board["rows"][0]["value"], board["pruned"]


def ask(sluice, folder, query, style):
    done = subprocess.run(
        [sluice, "sql", "--format", style, query],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def parameter_sets(sluice, folder):
    rows = ask(
        sluice,
        folder,
        "SELECT p.run_id, p.key, p.value FROM system.params p "
        "JOIN system.runs r ON r.run_id = p.run_id WHERE r.kind = 'trial'",
        "ndjson",
    )
    sets = {}
    for line in rows.splitlines():
        row = json.loads(line)
        if row["key"] in SEARCHED:
            value = row["value"]
            sets.setdefault(row["run_id"], {})[row["key"]] = (
                int(value) if row["key"] == "max_depth" else float(value)
            )
    assert len(sets) == TRIALS
    return list(sets.values())


def rows(sluice, folder):
    text = ask(sluice, folder, "SELECT * FROM gold.wine", "csv")
    table = list(csv.DictReader(io.StringIO(text)))
    names = [name for name in table[0] if name not in ("good", "_split")]

    def number(text):
        return {"true": 1.0, "false": 0.0}.get(text) if text in ("true", "false") else float(text)

    def matrix(split):
        part = [row for row in table if row["_split"] == split]
        features = np.array([[number(row[n]) for n in names] for row in part], np.float32)
        return features, np.array([number(row["good"]) for row in part], np.float32)

    return matrix("train"), matrix("validation")


def python_search(sets, train, validation, threads):
    """Seconds of all fits in a pool of threads, and the best AUC."""
    begin = time.perf_counter()
    train = xgboost.QuantileDMatrix(train[0], label=train[1])
    validation = xgboost.QuantileDMatrix(validation[0], label=validation[1], ref=train)

    def fit(params):
        booster = xgboost.train(
            {
                **params,
                "objective": "binary:logistic",
                "tree_method": "hist",
                "eval_metric": "auc",
                "seed": 0,
                "nthread": 1,
            },
            train,
            num_boost_round=ROUNDS,
            evals=[(validation, "validation")],
            early_stopping_rounds=EARLY_STOPPING_ROUNDS,
            verbose_eval=False,
        )
        return booster.best_score

    with ThreadPoolExecutor(threads) as pool:
        best = max(pool.map(fit, sets))
    return time.perf_counter() - begin, best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", required=True, type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    sluice = options.sluice.resolve()
    seconds = {name: [] for name in [*PRUNERS, "xgboost"]}
    best, pruned = {}, {}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as scratch:
        for repeat in range(options.repeat):
            for name, pruner in PRUNERS.items():
                folder = pathlib.Path(scratch) / f"{name}{repeat}"
                write_project(folder, pruner)
                took, best[name], pruned[name] = run(sluice, folder, options.threads)
                seconds[name].append(took)
            folder = pathlib.Path(scratch) / f"unpruned{repeat}"
            sets = parameter_sets(sluice, folder)
            train, validation = rows(sluice, folder)
            took, best["xgboost"] = python_search(sets, train, validation, options.threads)
            seconds["xgboost"].append(took)
    print(f"{TRIALS} trials, {options.threads} threads, median of {options.repeat};")
    print(f"{len(train[1])} training rows, {len(validation[1])} validation rows")
    print(f"{'':20} {'seconds':>8} {'ratio':>6} {'best AUC':>9} {'pruned':>7}")
    base = statistics.median(seconds["xgboost"])
    for name, took in seconds.items():
        took = statistics.median(took)
        print(
            f"{name:20} {took:8.2f} {took / base:6.2f} {best[name]:9.5f} {pruned.get(name, 0):7}"
        )


main()
