"""Daily weather, in two steps that Spark runs: `stage` validates, standardises and writes aside, `publish` makes it count.

With a catalog (LAKE_CATALOG_URI in the environment) it goes to an Iceberg table: staged on a branch of the run,
published by fast-forwarding `main` to it. Without one it goes to Parquet files below a folder. Both steps may be
repeated: a second try of a run replaces what the first one left.

The environment also holds what is secret. Nothing of it is in the code, the arguments or the Spark configuration:
the AWS_… variables are read by the S3 client itself, in the driver and in every executor.
"""

import argparse
import json
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

COLUMNS = ["location", "date", "precipitation", "temp_max", "temp_min", "wind", "weather"]
NUMBERS = {"precipitation": (0, 1000), "temp_max": (-60, 60), "temp_min": (-90, 50), "wind": (0, 120)}
MAY_BE_MISSING = {"wind"}
WORDS = ["drizzle", "fog", "rain", "snow", "sun"]
CATALOG = "lake"


def main():
    args = arguments()
    spark = session()
    spark.sparkContext.setLogLevel("WARN")  # what the job says is not lost among what Spark says
    try:
        report({"stage": stage, "publish": publish}[args.step](spark, args))
    finally:
        spark.stop()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["stage", "publish"])
    parser.add_argument("--run", required=True, help="names what is staged")
    parser.add_argument("--input", help="the file to read, for `stage`")
    parser.add_argument("--rejected-max", type=float, default=0.01, help="the share of bad rows that is still accepted")
    parser.add_argument("--table", default="weather.daily", help="NAMESPACE.TABLE, with a catalog")
    parser.add_argument("--root", help="the folder that staging/ and curated/ are in, without a catalog")
    return parser.parse_args()


def session():
    """With the settings of the catalog, where there is one."""
    builder = SparkSession.builder.appName("process_and_publish").config("spark.sql.session.timeZone", "UTC")
    if has_catalog():
        catalog = {
            "": "org.apache.iceberg.spark.SparkCatalog",
            ".type": "rest",
            ".uri": os.environ["LAKE_CATALOG_URI"],
            ".io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            ".s3.path-style-access": "true",
            ".warehouse": os.environ.get("LAKE_WAREHOUSE"),
            ".s3.endpoint": os.environ.get("LAKE_S3_ENDPOINT"),
            ".client.region": os.environ.get("AWS_REGION"),
            ".credential": os.environ.get("LAKE_CREDENTIAL"),
        }
        builder = builder.config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        for key, value in catalog.items():
            if value:
                builder = builder.config(f"spark.sql.catalog.{CATALOG}{key}", value)
    return builder.getOrCreate()


def stage(spark, args):
    raw = read(spark, args.input)
    if raw.columns != COLUMNS:
        sys.exit(f"error: the columns are {raw.columns}, not {COLUMNS}")
    judged = raw.withColumn("problems", problems()).cache()
    rows, reasons = judged.count(), {row["problem"]: row["count"] for row in judged.select(f.explode("problems").alias("problem")).groupBy("problem").count().collect()}
    rejected = judged.where(f.size("problems") > 0).count()
    print(f"{rows} rows, {rejected} of them bad: {reasons}", flush=True)
    if rows == 0 or rejected > args.rejected_max * rows:
        sys.exit(f"error: {rejected} of {rows} rows are bad, at most {args.rejected_max:.1%} may be: {reasons}")

    days = standardise(judged.where(f.size("problems") == 0))
    place = stage_table(spark, days, args) if has_catalog() else stage_files(spark, days, args)
    return {"rows": rows, "rejected": rejected, "reasons": reasons, **place}


def read(spark, path):
    """All columns as text. A file that came with the DAG is only where the driver is: its lines are handed out from there."""
    options = {"header": True, "mode": "PERMISSIVE"}
    if "://" in path:
        return spark.read.options(**options).csv(path)
    with open(path, encoding="utf-8-sig") as file:
        lines = file.read().splitlines()
    return spark.read.options(**options).csv(spark.sparkContext.parallelize(lines, 2))


