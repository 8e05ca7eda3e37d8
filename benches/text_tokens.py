"""Tokenizing a million short texts: `tokenize` in SQL against Python's `tokenizers`, and a
pipeline's table against `datasets.map`.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install pyarrow tokenizers datasets transformers
    cargo build --release
    /tmp/bench/bin/python benches/text_tokens.py --sluice target/release/sluice \\
        --tokenizer path/to/all-MiniLM-L6-v2/tokenizer.json

Texts are sentences of `data/reviews`, drawn with a seed. Without `--tokenizer` a WordPiece
tokenizer of 8,000 tokens is trained on them in Python. In turns, `--repeat` times, the
median is taken:

    operator   `sluice sql` with an aggregate over `tokenize`, less the same query over the
               texts alone (start of the process, planning and scan, printed as `scan`)
    batch      `Tokenizer.encode_batch` of the same texts, which lie in memory as a list
    fast       `Tokenizer.encode_batch_fast` of them, which computes no offsets
    table      `sluice run` of a project whose one table that is not up to date is
               `SELECT tokenize(text, 'bench')`: Delta to Delta, the whole process
    map        `datasets.map(batched=True, num_proc=THREADS)` with the same tokenizer, Parquet
               to Parquet, without the start of Python

All on `--threads` threads; none adds special tokens; all must count the same tokens. Printed:
seconds, texts a second, and the ratios batch/operator (aim 0.9), fast/operator, map/table
(aim 3).
"""

import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = 4

PIPELINE = """pipeline: bench
lakehouse: lakehouse
tokenizers:
  bench: {{from: "{tokenizer}"}}
tables:
  bronze.texts:
    ingest: {{files: texts-*.parquet}}
"""
TABLE = """  gold.tokens:
    sql: SELECT tokenize(text, 'bench') AS ids FROM bronze.texts
"""


def sentences():
    """The texts of data/reviews: the last field of each line."""
    found = []
    for path in sorted((ROOT / "data/reviews").glob("*")):
        if path.suffix == ".gz":
            lines = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
            found += [line.split("\t")[-1] for line in lines.splitlines() if "\t" in line]
    if not found:
        raise SystemExit("there are no reviews in data/reviews")
    return found


def trained(texts, path):
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(texts, vocab_size=8000, show_progress=False)
    tokenizer.save(str(path))


def call(arguments, sluice, folder, environment):
    began = time.perf_counter()
    ended = subprocess.run([sluice, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode != 0:
        raise SystemExit(f"{arguments}\n{ended.stdout}\n{ended.stderr}")
    return seconds, ended.stdout


def operator(options, folder, environment):
    def ask(what):
        query = f"SELECT {what} AS n FROM bronze.texts"
        seconds, out = call(["sql", "--format", "json", query], options.sluice, folder, environment)
        return seconds, json.loads(out)[0]["n"]

    scan, _ = ask("sum(octet_length(text))")
    whole, tokens = ask("sum(cardinality(tokenize(text, 'bench')))")
    return scan, whole - scan, tokens


def table(options, folder, environment):
    """Delta to Delta: the table anew, by a definition that changes each time."""
    project = folder / "pipeline.yaml"
    text = PIPELINE.format(tokenizer=options.tokenizer) + TABLE
    project.write_text(text.replace("AS ids", f"AS ids, {time.time_ns()} AS run"))
    seconds, _ = call(["run", "--parallelism", str(options.threads)], options.sluice, folder, environment)
    _, out = call(
        ["sql", "--format", "json", "SELECT sum(cardinality(ids)) AS n FROM gold.tokens"],
        options.sluice, folder, environment,
    )
    return seconds, json.loads(out)[0]["n"]


PEER = """
import json, sys, time
sys.argv = sys.argv[1:]
what, tokenizer, folder, threads = sys.argv[:4]
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(tokenizer)
tokenizer.no_truncation(); tokenizer.no_padding()
if what == "map":
    import datasets
    datasets.disable_progress_bars()
    def encode(batch):
        encodings = tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"ids": [encoding.ids for encoding in encodings]}
    began = time.perf_counter()
    rows = datasets.load_dataset("parquet", data_files=folder + "/texts-*.parquet", split="train",
                                 cache_dir=folder + "/cache")
    rows = rows.map(encode, batched=True, num_proc=int(threads), remove_columns=["text"])
    rows.to_parquet(folder + "/ids.parquet")
    seconds = time.perf_counter() - began
    tokens = sum(len(ids) for batch in rows.iter(10000) for ids in batch["ids"])
else:
    import glob, pyarrow.parquet as parquet
    texts = []
    for file in sorted(glob.glob(folder + "/texts-*.parquet")):
        texts += parquet.read_table(file).column("text").to_pylist()
    encode = tokenizer.encode_batch if what == "batch" else tokenizer.encode_batch_fast
    began = time.perf_counter()
    encodings = encode(texts, add_special_tokens=False)
    seconds = time.perf_counter() - began
    tokens = sum(len(encoding) for encoding in encodings)
print(json.dumps([seconds, tokens]))
"""


def peer(what, options, folder, environment):
    import sys

    cache = folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    ended = subprocess.run(
        [sys.executable, "-c", PEER, what, options.tokenizer, str(folder), str(options.threads)],
        env=environment, capture_output=True, text=True,
    )
    if ended.returncode != 0:
        raise SystemExit(ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1])


def main():
    import pyarrow
    import pyarrow.parquet

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sluice", default="target/release/sluice", type=os.path.abspath)
    parser.add_argument("--tokenizer", type=os.path.abspath)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    environment = {
        **os.environ,
        "RAYON_NUM_THREADS": str(options.threads),
        "TOKENIZERS_PARALLELISM": "true",
        "HF_DATASETS_OFFLINE": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        known, draw = sentences(), random.Random(1)
        if options.tokenizer is None:
            options.tokenizer = str(folder / "tokenizer.json")
            trained(known, options.tokenizer)
        each = options.texts // PARTS
        for part in range(PARTS):
            texts = pyarrow.table({"text": draw.choices(known, k=each)})
            pyarrow.parquet.write_table(texts, folder / f"texts-{part}.parquet")
        (folder / "pipeline.yaml").write_text(PIPELINE.format(tokenizer=options.tokenizer))
        call(["run"], options.sluice, folder, environment)
        seconds, counts = {}, {}

        def keep(name, taken, tokens=None):
            seconds.setdefault(name, []).append(taken)
            if tokens is not None:
                counts[name] = tokens

        for _ in range(options.repeat):
            scan, taken, tokens = operator(options, folder, environment)
            keep("scan", scan)
            keep("operator", taken, tokens)
            for what in ["batch", "fast"]:
                keep(what, *peer(what, options, folder, environment))
            keep("table", *table(options, folder, environment))
            keep("map", *peer("map", options, folder, environment))
    if len(set(counts.values())) != 1:
        raise SystemExit(f"the tokens differ: {counts}")
    median = {name: statistics.median(all_of) for name, all_of in seconds.items()}
    print(f"{each * PARTS:,} texts, {counts['operator']:,} tokens, {options.threads} threads")
    for name, taken in median.items():
        print(f"{name:9} {taken:8.2f} s {each * PARTS / taken:12,.0f} texts/s")
    for name, ours in [("batch", "operator"), ("fast", "operator"), ("map", "table")]:
        print(f"{name}/{ours}: {median[name] / median[ours]:.2f}")


main()
