"""Large projects: how long `check` takes, a run of small tables, and one with nothing to do.

    cargo build --release
    python3 benches/scale.py --sluice target/release/sluice [--check 10000] [--run 1000]

The project has an ingest of one file and tables over it in layers of a hundred: each reads two
tables of the layer before, filters, and adds a column. Printed, with the most memory of each
process:

    check     `sluice check` of `--check` tables (aim: under 10 s and 1 GB)
    first     `sluice run` of `--run` tables, all of which are made
    a stage   what that took for each of them (aim for the runner's own part: under 5 ms)
    no-op     the same run again, with nothing to do (aim: under 3 s)
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
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text("id,value\n" + "".join(f"{n},{n * 7 % 101}\n" for n in range(100)))
    lines = ["pipeline: scale", "tables:", "  bronze.t0: {ingest: {files: rows.csv}}"]
    for number in range(1, tables):
        layer = (number - 1) // WIDTH
        before = [0] if layer == 0 else [(layer - 1) * WIDTH + 1 + (number + step) % WIDTH for step in (0, 37)]
        name = [f"bronze.t{n}" if n == 0 else f"silver.t{n}" for n in before]
        source = f"{name[0]} AS a" + (f" JOIN {name[1]} AS b USING (id)" if len(name) > 1 else "")
        lines += [
            f"  silver.t{number}:",
            f"    sql: SELECT id, a.value + {number} AS value FROM {source} WHERE id < {1000 + number}",
        ]
    (folder / "pipeline.yaml").write_text("\n".join(lines) + "\n")


def timed(command, folder):
    """Seconds, and the process's most resident bytes."""
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(output[-3000:])
    return seconds, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sluice", default="target/release/sluice", type=os.path.abspath)
    parser.add_argument("--check", type=int, default=10_000)
    parser.add_argument("--run", type=int, default=1_000)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        project(folder / "check", given.check)
        seconds, peak = timed([given.sluice, "check"], folder / "check")
        print(f"check    {given.check} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)
        project(folder / "run", given.run)
        seconds, peak = timed([given.sluice, "run"], folder / "run")
        print(f"first    {given.run} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)
        print(f"a stage  {1000 * seconds / given.run:7.2f} ms", flush=True)
        seconds, peak = timed([given.sluice, "run"], folder / "run")
        print(f"no-op    {given.run} tables  {seconds:7.2f} s  {peak / 1e6:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
