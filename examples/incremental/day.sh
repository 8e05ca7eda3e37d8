#!/bin/sh
# Writes the events of a day into landing/: ./day.sh 1
# SLUICE is the binary (default: sluice).
set -eu
cd "$(dirname "$0")"
mkdir -p landing
sed "s/SELECT 1 AS n/SELECT $1 AS n/" day.sql |
  "${SLUICE:-sluice}" sql --lakehouse lakehouse --format csv > "landing/.events-$1.csv"
mv "landing/.events-$1.csv" "landing/events-$1.csv"
