"""What an append of 1 % costs, as a share of making everything.

    cargo build --release
    python3 benches/incremental.py --sluice target/release/sluice

Writes `--rows` events (default 10 million; seeded) as CSV files of a million rows, and lets
`sluice run` bring them through three layers:

    bronze.events    ingest of the files
    silver.events    `mode: append`: types, a filter, a computed column
    gold.accounts    `mode: merge`: the last event of each account (one for ten events)
    gold.days        `mode: full`: events and sums by day (with `--days`: the whole of silver
                     is read again each time)

Then `--percent` more events arrive in a new file (9 of 10 of accounts that are there, some late)
and it runs again, `--repeat` times. Printed: the seconds of the whole process and of each
asset, and the share of the first run that the median append takes. In the end the tables
must hold what was counted while the files were written.

`--against-full` also makes everything anew over all files, and compares gold row by row.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PIPELINE = """pipeline: bench
lakehouse: {lakehouse}
tables:
  bronze.events:
    ingest: {{files: landing/events-*.csv}}
  silver.events:
    mode: append
    sql: |
      SELECT event_id, account_id, CAST(seconds AS BIGINT) AS seconds, kind, amount,
             amount * 1.24 AS gross, CAST(to_timestamp(seconds) AS DATE) AS day
      FROM bronze.events
      WHERE kind <> 'noise'
  gold.accounts:
    mode:
      merge:
        keys: [account_id]
        sequence_by: seconds
    sql: |
      SELECT account_id, seconds, event_id, kind, gross
      FROM silver.events
"""

DAYS = """  gold.days:
    sql: |
      SELECT day, count(*) AS events, sum(gross) AS gross FROM silver.events GROUP BY day
"""

KINDS = ["view", "view", "view", "cart", "order", "order", "return", "noise"]
START = 1_767_225_600  # 2026-01-01
MASK = (1 << 64) - 1


def mixed(number):
    """SplitMix64: the same number gives the same dice on every machine."""
    z = (number + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Told:
    """What the tables must hold, counted while the files are written."""

    def __init__(self):
        self.bronze = self.silver = self.cents = 0
        self.accounts = set()

    def add(self, kind, account, cents):
        self.bronze += 1
        if kind != "noise":
            self.silver += 1
            self.cents += cents
            self.accounts.add(account)


def write(path, first, count, accounts, told):
    """One CSV file of events `first..first + count`."""
    part = path.with_name("." + path.name)
    with open(part, "w") as file:
        file.write("event_id,account_id,seconds,kind,amount\n")
        lines = []
        for number in range(first, first + count):
            dice = mixed(number)
            # Of accounts that are there; one of ten of a later one.
            account = dice % accounts if dice >> 40 & 7 else dice % (accounts + accounts // 10)
            # In order, but one of sixteen up to a day late.
            late = dice >> 20 & 0xFFFF if dice >> 60 == 0 else 0
            kind = KINDS[dice >> 45 & 7]
            cents = dice >> 30 & 0x3FFF
            told.add(kind, account, cents)
            lines.append(
                f"{number},{account},{START + number // 4 - late},{kind},{cents // 100}.{cents % 100:02}\n"
            )
            if len(lines) == 50_000:
                file.writelines(lines)
                lines.clear()
        file.writelines(lines)
    part.rename(path)


def run(sluice, project, *more):
    """Runs the project: seconds of the process, and of each asset made."""
    began = time.perf_counter()
    done = subprocess.run(
        [sluice, "run", str(project), "--json", *more], capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(done.stdout[-4000:] + done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    made = {
        event["asset"]: (event["seconds"], event.get("rows"))
        for event in events
        if event["event"] == "stage_finished"
    }
    return seconds, made


def ask(sluice, lakehouse, query):
    command = [sluice, "sql", "--lakehouse", str(lakehouse), "--format", "ndjson", query]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def report(name, seconds, made):
    parts = ", ".join(
        f"{asset} {taken:.2f} s ({rows or 0:,} rows)" for asset, (taken, rows) in made.items()
    )
    print(f"{name:<12} {seconds:8.2f} s   {parts}", flush=True)


def check(sluice, lakehouse, told):
    """The tables hold what was written, and each account once."""
    [bronze] = ask(sluice, lakehouse, "SELECT count(*) AS n FROM bronze.events")
    [silver] = ask(
        sluice,
        lakehouse,
        "SELECT count(*) AS n, CAST(round(sum(amount) * 100) AS BIGINT) AS cents FROM silver.events",
    )
    [gold] = ask(
        sluice,
        lakehouse,
        "SELECT count(*) AS n, count(DISTINCT account_id) AS accounts FROM gold.accounts",
    )
    found = (bronze["n"], silver["n"], silver["cents"], gold["n"], gold["accounts"])
    accounts = len(told.accounts)
    expected = (told.bronze, told.silver, told.cents, accounts, accounts)
    if found != expected:
        sys.exit(f"the tables hold {found}, and should hold {expected}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sluice", default="target/release/sluice")
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--percent", type=float, default=1.0)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--days", action="store_true", help="a full table of silver, too")
    options.add_argument("--against-full", action="store_true")
    options.add_argument("--keep", help="the folder to work in, which is kept")
    options = options.parse_args()

    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="sluice-incremental-"))
    (folder / "landing").mkdir(parents=True, exist_ok=True)
    project = folder / "pipeline.yaml"
    project.write_text(PIPELINE.format(lakehouse="lakehouse") + (DAYS if options.days else ""))
    told, first = Told(), 0
    accounts = max(options.rows // 10, 10)
    while first < options.rows:
        count = min(1_000_000, options.rows - first)
        write(folder / f"landing/events-{first:012}.csv", first, count, accounts, told)
        first += count

    whole, made = run(options.sluice, project)
    report("everything", whole, made)
    check(options.sluice, folder / "lakehouse", told)
    nothing, made = run(options.sluice, project)
    report("nothing new", nothing, made)

    appends = []
    more = max(int(options.rows * options.percent / 100), 1)
    for _ in range(options.repeat):
        write(folder / f"landing/events-{first:012}.csv", first, more, accounts, told)
        first += more
        seconds, made = run(options.sluice, project)
        report(f"{options.percent:g} % more", seconds, made)
        appends.append(seconds)
    check(options.sluice, folder / "lakehouse", told)

    if options.against_full:
        seconds, made = run(options.sluice, project, "--lakehouse", str(folder / "again"))
        report("all again", seconds, made)
        rows = "SELECT * FROM gold.accounts ORDER BY account_id"
        if ask(options.sluice, folder / "lakehouse", rows) != ask(
            options.sluice, folder / "again", rows
        ):
            sys.exit("gold.accounts differs from one that is made whole")
    median = statistics.median(appends)
    print(f"an append of {options.percent:g} % takes {median:.2f} s, {median / whole:.1%} of {whole:.2f} s")
    if not options.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
