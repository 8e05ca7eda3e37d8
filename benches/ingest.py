"""1 GB of CSV into a Delta table here, and into Parquet with Polars and DuckDB.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install numpy==2.4.6 polars==2.1.0 duckdb==2.0.1
    cargo build --release
    /tmp/bench/bin/python benches/ingest.py --sluice target/release/sluice

Makes one CSV file (seeded; `--megabytes`, or takes another with `--file`): whole numbers,
prices, dates, times, short words, and a comment that is quoted where it holds a comma, in
one of ten rows, or a quote, in one of a hundred. Then, `--repeat` times and in turns:

    sluice   `sluice run` of a project that ingests it, in a new lakehouse: the whole
             process, with the check, the hash of the file, the types of all values, and
             the commit
    polars   scan_csv(try_parse_dates=True).sink_parquet, and read_csv the same way
             .write_parquet
    duckdb   COPY (FROM read_csv(..., store_rejects=true)) TO ... (FORMAT parquet)

on `--threads` threads each, Snappy for all. Polars and DuckDB are timed without the start of
Python. Printed: the median of the seconds, megabytes of CSV a second, the ratio of sluice's
seconds to theirs, and the peak of resident memory. All must have the same rows and sums.

What the others leave out: Polars and DuckDB take the types from a sample (of 100 rows and
of 20,480), Sluice from all rows; Polars ends at the first bad record, DuckDB keeps it in a
temporary table, Sluice in a table beside; Sluice alone adds `_file`, `_row` and
`_ingested_at` to each row, and knows the file by its content the next time.

Last, what is asked when nothing changed: `sluice plan` on that project, and on 10,000 small
files (`--files`).
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

WORDS = "amber brook cedar delta ember flint grove haven inlet jetty knoll lagoon".split()
MODES = ["AIR", "RAIL", "SHIP", "TRUCK", "MAIL"]
SUMS = "count(*) AS n, sum(part) AS parts, round(sum(price)) AS prices, max(created_at) AS last"

PIPELINE = """pipeline: bench
lakehouse: lakehouse
tables:
  bronze.lines:
    ingest: {{files: {files}}}
"""

POLARS = """
import sys, time, polars as pl
source, target, how = sys.argv[1:]
began = time.perf_counter()
if how == "sink":
    pl.scan_csv(source, try_parse_dates=True).sink_parquet(target, compression="snappy")
else:
    pl.read_csv(source, try_parse_dates=True).write_parquet(target, compression="snappy")
print(time.perf_counter() - began)
"""

DUCKDB = """
import os, sys, time, duckdb
source, target, _ = sys.argv[1:]
db = duckdb.connect()
db.execute(f"SET threads = {os.environ['THREADS']}")
db.execute("SET enable_progress_bar = false")
began = time.perf_counter()
db.execute(f"COPY (FROM read_csv('{source}', store_rejects=true)) TO '{target}' "
           "(FORMAT parquet, COMPRESSION snappy)")
print(time.perf_counter() - began)
"""


def make_csv(path, megabytes):
    """Writes about so many megabytes of lines of orders, the same ones each time."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)
    block = 250_000

    def phrase(number):
        picked = random.choice(WORDS, random.integers(3, 7))
        between = ", " if number % 10 == 0 else " "
        text = between.join(picked)
        return f'{text} "{picked[0]}"' if number % 100 == 1 else text

    phrases = np.array([phrase(number) for number in range(50_000)])
    day = np.datetime64("1995-01-01")
    first, written = 1, 0
    with open(path, "wb") as file:
        while written < megabytes * 1_000_000:
            number = np.arange(first, first + block)
            quantity = random.integers(1, 51, block)
            shipped = day + random.integers(0, 2_500, block).astype("timedelta64[D]")
            created = np.datetime64("1995-01-01T00:00:00", "us") + random.integers(
                0, 2_500 * 86_400, block
            ).astype("timedelta64[s]")
            frame = pl.DataFrame(
                {
                    "order_id": number // 4 + 1,
                    "line": number % 4 + 1,
                    "part": random.integers(1, 200_001, block),
                    "supplier": random.integers(1, 10_001, block),
                    "quantity": quantity,
                    "price": quantity * random.integers(90_000, 200_000, block) / 100,
                    "discount": random.integers(0, 11, block) / 100,
                    "tax": random.integers(0, 9, block) / 100,
                    "returned": random.choice(["A", "N", "R"], block),
                    "shipped": shipped.astype("datetime64[D]"),
                    "due": (shipped + np.timedelta64(20, "D")).astype("datetime64[D]"),
                    "created_at": created,
                    "mode": random.choice(MODES, block),
                    "weight": np.round(random.gamma(2.0, 3.0, block), 3),
                    "comment": random.choice(phrases, block),
                }
            )
            text = frame.write_csv(
                include_header=first == 1, datetime_format="%Y-%m-%d %H:%M:%S"
            ).encode()
            file.write(text)
            written += len(text)
            first += block


