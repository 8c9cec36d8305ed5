//! `validate_file` on real files.

use std::{fs, path::PathBuf};

use gridflow_executor::operator::{self, Context};
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

struct Bench {
    folder: tempfile::TempDir,
}

struct Ran {
    exit: u8,
    log: String,
    output: Value,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs the operator; its log has the folder's name cut out.
    fn validate(&self, spec: Value) -> Ran {
        let output = self.path(".output.json");
        let context = Context::from_vars([("GRIDFLOW_OUTPUT".to_owned(), output.to_str().unwrap().to_owned())]);
        let mut log = Vec::new();
        let exit = operator::run("validate_file", spec, &context, &mut log);
        let log = String::from_utf8(log)
            .unwrap()
            .replace(&format!("{}/", self.folder.path().display()), "")
            .replace(&self.folder.path().display().to_string(), "FOLDER");
        let output = fs::read(&output).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        Ran { exit, log: without_checksum(&log), output }
    }
}

/// Checksums tell a reader of a snapshot nothing.
fn without_checksum(log: &str) -> String {
    let mut text = String::new();
    for word in log.split_inclusive([' ', '\n', ',']) {
        let bare = word.trim_end_matches([' ', '\n', ',']);
        if bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            text.push_str("HEX");
            text.push_str(&word[64..]);
        } else {
            text.push_str(word);
        }
    }
    text
}

fn weather() -> Value {
    json!({
        "columns": [
            {"name": "location", "type": "string", "enum": ["Seattle", "New York"]},
            {"name": "date", "type": "date", "min": "2012-01-01"},
            {"name": "temp_max", "type": "number", "min": -60, "max": 60},
            {"name": "station", "type": "integer", "nullable": true},
            {"name": "is_final", "type": "boolean", "required": false},
            {"name": "note", "type": "string", "required": false, "nullable": true, "pattern": "[a-z ]*", "max_length": 5},
        ],
        "unique": ["location", "date"],
    })
}

#[test]
fn a_good_csv_file_is_valid_and_its_output_says_what_it_is() {
    let bench = Bench::new();
    let path =
        bench.file("a.csv", "location,date,temp_max,station\nSeattle,2012-01-01,12.8,1\nNew York,2012-01-01,-3,\n");
    let ran = bench.validate(json!({"path": path, "schema": weather()}));
    assert_eq!(ran.exit, 0, "{}", ran.log);
    assert_snapshot!(ran.log, @"`a.csv` is valid: 2 rows, 81 bytes, sha256 HEX");
    assert_eq!(ran.output["rows"], 2);
    assert_eq!(ran.output["name"], "a.csv");
    assert_eq!(ran.output["path"], path);
    assert_eq!(ran.output["uri"], format!("file://{path}"));
    assert_eq!(ran.output["sha256"], "a20b827dab3be7fa747d821070895ea72cd64c9baab3faf56c2bdf63702cfe97");
    assert_eq!(ran.output["errors"], json!([]));
}

