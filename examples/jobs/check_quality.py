"""Looks at a staged result before it is published. Its output says what it found, also when it fails."""

import csv
import json
import os
import sys

TEMPERATURES = (-20, 40)


def main():
    figures = look(os.environ["RESULT"])
    problems = judge(figures, int(os.environ["DAYS"]), float(os.environ["WIND_MISSING_MAX"]))
    with open(os.environ["GRIDFLOW_OUTPUT"], "w", encoding="utf-8") as file:
        json.dump({**figures, "problems": problems}, file)
    print(", ".join(f"{name} {value}" for name, value in figures.items()))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def look(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    days = sum(int(row["days"]) for row in rows)
    means = [float(row["temp_mean"]) for row in rows]
    return {
        "rows": len(rows),
        "days": days,
        "wind_missing": round(sum(int(row["wind_missing"]) for row in rows) / max(days, 1), 4),
        "temp_min": min(means, default=0),
        "temp_max": max(means, default=0),
    }


def judge(figures, days, wind_missing_max):
    """Row count, missing values, distribution."""
    problems = []
    if figures["days"] != days:
        problems.append(f"{figures['days']} days are in the result, {days} were read")
    if figures["wind_missing"] > wind_missing_max:
        problems.append(f"{figures['wind_missing']:.1%} of the wind speeds are missing, at most {wind_missing_max:.1%} may be")
    low, high = TEMPERATURES
    if figures["temp_min"] < low or figures["temp_max"] > high:
        problems.append(f"monthly temperatures run from {figures['temp_min']} to {figures['temp_max']} °C, not within {low} to {high}")
    return problems


if __name__ == "__main__":
    main()