def timed(command, **options):
    """Output, wall-clock seconds and peak memory in bytes of a process of its own."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command[0]} ended with {process.returncode}")
        output.seek(0)
        return output.read().decode(), seconds, usage.ru_maxrss * 1024


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.sluice = str(pathlib.Path(options.sluice).resolve())
        threads = str(options.threads)
        self.env = os.environ | {"POLARS_MAX_THREADS": threads, "THREADS": threads}

    def project(self, name, files):
        project = self.folder / name
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir()
        (project / "pipeline.yaml").write_text(PIPELINE.format(files=files))
        return project

    def run(self, project):
        threads = str(self.options.threads)
        command = [self.sluice, "run", "--parallelism", threads]
        _, seconds, memory = timed(command, cwd=project)
        return seconds, memory

    def plan(self, project):
        _, seconds, _ = timed([self.sluice, "plan"], cwd=project)
        return seconds

    def ingest(self, csv):
        project = self.project("sluice", csv)
        seconds, memory = self.run(project)
        query = f"SELECT {SUMS} FROM bronze.lines"
        asked = [self.sluice, "sql", "--format", "json", query]
        answer, _, _ = timed(asked, cwd=project)
        return seconds, memory, json.loads(answer)[0]

    def peer(self, script, csv, how=""):
        target = self.folder / "peer.parquet"
        target.unlink(missing_ok=True)
        command = [sys.executable, "-c", script, str(csv), str(target), how]
        output, _, memory = timed(command, env=self.env)
        import duckdb

        query = f"SELECT {SUMS} FROM '{target}'"
        names = ["n", "parts", "prices", "last"]
        answer = dict(zip(names, duckdb.sql(query).fetchall()[0]))
        return float(output), memory, answer


def same(one, other):
    """Whether two answers are equal, up to how they write numbers and times."""
    keys = ["n", "parts", "prices"]
    times = [str(answer["last"]).replace("T", " ")[:19] for answer in (one, other)]
    return times[0] == times[1] and all(int(one[key]) == int(other[key]) for key in keys)


def compare(bench, csv):
    megabytes = csv.stat().st_size / 1e6
    ways = {
        "sluice": lambda: bench.ingest(csv),
        "polars sink": lambda: bench.peer(POLARS, csv, "sink"),
        "polars read": lambda: bench.peer(POLARS, csv, "read"),
        "duckdb": lambda: bench.peer(DUCKDB, csv),
    }
    seconds = {name: [] for name in ways}
    memory = {name: 0 for name in ways}
    expected = None
    for _ in range(bench.options.repeat):
        for name, way in ways.items():
            took, peak, answer = way()
            seconds[name].append(took)
            memory[name] = max(memory[name], peak)
            expected = expected or answer
            if not bench.options.file and not same(expected, answer):
                sys.exit(f"{name} has other rows: {answer}, not {expected}")
    own = statistics.median(seconds["sluice"])
    print(f"{megabytes:,.0f} MB, {bench.options.threads} threads, {int(expected['n']):,} rows")
    print(f"{'':12} {'seconds':>8} {'MB/s':>7} {'sluice is':>10} {'peak memory':>12}")
    for name, all_seconds in seconds.items():
        took = statistics.median(all_seconds)
        ratio = "" if name == "sluice" else f"{own / took:.2f} x"
        speed = megabytes / took
        peak = f"{memory[name] / 1e6:,.0f} MB"
        print(f"{name:12} {took:8.2f} {speed:7.0f} {ratio:>10} {peak:>12}")


def unchanged(bench):
    """How long it takes to find that nothing changed."""
    project = bench.folder / "sluice"
    print(f"plan, unchanged: {1000 * median_of(bench, project):.0f} ms")
    files = bench.folder / "many"
    for number in range(bench.options.files):
        folder = files / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.csv").write_text(f"n,name\n{number},x\n")
    # Files that were written a moment ago are looked at once more.
    time.sleep(2.5)
    project = bench.project("small", f"{files}/")
    took, _ = bench.run(project)
    again = 1000 * median_of(bench, project)
    print(f"{bench.options.files:,} files: run {took:.2f} s, plan, unchanged: {again:.0f} ms")


def median_of(bench, project):
    return statistics.median(bench.plan(project) for _ in range(bench.options.repeat + 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", default="target/release/sluice")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--file", type=pathlib.Path, help="a CSV file to take instead")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=pathlib.Path, help="where all is made, and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice-ingest-") as temporary:
        folder = (options.folder or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        csv = options.file or folder / f"lines-{options.megabytes}.csv"
        if not csv.exists():
            make_csv(csv, options.megabytes)
            time.sleep(2.5)
        bench = Bench(options, folder)
        compare(bench, csv.resolve())
        unchanged(bench)


if __name__ == "__main__":
    main()