#[test]
fn every_rule_that_is_broken_is_named_with_row_line_column_and_value() {
    let bench = Bench::new();
    let text = "location,date,temp_max,station,note\n\
        Paris,2012-01-01,12.8,1,\n\
        Seattle,2011-12-31,12.8,1,\n\
        Seattle,2012-02-30,12.8,1,\n\
        Seattle,2012-01-02,61,1,\n\
        Seattle,2012-01-03,-61,1,\n\
        Seattle,2012-01-04,warm,1.5,\n\
        Seattle,2012-01-05,NaN,x,ABC\n\
        Seattle,2012-01-06,,1,abcdef\n\
        Seattle,2012-01-06,1,1,\n\
        Seattle,2012-01-07,1\n";
    let path = bench.file("a.csv", text);
    let ran = bench.validate(json!({"path": path, "schema": weather()}));
    assert_eq!(ran.exit, 1);
    assert_snapshot!(ran.log, @r"
    error: `a.csv` is refused: 14 errors: 1 × columns, 1 × required, 5 × type, 2 × min, 1 × max, 1 × length, 1 × enum, 1 × pattern, 1 × unique
      row 1 (line 2), `location`: `Paris` is none of `Seattle`, `New York`
      row 2 (line 3), `date`: `2011-12-31` is below 2012-01-01
      row 3 (line 4), `date`: `2012-02-30` is no date like `%Y-%m-%d`
      row 4 (line 5), `temp_max`: `61` is above 60
      row 5 (line 6), `temp_max`: `-61` is below -60
      row 6 (line 7), `temp_max`: `warm` is no number
      row 6 (line 7), `station`: `1.5` is no integer
      row 7 (line 8), `temp_max`: `NaN` is no number
      row 7 (line 8), `station`: `x` is no integer
      row 7 (line 8), `note`: `ABC` does not match `[a-z ]*`
      row 8 (line 9), `temp_max`: has no value
      row 8 (line 9), `note`: `abcdef` is longer than 5 characters
      row 10 (line 11): the row has 3 fields, not 5
      row 9 (line 10), `location, date`: repeats the value of row 8
    it has 10 rows, 298 bytes, sha256 HEX
    ");
    assert_eq!(ran.output["error_count"], 14);
    assert_snapshot!(ran.output["errors"][0], @r#"{"rule":"enum","row":1,"line":2,"column":"location","value":"Paris","message":"`Paris` is none of `Seattle`, `New York`"}"#);
}

#[test]
fn the_header_is_compared_with_the_schema() {
    let bench = Bench::new();
    let path = bench.file("a.csv", "location,date,date,colour\nSeattle,2012-01-01,2012-01-01,red\n");
    assert_snapshot!(bench.validate(json!({"path": path, "schema": weather()})).log, @r"
    error: `a.csv` is refused: 4 errors: 4 × columns
      the header names `date` twice
      the schema has no column `colour`
      the file has no column `temp_max`
      the file has no column `station`
    it has 1 row, 60 bytes, sha256 HEX
    ");

    let mut schema = weather();
    schema["unknown_columns"] = json!("ignore");
    let path = bench.file("b.csv", "colour,station,temp_max,date,location\nred,1,1,2012-01-01,Seattle\n");
    let ran = bench.validate(json!({"path": path, "schema": schema}));
    assert_eq!(ran.exit, 0, "{}", ran.log);
}

#[test]
fn quotes_delimiters_marks_and_line_ends_make_no_difference() {
    let bench = Bench::new();
    let schema = json!({"columns": [{"name": "id", "type": "integer"}, {"name": "text", "type": "string"}]});
    for (name, text, delimiter) in [
        ("mark.csv", "\u{feff}id,text\n1,a\n2,b\n", ","),
        ("crlf.csv", "id,text\r\n1,a\r\n2,b\r\n", ","),
        ("quoted.csv", "id,text\n1,\"a, \"\"b\"\"\nc\"\n2,b", ","),
        ("semicolon.csv", "id;text\n1;a\n2;b\n", ";"),
        ("tab.csv", "id\ttext\n1\ta\n2\tb\n", "\\t"),
        ("quoted end.csv", "id,text\n1,a\n2,\"b\"\"\"", ","),
        ("stray.csv", "id,text\n1,a\n2,5\" pipe", ","),
    ] {
        let path = bench.file(name, text);
        let ran = bench.validate(json!({"path": path, "schema": schema, "delimiter": delimiter}));
        assert_eq!((ran.exit, &ran.output["rows"]), (0, &json!(2)), "{name}: {}", ran.log);
    }
    let path = bench.file("bare.csv", "1,a\n2,b\n");
    let ran = bench.validate(json!({"path": path, "schema": schema, "header": false}));
    assert_eq!((ran.exit, &ran.output["rows"]), (0, &json!(2)));
}

#[test]
fn a_file_that_is_no_text_says_what_it_is() {
    let bench = Bench::new();
    let mut logs = String::new();
    for (name, bytes) in [
        ("utf16.csv", b"\xff\xfei\0d\0".as_slice()),
        ("gzip.csv", b"\x1f\x8b\x08\0abc"),
        ("office.csv", b"PK\x03\x04abc"),
        ("latin.csv", b"id,text\n1,caf\xe9\n"),
        ("open.csv", b"id,text\n1,a\n2,\"b\n3,c\n4,d\n"),
        ("empty.csv", b""),
        ("no json.jsonl", b"{\"id\": 1, \"text\": \"a\"}\n[1]\n{\"id\": \n\n\xff\n"),
    ] {
        let path = bench.file(name, bytes);
        let schema = json!({"columns": [{"name": "id", "type": "integer"}, {"name": "text", "type": "string"}]});
        let ran = bench.validate(json!({"path": path, "schema": schema}));
        assert_eq!(ran.exit, 1);
        logs.push_str(&ran.log);
    }
    assert_snapshot!(logs, @r"
    error: `utf16.csv` is refused: 1 error: 1 × form
      the file is UTF-16; convert it to UTF-8 first
    it has 0 rows, 6 bytes, sha256 HEX
    error: `gzip.csv` is refused: 1 error: 1 × form
      the file is compressed with gzip; decompress it first
    it has 0 rows, 7 bytes, sha256 HEX
    error: `office.csv` is refused: 1 error: 1 × form
      the file is a ZIP archive or an office document; export it as text first
    it has 0 rows, 7 bytes, sha256 HEX
    error: `latin.csv` is refused: 1 error: 1 × form
      row 1 (line 2), `text`: is not UTF-8
    it has 1 row, 15 bytes, sha256 HEX
    error: `open.csv` is refused: 1 error: 1 × form
      row 2 (line 3): a quote is opened here and never closed
    it has 2 rows, 25 bytes, sha256 HEX
    error: `empty.csv` is refused: 1 error: 1 × columns
      the file is empty, without even a header
    it has 0 rows, 0 bytes, sha256 HEX
    error: `no json.jsonl` is refused: 3 errors: 3 × form
      row 2 (line 2): the line is no JSON object: invalid type: sequence, expected a map at column 0
      row 3 (line 3): the line is no JSON object: EOF while parsing a value at column 0
      row 4 (line 5): the line is not UTF-8
    it has 4 rows, 38 bytes, sha256 HEX
    ");
}

#[test]
fn lines_are_those_of_the_file_whatever_lies_between_the_rows() {
    let bench = Bench::new();
    let schema = json!({"columns": [{"name": "id", "type": "integer"}, {"name": "text", "type": "string"}]});
    for end in ["\n", "\r\n"] {
        let text = ["id,text", "", "", "x,a", "1,\"two", "lines\"", "", "y,b"].join(end);
        let path = bench.file("a.csv", text);
        let ran = bench.validate(json!({"path": path, "schema": schema}));
        let lines: Vec<_> = ran.output["errors"].as_array().unwrap().iter().map(|it| &it["line"]).collect();
        assert_eq!(lines, [4, 8], "{}", ran.log);
    }
}

#[test]
fn json_lines_are_checked_by_the_same_schema() {
    let bench = Bench::new();
    let good = r#"{"location":"Seattle","date":"2012-01-01","temp_max":12,"station":null,"is_final":true}
{"location":"Seattle","date":"2012-01-02","temp_max":12.5,"station":1.0}"#;
    let path = bench.file("a.jsonl", good);
    let ran = bench.validate(json!({"path": path, "schema": weather()}));
    assert_eq!((ran.exit, &ran.output["rows"]), (0, &json!(2)), "{}", ran.log);

    let bad = r#"{"location":"Seattle","date":"2012-01-01","temp_max":"12","station":1.5}

{"location":null,"date":20120102,"temp_max":1e999,"colour":"red"}
{"location":{"a":1},"date":"2012-01-02","temp_max":1,"station":9223372036854775808,"is_final":1}
{"location":"Seattle","date":"2012-01-01","temp_max":1,"station":1}"#;
    let path = bench.file("b.jsonl", bad);
    assert_snapshot!(bench.validate(json!({"path": path, "schema": weather()})).log, @r#"
    error: `b.jsonl` is refused: 7 errors: 1 × form, 5 × type, 1 × unique
      row 1 (line 1), `temp_max`: `"12"` is no number
      row 1 (line 1), `station`: `1.5` is no integer
      row 2 (line 3): the line is no JSON object: number out of range at column 49
      row 3 (line 4), `location`: `{"a":1}` is no string
      row 3 (line 4), `station`: `9223372036854775808` is no integer
      row 3 (line 4), `is_final`: `1` is neither `true` nor `false`
      row 4 (line 5), `location, date`: repeats the value of row 1
    it has 4 rows, 304 bytes, sha256 HEX
    "#);
}

#[test]
fn the_checksum_is_compared_with_the_one_in_the_task_or_beside_the_file() {
    let bench = Bench::new();
    let path = bench.file("a.csv", "id\n1\n");
    let sha256 = bench.validate(json!({"path": path})).output["sha256"].as_str().unwrap().to_owned();
    let wrong = "0".repeat(64);
    let long = |expected: &str| json!({"path": path, "checksum": {"algorithm": "sha256", "expected": expected}});
    assert_eq!(bench.validate(long(&sha256)).exit, 0);
    assert_eq!(bench.validate(long(&sha256.to_uppercase())).exit, 0);
    assert_snapshot!(bench.validate(long(&wrong)).log, @r"
    error: `a.csv` is refused: 1 error: 1 × checksum
      the sha256 is HEX, but the task says HEX
    it has 1 row, 5 bytes, sha256 HEX
    ");
    assert_snapshot!(bench.validate(long("abc")).log, @"error: `checksum.expected`: `abc` is no sha256: 64 hexadecimal digits");

    let short = json!({"path": path, "checksum": "sha256"});
    assert_snapshot!(bench.validate(short.clone()).log, @r"
    no checksum file beside `a.csv`: the checksum is computed, not compared
    `a.csv` is valid: 1 row, 5 bytes, sha256 HEX
    ");
    for text in [
        sha256.clone(),
        format!("{sha256}  a.csv\n"),
        format!("{wrong}  b.csv\n{sha256} *incoming/a.csv\n"),
        format!("SHA256 (a.csv) = {sha256}\n"),
    ] {
        bench.file("a.csv.sha256", &text);
        let ran = bench.validate(short.clone());
        assert_eq!(ran.exit, 0, "{text}: {}", ran.log);
    }
    bench.file("a.csv.sha256", format!("{wrong}  a.csv"));
    assert_eq!(bench.validate(short.clone()).output["errors"][0]["rule"], "checksum");
    bench.file("a.csv.sha256", format!("{sha256}  b.csv"));
    assert_snapshot!(bench.validate(short).log, @"error: `checksum`: `a.csv.sha256` has no sha256 of `a.csv`");
    let missing = json!({"path": path, "checksum": {"algorithm": "sha256", "sidecar": bench.path("sums")}});
    assert_snapshot!(bench.validate(missing).log, @"error: `sums` does not exist");
}

#[test]
fn all_errors_are_counted_and_the_first_are_listed() {
    let bench = Bench::new();
    let path = bench.file("a.csv", format!("id\n{}", "x\n".repeat(1000)));
    let schema = json!({"columns": [{"name": "id", "type": "integer"}], "max_rows": 10});
    let reason = bench.path("reasons/a.json");
    let spec = json!({"path": path, "schema": schema, "max_errors": 2, "reason_file": reason});
    let ran = bench.validate(spec);
    assert_snapshot!(ran.log, @r"
    error: `a.csv` is refused: 1001 errors: 1000 × type, 1 × rows
      row 1 (line 2), `id`: `x` is no integer
      row 2 (line 3), `id`: `x` is no integer
      and 999 more
    it has 1000 rows, 2003 bytes, sha256 HEX
    the reason is in `reasons/a.json`
    ");
    let reason: Value = serde_json::from_slice(&fs::read(reason).unwrap()).unwrap();
    assert_eq!(reason, ran.output);
    assert_eq!(reason["error_count"], 1001);
    assert_eq!(reason["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn a_wrong_spec_or_schema_is_the_users_problem_and_says_where() {
    let bench = Bench::new();
    let path = bench.file("a.csv", "id\n1\n");
    let odd = bench.file("a.dat", "id\n1\n");
    let mut logs = String::new();
    for spec in [
        json!({"path": bench.path("none.csv")}),
        json!({"path": bench.folder.path()}),
        json!({"path": odd}),
        json!({"path": "s3://bucket/key.csv"}),
        json!({"path": path, "colour": "red"}),
        json!({"path": path, "delimiter": ";;"}),
        json!({"path": path, "schema": bench.path("none.json")}),
        json!({"path": path, "schema": {"columns": []}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "int"}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "integer", "min": "a"}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "integer", "min": 2, "max": 1}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "string", "pattern": "("}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "string", "min": 1}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "date", "format": "%Q"}]}}),
        json!({"path": path, "schema": {"columns": [{"name": "id", "type": "integer"}], "unique": ["key"]}}),
    ] {
        let ran = bench.validate(spec);
        assert_ne!(ran.exit, 0);
        logs.push_str(&ran.log);
    }
    assert_snapshot!(logs, @r#"
    error: `none.csv` does not exist
    error: `FOLDER` is a folder, not a regular file
    error: `format`: `a.dat` does not tell its format by its ending; say `csv` or `jsonl`
    error: `path`: `s3://` is not a place this operator reaches; give a path or `file://`
    error: the spec of `validate_file` is wrong
      because: unknown field `colour`, expected one of `path`, `uri`, `schema`, `format`, `delimiter`, `header`, `checksum`, `max_errors`, `reason_file`
    error: `delimiter`: must be one ASCII character
    error: `none.json` does not exist
    error: schema `in place`: `columns` is empty
    error: schema `in place`: column `id`: unknown variant `int`, expected one of `integer`, `number`, `string`, `boolean`, `date`, `timestamp`
    error: schema `in place`: column `id`: `min`: `"a"` is no integer
    error: schema `in place`: column `id`: `max` is below `min`
    error: schema `in place`: column `id`: `pattern`: `(` is no regular expression: unclosed group
    error: schema `in place`: column `id`: `min/max` is for numbers, dates and timestamps, not for `string`
    error: schema `in place`: column `id`: `format`: `%Q` is not in the form of `strftime`, as `%d.%m.%Y`
    error: schema `in place`: `unique` names `key`, which is no column
    "#);
}

/// A field as a CSV writer quotes it.
fn quoted(field: &str, quote_always: bool) -> String {
    if quote_always || field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_by_the_rules_of_csv_is_read_as_the_same_rows(
        rows in proptest::collection::vec(("[a-z]{1,4}", any::<i64>(), "[ -~\n\r\"é,;]{0,12}"), 1..20),
        crlf: bool, mark: bool, quote_always: bool, final_newline: bool,
    ) {
        let bench = Bench::new();
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        text.push_str("key,number,text");
        for (key, number, free) in &rows {
            text.push_str(end);
            text.push_str(&[key, &number.to_string(), free].map(|field| quoted(field, quote_always)).join(","));
        }
        if final_newline {
            text.push_str(end);
        }
        let path = bench.file("a.csv", &text);
        let schema = json!({"columns": [
            {"name": "key", "type": "string", "pattern": "[a-z]{1,4}"},
            {"name": "number", "type": "integer"},
            {"name": "text", "type": "string", "nullable": true, "max_length": 12},
        ]});
        let ran = bench.validate(json!({"path": path, "schema": schema}));
        prop_assert_eq!((ran.exit, &ran.output["rows"]), (0, &json!(rows.len())), "{}\n{}", ran.log, text);
    }

    #[test]
    fn each_bad_number_is_found_in_its_row_and_no_good_one_is_blamed(
        cells in proptest::collection::vec(prop_oneof![
            (-1000i32..1000).prop_map(|number| (number.to_string(), (-100..=100).contains(&number))),
            "[a-z]{1,5}".prop_map(|text| (text, false)),
            Just((String::new(), false)),
        ], 1..40),
    ) {
        let bench = Bench::new();
        let text: String = cells.iter().map(|(text, _)| format!("x,{text}\n")).collect();
        let path = bench.file("a.csv", format!("key,number\n{text}"));
        let schema = json!({"columns": [
            {"name": "key", "type": "string"}, {"name": "number", "type": "integer", "min": -100, "max": 100},
        ]});
        let ran = bench.validate(json!({"path": path, "schema": schema, "max_errors": 100}));
        let blamed: Vec<_> = ran.output["errors"].as_array().unwrap().iter().map(|it| it["row"].as_u64().unwrap()).collect();
        let bad: Vec<_> = (1u64..).zip(&cells).filter(|(_, (_, is_good))| !is_good).map(|(row, _)| row).collect();
        prop_assert_eq!(blamed, bad);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), json_lines: bool) {
        let bench = Bench::new();
        let path = bench.file(if json_lines { "a.jsonl" } else { "a.csv" }, &bytes);
        let ran = bench.validate(json!({"path": path, "schema": weather(), "checksum": "sha256"}));
        prop_assert!(ran.exit <= 1);
        prop_assert_eq!(&ran.output["bytes"], &json!(bytes.len()));
    }
}
