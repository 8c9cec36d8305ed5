//! `validate_file` on big files, alone in its process because it measures memory.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use gridflow_executor::operator::{self, Context};
use serde_json::{Value, json};

#[test]
fn memory_does_not_grow_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let columns = json!([{"name": "id", "type": "integer", "unique": true}, {"name": "text", "type": "string"}]);
    let schema = json!({"columns": columns});

    let path = write(&folder.path().join("big.csv"), "id,text\n", 3 << 19, |row, file| {
        writeln!(file, "{row},some text in a row")
    });
    let (exit, log) = validate(&path, &schema);
    assert_eq!(exit, 0, "{log}");
    let sorted = resident_peak_bytes();
    assert!(sorted < 96 << 20, "{sorted} bytes");

    let path = write(&folder.path().join("open.csv"), "id,text\n1,\"a\n", 5 << 20, |_, file| writeln!(file, "2,b"));
    let (exit, log) = validate(&path, &schema);
    assert_eq!(exit, 1);
    assert!(
        log.contains("row 1 (line 2): the row is longer than 16 MiB: is there a quote that is never closed?"),
        "{log}"
    );

    let path = write(&folder.path().join("line.jsonl"), "{\"id\": 1}\n", 20 << 20, |_, file| write!(file, "x"));
    let (exit, log) = validate(&path, &schema);
    assert_eq!(exit, 1);
    assert!(log.contains("row 2 (line 2): the line is longer than 16 MiB"), "{log}");
    let swallowed = resident_peak_bytes();
    assert!(swallowed < 160 << 20, "{swallowed} bytes");
}

fn write(path: &Path, head: &str, rows: u32, row: impl Fn(u32, &mut BufWriter<File>) -> std::io::Result<()>) -> Value {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(head.as_bytes()).unwrap();
    (0..rows).for_each(|number| row(number, &mut file).unwrap());
    file.flush().unwrap();
    json!(path)
}

fn validate(path: &Value, schema: &Value) -> (u8, String) {
    let mut log = Vec::new();
    let exit = operator::run("validate_file", json!({"path": path, "schema": schema}), &Context::default(), &mut log);
    (exit, String::from_utf8(log).unwrap())
}

fn resident_peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}
