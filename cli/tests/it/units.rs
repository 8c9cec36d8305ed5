//! The service units: systemd takes them, and the program takes what they say.

use std::{fs, path::Path, process::Command};

use crate::program::{gridflow, run};

const UNITS: [&str; 2] = ["gridflow-host.service", "gridflow-scheduler.service"];

fn text(unit: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    fs::read_to_string(folder.join(unit)).expect(unit)
}

fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_program_takes_every_command_line_of_the_units() {
    for unit in UNITS {
        let text = text(unit);
        let lines = [values(&text, "ExecStart"), values(&text, "ExecReload")].concat();
        assert!(!lines.is_empty(), "{unit}");
        for line in lines {
            let arguments = line.strip_prefix("/usr/bin/gridflow ").expect("the installed program");
            // Arguments that it does not know are refused before the help is shown.
            let said = run(gridflow().args(arguments.split(' ')).arg("--help"));
            assert_eq!(said.code, 0, "{line}: {}", said.stderr);
        }
    }
}

#[test]
fn the_host_keeps_what_tasks_stand_on() {
    let text = text("gridflow-host.service");
    let wanted = [
        ("KillMode", "process"),
        ("Delegate", "yes"),
        ("OOMPolicy", "continue"),
        ("Restart", "always"),
        ("TasksMax", "infinity"),
    ];
    for (key, value) in wanted {
        assert_eq!(values(&text, key), [value], "{key}");
    }
    let scheduler = self::text("gridflow-scheduler.service");
    assert!(values(&scheduler, "Wants")[0].contains("gridflow-host.service"));
    assert!(values(&scheduler, "After")[0].contains("gridflow-host.service"));
    assert!(values(&scheduler, "KillMode").is_empty());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let paths = UNITS.map(|unit| {
        // It wants to find the program, and knows no user of ours.
        let text = text(unit).replace("/usr/bin/gridflow", env!("CARGO_BIN_EXE_gridflow"));
        let path = folder.path().join(unit);
        fs::write(&path, text.replace("User=gridflow", "User=root")).expect("file");
        path
    });
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(paths).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // It also looks at what else is installed, which is not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("gridflow")).collect();
    // A systemd older than 254.
    let known: Vec<&&str> = ours.iter().filter(|line| !line.contains("'DelegateSubgroup'")).collect();
    assert!(known.is_empty(), "{said}");
}