def problems():
    """What is wrong with a row, as a list of words; empty where it is good."""
    found = [f.when(f.col("location").isNull(), "location is missing"), f.when(day().isNull(), "date is no date")]
    for name, (low, high) in NUMBERS.items():
        number = f.col(name).try_cast("double")
        if name not in MAY_BE_MISSING:
            found.append(f.when(f.col(name).isNull(), f"{name} is missing"))
        found.append(f.when(f.col(name).isNotNull() & number.isNull(), f"{name} is no number"))
        found.append(f.when(~number.between(low, high), f"{name} is not within {low} and {high}"))
    found.append(f.when(~f.col("weather").isin(WORDS) | f.col("weather").isNull(), "weather is an unknown word"))
    return f.array_compact(f.array(*found))


def day():
    return f.expr("try_to_timestamp(date, 'yyyy-MM-dd')").cast("date")


def standardise(rows):
    """One row for each place and day, typed, with the mean temperature and the month it belongs to."""
    numbers = [f.round(f.col(name).cast("double"), 1).alias(name) for name in NUMBERS]
    return (
        rows.select(f.trim("location").alias("location"), day().alias("date"), *numbers, "weather")
        .dropDuplicates(["location", "date"])
        .withColumn("temp_mean", f.round((f.col("temp_max") + f.col("temp_min")) / 2, 2))
        .withColumn("month", f.date_format("date", "yyyy-MM"))
    )


def stage_table(spark, days, args):
    """Onto a branch, beside `main`: readers of the table see nothing of it."""
    table, branch = f"{CATALOG}.{args.table}", branch_of(args.run)
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{args.table.rpartition('.')[0]}")
    columns = ", ".join(f"{column.name} {column.dataType.simpleString()}" for column in days.schema)
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) USING iceberg PARTITIONED BY (month)")
    if not spark.sql(f"SELECT 1 FROM {table}.refs WHERE name = 'main'").head():
        days.limit(0).writeTo(table).append()  # a branch needs a snapshot to begin at
    spark.sql(f"ALTER TABLE {table} CREATE OR REPLACE BRANCH {branch}")
    days.repartition("month").writeTo(f"{table}.branch_{branch}").overwritePartitions()
    written = spark.table(f"{table}.branch_{branch}").join(days.select("month").distinct(), "month").count()
    return {"target": table, "staged": branch, "written": written}


def stage_files(spark, days, args):
    path = f"{args.root}/staging/{args.run}"
    days.repartition("month").write.mode("overwrite").partitionBy("month").parquet(path)
    return {"target": f"{args.root}/curated/weather", "staged": path, "written": spark.read.parquet(path).count()}


def publish(spark, args):
    if has_catalog():
        table, branch = f"{CATALOG}.{args.table}", branch_of(args.run)
        refs = {row["name"] for row in spark.sql(f"SELECT name FROM {table}.refs").collect()}
        if branch in refs:
            # Refused if something else was published since: then `stage` has to run again.
            spark.sql(f"CALL {CATALOG}.system.fast_forward('{args.table}', 'main', '{branch}')")
            spark.sql(f"ALTER TABLE {table} CREATE OR REPLACE TAG published_{branch} RETAIN 30 DAYS")
            spark.sql(f"ALTER TABLE {table} DROP BRANCH {branch}")
        elif f"published_{branch}" not in refs:
            sys.exit(f"error: {table} has no branch {branch}: nothing of this run is staged")
        snapshot = spark.sql(f"SELECT snapshot_id FROM {table}.refs WHERE name = 'main'").head()["snapshot_id"]
        return {"target": table, "snapshot": str(snapshot), "rows": spark.table(table).count()}
    path = f"{args.root}/curated/weather"
    staged = spark.read.parquet(f"{args.root}/staging/{args.run}")
    # Only the months that were staged are replaced, each of them whole.
    staged.write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy("month").parquet(path)
    return {"target": path, "rows": spark.read.parquet(path).count()}


def has_catalog():
    return bool(os.environ.get("LAKE_CATALOG_URI"))


def branch_of(run):
    """Small letters: what follows a table's name is first looked for as a table, whose names have no others in some catalogs."""
    return "run_" + "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in run).lower()


def report(result):
    """The task's output, for the tasks after it."""
    print(json.dumps(result), flush=True)
    with open(os.environ.get("GRIDFLOW_OUTPUT", os.devnull), "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
