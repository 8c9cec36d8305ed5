//! `gridflow standalone` and its private PostgreSQL, on the real thing.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Uid,
};

use crate::program::{RunAs, Running, Site, is_alive, run, wait_until};

/// Starts it and returns the address (`127.0.0.1:PORT`) that it prints.
fn started(site: &Site) -> (Running, String) {
    let mut program = Running::start(&mut site.standalone());
    let line = program.line();
    let (_, address) = line.split_once("http://").unwrap_or_else(|| panic!("no address in `{line}`"));
    let address = address.split('/').next().unwrap_or_default().to_owned();
    (program, address)
}

fn health(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it accepts connections");
    let request = format!("GET /api/v2/monitor/health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn it_starts_answers_and_leaves_nothing_running_as_whoever_starts_it() {
    for run_as in [RunAs::Us, RunAs::Ordinary] {
        let site = Site::new(run_as);
        let (program, address) = started(&site);
        assert!(health(&address).contains("\"metadatabase\":{\"status\":\"healthy\""), "{}", health(&address));
        let server = site.postgresql().expect("it runs");
        assert!(!process_owner(server.as_raw()).is_root(), "the server runs as root");

        program.signal(Signal::SIGTERM);
        let (code, stderr) = program.ended();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!is_alive(server), "PostgreSQL was left behind");
    }
}

fn process_owner(pid: i32) -> Uid {
    Uid::from_raw(fs::metadata(format!("/proc/{pid}")).expect("it runs").uid())
}

#[test]
fn secrets_and_sockets_are_for_the_owner_alone() {
    let site = Site::new(RunAs::Us);
    let (_program, _) = started(&site);
    for (path, mode) in
        [("api-token", 0o600), ("postgresql", 0o700), ("postgresql/run", 0o700), ("postgresql/data", 0o700)]
    {
        let metadata = fs::metadata(site.state_dir().join(path)).expect(path);
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn after_a_kill_the_next_one_takes_over_the_database_that_still_runs() {
    for run_as in [RunAs::Us, RunAs::Ordinary] {
        let site = Site::new(run_as);
        let (program, _) = started(&site);
        let server = site.postgresql().expect("it runs");
        program.signal(Signal::SIGKILL);
        program.ended();
        assert!(is_alive(server), "the database died with the program");

        let (program, address) = started(&site);
        assert_eq!(site.postgresql(), Some(server), "another server was started");
        assert!(health(&address).contains("healthy"));
        program.signal(Signal::SIGINT);
        assert_eq!(program.ended().0, Some(0));
        assert!(!is_alive(server), "an adopted server was left behind");
    }
}

#[test]
fn after_everything_was_killed_it_recovers_even_if_nobody_collects_the_dead() {
    // The orphaned server becomes our child, and we do not wait for it: as under a careless PID 1.
    nix::sys::prctl::set_child_subreaper(true).expect("always allowed");
    let site = Site::new(RunAs::Us);
    let (program, _) = started(&site);
    let server = site.postgresql().expect("it runs");
    program.signal(Signal::SIGKILL);
    kill(server, Signal::SIGKILL).expect("it runs");
    program.ended();
    wait_until("the server is gone", || !is_alive(server));

    let (_program, address) = started(&site);
    assert_ne!(site.postgresql(), Some(server));
    assert!(health(&address).contains("healthy"));
}

#[test]
fn a_database_that_dies_is_started_again() {
    let site = Site::new(RunAs::Us);
    let (program, address) = started(&site);
    let server = site.postgresql().expect("it runs");
    kill(server, Signal::SIGKILL).expect("it runs");
    wait_until("another server runs", || site.postgresql().is_some_and(|now| now != server));
    wait_until("the API answers", || health(&address).contains("\"metadatabase\":{\"status\":\"healthy\""));

    program.signal(Signal::SIGTERM);
    assert_eq!(program.ended().0, Some(0));
    assert_eq!(site.postgresql(), None);
}

#[test]
fn a_second_copy_is_refused_and_told_about_the_first() {
    let site = Site::new(RunAs::Us);
    let (first, _) = started(&site);
    let said = run(&mut site.standalone());
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains(&format!("another gridflow (pid {})", first.pid())), "{}", said.stderr);
    assert_eq!(said.stdout, "");
}

#[test]
fn a_state_directory_of_any_length_and_with_blanks_will_do() {
    let site = Site::new(RunAs::Us);
    let deep = site.state_dir().join("a long name, with blanks & signs ".repeat(5));
    let mut program = Running::start(&mut site.standalone_in(&deep));
    assert!(program.line().contains("http://"));
    program.signal(Signal::SIGTERM);
    assert_eq!(program.ended().0, Some(0));
}

#[test]
fn binding_off_loopback_is_refused() {
    let site = Site::new(RunAs::Us);
    let said = run(site.standalone().args(["--host", "0.0.0.0"]));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("only loopback"), "{}", said.stderr);
}

#[test]
fn a_folder_the_database_cannot_reach_is_named() {
    if !Uid::effective().is_root() {
        return;
    }
    let site = Site::new(RunAs::Us);
    let closed = site.state_dir().join("closed");
    fs::create_dir(&closed).expect("folder");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("permissions");
    let said = run(&mut site.standalone_in(&closed.join("state")));
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains(&format!("cannot enter `{}`", closed.display())), "{}", said.stderr);
}

#[test]
fn without_postgresql_it_says_how_to_get_one() {
    // A user without the usual places: only a PATH without servers can be arranged everywhere, so the data of a
    // version that no machine has stands for a missing one.
    let site = Site::new(RunAs::Us);
    let data = site.state_dir().join("postgresql/data");
    fs::create_dir_all(&data).expect("folder");
    fs::write(data.join("PG_VERSION"), "9999\n").expect("file");
    let said = run(&mut site.standalone());
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("written by PostgreSQL 9999"), "{}", said.stderr);
    assert!(said.stderr.contains("apt-get install postgresql"), "{}", said.stderr);
}
