"""Between staging and publishing: is what lies aside what was read?"""


def check(rows, rejected, written):
    """Days that were delivered twice count once, so a little less may be there than was good."""
    good = rows - rejected
    if not 0.99 * good <= written <= good:
        raise SystemExit(f"error: {written} rows are staged, and {good} of {rows} were good")
    return {"rows": written}
