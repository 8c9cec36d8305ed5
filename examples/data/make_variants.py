"""Prints a variant of weather.csv: `bad-rows` breaks seven rows, `gaps` leaves out every eighth wind speed."""

import csv
import pathlib
import sys

SOURCE = pathlib.Path(__file__).with_name("weather.csv")


def bad_rows(rows):
    rows[9]["temp_max"] = "warm"
    rows[19]["temp_min"] = ""
    rows[29]["wind"] = "-1.0"
    rows[39]["weather"] = "sharknado"
    rows[49]["date"] = "2012-02-30"
    rows[59]["weather"] += ",again"  # written without quotes below, so it is a field too many
    rows[69]["location"], rows[69]["date"] = rows[68]["location"], rows[68]["date"]


def gaps(rows):
    for row in rows[::8]:
        row["wind"] = ""


def main():
    variants = {"bad-rows": bad_rows, "gaps": gaps}
    if len(sys.argv) != 2 or sys.argv[1] not in variants:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(variants)}")
    with SOURCE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    variants[sys.argv[1]](rows)
    sys.stdout.reconfigure(newline="\n")
    print(",".join(rows[0]))
    for row in rows:
        print(",".join(row.values()))


if __name__ == "__main__":
    main()
