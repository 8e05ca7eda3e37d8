"""Large projects: how long `check` takes, a run of small tables, and one with nothing to do.

    cargo build --release
    cargo build --release -p sluice-lake --example bare_tables
    python3 benches/scale.py --sluice target/release/sluice [--bare target/release/examples/bare_tables]
        [--check 10000] [--run 1000]

The project has an ingest of one file and tables over it in layers of a hundred: each reads two
tables of the layer before, filters, and adds a column. Printed, with the most memory of each
process:

    check     `sluice check` of `--check` tables (aim: under 10 s and 1 GB)
    first     `sluice run` of `--run` tables, all of which are made
    a stage   what that took for each of them
    no-op     the same run again, with nothing to do (aim: under 3 s)
    own       what the runner costs a stage, by wall clock and by processor time (aim: under 5 ms):
              a first run with `--parallelism 1`, less the same queries and Delta commits with
              nothing around them (`bare_tables`), for each table; everything from reading the
              project to the last event is in it
"""

import argparse
import os
import pathlib
import resource
import subprocess
import tempfile
import time

WIDTH = 100


def project(folder, tables):
    """Writes a project; gives its queries by table."""
    folder.mkdir(parents=True)
    queries = {}
    (folder / "rows.csv").write_text("id,value\n" + "".join(f"{n},{n * 7 % 101}\n" for n in range(100)))
    lines = ["pipeline: scale", "tables:", "  bronze.t0: {ingest: {files: rows.csv}}"]
    for number in range(1, tables):
        layer = (number - 1) // WIDTH
        before = [0] if layer == 0 else [(layer - 1) * WIDTH + 1 + (number + step) % WIDTH for step in (0, 37)]
        name = [f"bronze.t{n}" if n == 0 else f"silver.t{n}" for n in before]
        source = f"{name[0]} AS a" + (f" JOIN {name[1]} AS b USING (id)" if len(name) > 1 else "")
        query = f"SELECT id, a.value + {number} AS value FROM {source} WHERE id < {1000 + number}"
        lines += [f"  silver.t{number}:", f"    sql: {query}"]
        queries[f"silver.t{number}"] = query
    (folder / "pipeline.yaml").write_text("\n".join(lines) + "\n")
    return queries


def timed(command, folder):
    """Seconds, the process's most resident bytes, and its processor seconds."""
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(output[-3000:])
    return seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def own(folder, given):
    """What the runner costs a stage, in seconds of the clock and of the processor."""
    queries = project(folder / "one", given.run)
    rows = "SELECT value AS id, value * 7 % 101 AS value FROM generate_series(0, 99)"
    lines = [f"{name}\t{query}" for name, query in {"bronze.t0": rows, **queries}.items()]
    (folder / "queries").write_text("\n".join(lines) + "\n")
    bare, _, bare_processor = timed([given.bare, "bare", "queries"], folder)
    whole, _, whole_processor = timed([given.sluice, "run", "--parallelism", "1"], folder / "one")
    print(f"bare     {given.run} tables  {bare:7.2f} s, of the processor {bare_processor:.2f} s", flush=True)
    print(f"run      {given.run} tables  {whole:7.2f} s, of the processor {whole_processor:.2f} s", flush=True)
    return (whole - bare) / given.run, (whole_processor - bare_processor) / given.run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluice", default="target/release/sluice", type=os.path.abspath)
    parser.add_argument("--bare", type=os.path.abspath, help="the example bare_tables; without it `own` is left out")
    parser.add_argument("--check", type=int, default=10_000)
    parser.add_argument("--run", type=int, default=1_000)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        project(folder / "check", given.check)
        seconds, peak, _ = timed([given.sluice, "check"], folder / "check")
        print(f"check    {given.check} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)
        project(folder / "run", given.run)
        seconds, peak, _ = timed([given.sluice, "run"], folder / "run")
        print(f"first    {given.run} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)
        print(f"a stage  {1000 * seconds / given.run:7.2f} ms", flush=True)
        seconds, peak, _ = timed([given.sluice, "run"], folder / "run")
        print(f"no-op    {given.run} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)
        if given.bare:
            clock, processor = own(folder, given)
            print(f"own      {1000 * clock:7.2f} ms a stage, of the processor {1000 * processor:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
