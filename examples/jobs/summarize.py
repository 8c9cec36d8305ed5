"""Sums up daily weather by place and month."""

import csv
import os
import pathlib
from collections import defaultdict

COLUMNS = ["location", "month", "days", "precipitation", "temp_mean", "wind_mean", "wind_missing", "rainy_days"]


def summarize(input, output):
    """Writes one row for each place and month of `input` to `output`; returns what it did."""
    months = defaultdict(list)
    with open(input, newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            months[row["location"], row["date"][:7]].append(row)
    rows = [summary(location, month, days) for (location, month), days in sorted(months.items())]
    write_whole(pathlib.Path(output), rows)

    days = sum(row["days"] for row in rows)
    print(f"{days} days became {len(rows)} months")
    return {"path": output, "days": days, "rows": len(rows)}


def summary(location, month, days):
    winds = [float(day["wind"]) for day in days if day["wind"]]
    temperatures = [(float(day["temp_max"]) + float(day["temp_min"])) / 2 for day in days]
    return {
        "location": location,
        "month": month,
        "days": len(days),
        "precipitation": round(sum(float(day["precipitation"]) for day in days), 1),
        "temp_mean": round(sum(temperatures) / len(temperatures), 2),
        "wind_mean": round(sum(winds) / len(winds), 2) if winds else "",
        "wind_missing": len(days) - len(winds),
        "rainy_days": sum(1 for day in days if float(day["precipitation"]) > 0),
    }


def write_whole(path, rows):
    """A try that was cut off leaves no half file under the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
