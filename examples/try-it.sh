#!/usr/bin/env bash
# Drops three files into data/incoming/ and shows where each of them ends. `make run` must be running.
set -euo pipefail
cd "$(dirname "$0")/.."

drop() { # FILE NAME: whole or not at all, so that no half file is ever seen
    mkdir -p data/incoming
    cp "$1" "data/incoming/.$2.part"
    mv "data/incoming/.$2.part" "data/incoming/$2"
    echo "dropped data/incoming/$2"
}

await() { # PATTERN: waits until a file newer than the start of this script matches
    local found
    for _ in $(seq 300); do
        found=$(find data -path "$1" -newer "$started" -print -quit 2>/dev/null)
        [[ -n $found ]] && return
        sleep 0.2
    done
    echo "error: no $1 after a minute" >&2
    echo "help: is \`make run\` running? what does \`target/debug/gridflow runs list\` say?" >&2
    exit 1
}

started=$(mktemp)
gaps=$(mktemp)
trap 'rm -f "$started" "$gaps"' EXIT

# The same result is not published again, and would not be seen to come.
rm -f data/curated/weather_by_month.csv
drop examples/data/weather.csv weather.csv
await 'data/curated/weather_by_month.csv'
echo 'published: data/curated/weather_by_month.csv'
head -4 data/curated/weather_by_month.csv
echo

drop examples/data/weather-bad-rows.csv bad-rows.csv
await 'data/rejected/bad-rows.csv.reason.json'
echo 'rejected: data/rejected/bad-rows.csv; beside it, bad-rows.csv.reason.json:'
head -16 data/rejected/bad-rows.csv.reason.json
echo

python3 examples/data/make_variants.py gaps >"$gaps"
drop "$gaps" gaps.csv
await 'data/quarantine/*/weather_by_month.csv.reason.json'
echo 'in quarantine, while what was published stays as it was:'
find data/quarantine -name '*.reason.json' -newer "$started"
