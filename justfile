# One-liners. `just` lists them.

default:
    @just --list

# The wine example, from CSV to a promoted model.
wine:
    cargo run -- run examples/wine

# The sentiment example: sentences, a tokenizer, a BERT from scratch; no download.
sentiment:
    cargo run -- run examples/sentiment

# The same with all-MiniLM-L6-v2: MODEL is `hf:...`, pulled before, or a folder (scripts/minilm).
sentiment-minilm MODEL="hf:sentence-transformers/all-MiniLM-L6-v2":
    cargo run -- run examples/sentiment/minilm --set model={{MODEL}}

# All tests, as the README says.
test:
    cargo test --workspace

# What CI runs.
ci:
    .ci/run

# Kills runs at every passage of every fail point, and at 200 random moments.
soak:
    SLUICE_SOAK=1 cargo test -p sluice --test it kills

# Fuzzes a target for so many seconds (cargo install cargo-fuzz): spec, values, selectors, times, sql.
fuzz TARGET="spec" SECONDS="600":
    fuzz/seed
    cargo fuzz run -s none {{TARGET}} -- -max_total_time={{SECONDS}} -dict=fuzz/seeds/yaml.dict -timeout=10 -malloc_limit_mb=512 -rss_limit_mb=3000 -max_len=4096

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Accept changed snapshots (cargo install cargo-insta).
snapshots:
    cargo insta review

# Licences, advisories, banned crates (cargo install cargo-deny).
deny:
    cargo deny check

# SQL on the example's lakehouse.
sql *ARGS:
    cargo run -q -- sql -p examples/wine {{ARGS}}

# Forget what the examples have made.
clean-wine:
    rm -rf examples/wine/lakehouse

clean-sentiment:
    rm -rf examples/sentiment/lakehouse
