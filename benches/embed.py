"""Texts through an encoder in SQL against PyTorch with transformers and ONNX Runtime.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install torch==2.15.0 transformers==4.57.6 onnx==1.23.2 onnxruntime==1.32.0
    cargo build --release
    /tmp/bench/bin/python benches/embed.py MODEL --sluice target/release/sluice

`MODEL` is an unpacked all-MiniLM-L6-v2 (`scripts/minilm`). The texts are the movie sentences
of data/reviews, `--rows` of them. `embed` and `predict` do the same work but for the head.
Printed: rows a second, the ratio to PyTorch, and how far the vectors lie apart:

- `sql`: `sluice sql` with an aggregate over `embed`, so that no vector is written, less the
  same aggregate over one row (start, planning, scan, and loading the model: `start`);
- `torch`: transformers' BertModel, mean pooling; texts sorted by length, in batches of 32
  padded to their longest, as the SQL function has them;
- `onnx`: the same batches through ONNX Runtime, from PyTorch's export.

All cut texts at the same number of tokens, score equal texts as often as they come, and use
as many threads as there are processors; `taskset` gives fewer. The median of `--repeat`
measurements is taken, interleaved.
"""

import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from transformers import BertModel

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 32
PIPELINE = """pipeline: bench
lakehouse: lakehouse
tables:
  bronze.texts:
    ingest: {files: texts.ndjson}
"""


class Mean(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(mean, dim=1)


def encoder(folder):
    # The wrapper too: the export puts a module back into the mode that it had.
    return Mean(BertModel.from_pretrained(folder, add_pooling_layer=False)).eval()


def texts(rows):
    with gzip.open(ROOT / "data/reviews/movie.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        lines = [line.rstrip("\r\n").split("\t")[2] for line in file]
    different = list(dict.fromkeys(lines))
    if rows > len(different):
        raise SystemExit(f"there are {len(different)} sentences")
    return different[:rows]


def batches(tokenizer, sentences):
    """Ids and masks, batch by batch, and the rows that each batch holds."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(sentences)]
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        longest = max(len(encoded[row]) for row in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(encoded[row])] = encoded[row]
            mask[at, : len(encoded[row])] = 1
        yield rows, ids, mask


def through(apply, tokenizer, sentences):
    vectors = None
    started = time.perf_counter()
    for rows, ids, mask in batches(tokenizer, sentences):
        found = apply(ids, mask)
        if vectors is None:
            vectors = np.zeros((len(sentences), found.shape[1]), np.float32)
        vectors[rows] = found
    return time.perf_counter() - started, vectors


def sql(sluice, folder, query, output="csv"):
    started = time.perf_counter()
    command = [sluice, "sql", "-p", str(folder), "--format", output, query]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def project(sluice, model, folder, sentences):
    (folder / "pipeline.yaml").write_text(PIPELINE)
    rows = [json.dumps({"id": at, "words": words}) for at, words in enumerate(sentences)]
    (folder / "texts.ndjson").write_text("\n".join(rows) + "\n")
    subprocess.run([sluice, "run", str(folder)], check=True, capture_output=True)
    imported = ["models", "import", str(model), "--as", "encoder", "-p", str(folder)]
    subprocess.run([sluice, *imported], check=True, capture_output=True)


def exported(module, folder):
    path = folder / "encoder.onnx"
    example = torch.ones(2, 8, dtype=torch.int64)
    torch.onnx.export(
        module,
        (example, example),
        path,
        input_names=["ids", "mask"],
        output_names=["vectors"],
        dynamic_axes={"ids": {0: "rows", 1: "seq"}, "mask": {0: "rows", 1: "seq"}},
        dynamo=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--sluice", default=str(ROOT / "target/release/sluice"))
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    sluice = str(pathlib.Path(options.sluice).resolve())
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sentences = texts(options.rows)
    settings = json.loads((options.model / "sentence_bert_config.json").read_text())
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_seq_length"])
    module = encoder(options.model)

    def by_torch(ids, mask):
        with torch.inference_mode():
            return module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        project(sluice, options.model, folder, sentences)
        session = exported(module, folder)

        def by_onnx(ids, mask):
            return session.run(None, {"ids": ids, "mask": mask})[0]

        call = "embed('models:/encoder/1', words)"
        all_rows = f"SELECT sum({call}[1]) FROM bronze.texts"
        one_row = f"SELECT sum({call}[1]) FROM bronze.texts WHERE id = 0"
        seconds = {"start": [], "sql": [], "torch": [], "onnx": []}
        for _ in range(options.repeat):
            start, _ = sql(sluice, folder, one_row)
            whole, _ = sql(sluice, folder, all_rows)
            seconds["start"].append(start)
            seconds["sql"].append(whole - start)
            taken, theirs = through(by_torch, tokenizer, sentences)
            seconds["torch"].append(taken)
            taken, onnx = through(by_onnx, tokenizer, sentences)
            seconds["onnx"].append(taken)
        few = f"SELECT {call} AS v FROM bronze.texts WHERE id < 200 ORDER BY id"
        _, lines = sql(sluice, folder, few, "ndjson")
        ours = np.array([json.loads(line)["v"] for line in lines.splitlines()])
    print(f"{options.rows} sentences, {len(os.sched_getaffinity(0))} processors")
    print(f"start {statistics.median(seconds['start']):.2f} s")
    base = statistics.median(seconds["torch"])
    for name in ["sql", "torch", "onnx"]:
        taken = statistics.median(seconds[name])
        print(f"{name:6} {options.rows / taken:8.0f} rows/s  {base / taken:5.2f} of PyTorch")
    print(f"apart from PyTorch: sql {np.abs(ours - theirs[: len(ours)]).max():.1e}, "
          f"onnx {np.abs(onnx - theirs).max():.1e}")


if __name__ == "__main__":
    main()
