//! Which runs a timetable makes, and when.

mod common;

use std::{num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use chrono_tz::Tz;
use common::{answer_all, manual, parse_dag, version};
use gridflow_core::{
    Answer, CronExpression, Dag, DagChanged, Event, Need, Plan, Schedule, ScheduleCursor, Timestamp, Timetable, Turn,
    World, WorldConfig, admit, step,
};
use insta::assert_snapshot;

#[test]
fn a_cron_without_catchup_makes_only_the_most_recent_missed_run() {
    let timetable = Timetable { start_date: Some(at("2025-01-01T00:00")), ..cron("0 6 * * *") };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-02T05:59", "2025-06-02T06:00", "2025-06-09T00:00"]), @r"
    06-01T12:00 next 06-02T06:00
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after 06-02T06:00
    06-02T05:59 next 06-02T06:00
    06-02T06:00 next 06-03T06:00
        scheduled__2025-06-02T06:00:00+00:00 [06-02T06:00, 06-02T06:00]
        cursor 06-02T06:00, next run after 06-03T06:00
    06-09T00:00 next 06-09T06:00
        scheduled__2025-06-08T06:00:00+00:00 [06-08T06:00, 06-08T06:00]
        cursor 06-08T06:00, next run after 06-09T06:00
    ");
}

#[test]
fn with_catchup_every_tick_from_the_start_date_makes_a_run_as_room_appears() {
    let timetable = Timetable { start_date: Some(at("2025-05-30T00:00")), catchup: true, ..cron("0 6 * * *") };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-01T12:00"]), @r"
    06-01T12:00 next 06-02T06:00
        scheduled__2025-05-30T06:00:00+00:00 [05-30T06:00, 05-30T06:00]
        scheduled__2025-05-31T06:00:00+00:00 [05-31T06:00, 05-31T06:00]
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after 06-02T06:00
    06-01T12:00 next 06-02T06:00
    ");
}

#[test]
fn without_a_start_date_a_tick_just_missed_still_runs() {
    assert_snapshot!(runs_of(cron("0 6 * * *"), &["2025-06-01T08:20", "2025-06-01T08:30"]), @r"
    06-01T08:20 next 06-02T06:00
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after 06-02T06:00
    06-01T08:30 next 06-02T06:00
    ");
}

#[test]
fn without_a_start_date_a_tick_long_missed_does_not() {
    assert_snapshot!(runs_of(cron("0 6 * * *"), &["2025-06-01T08:30", "2025-06-02T06:00"]), @r"
    06-01T08:30 next 06-02T06:00
        cursor 06-01T08:30, next run after 06-02T06:00
    06-02T06:00 next 06-03T06:00
        scheduled__2025-06-02T06:00:00+00:00 [06-02T06:00, 06-02T06:00]
        cursor 06-02T06:00, next run after 06-03T06:00
    ");
}

#[test]
fn a_tick_that_came_while_nobody_led_is_made_up_for() {
    // First seen at 05:00: the schedule begins there, and the decision is kept.
    assert_snapshot!(runs_of(cron("0 6 * * *"), &["2025-06-01T05:00", "2025-06-01T23:00"]), @r"
    06-01T05:00 next 06-01T06:00
        cursor 06-01T05:00, next run after 06-01T06:00
    06-01T23:00 next 06-02T06:00
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after 06-02T06:00
    ");
}

#[test]
fn wall_clock_time_is_that_of_the_timezone() {
    let timetable = Timetable {
        timezone: Tz::Europe__Berlin,
        start_date: Some(at("2025-03-28T00:00")),
        catchup: true,
        ..cron("0 6 * * *")
    };
    assert_snapshot!(runs_of(timetable, &["2025-04-01T00:00", "2025-04-01T00:00"]), @r"
    04-01T00:00 next 04-01T04:00
        scheduled__2025-03-28T05:00:00+00:00 [03-28T05:00, 03-28T05:00]
        scheduled__2025-03-29T05:00:00+00:00 [03-29T05:00, 03-29T05:00]
        scheduled__2025-03-30T04:00:00+00:00 [03-30T04:00, 03-30T04:00]
        scheduled__2025-03-31T04:00:00+00:00 [03-31T04:00, 03-31T04:00]
        cursor 03-31T04:00, next run after 04-01T04:00
    04-01T00:00 next 04-01T04:00
    ");
}

#[test]
fn several_crons_at_one_instant_make_one_run() {
    let schedule = Schedule::Cron(vec![expression("0 * * * *"), expression("*/30 * * * *")]);
    let timetable = Timetable { schedule, start_date: Some(at("2025-06-01T00:00")), catchup: true, ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T01:00"]), @r"
    06-01T01:00 next 06-01T01:30
        scheduled__2025-06-01T00:00:00+00:00 [06-01T00:00, 06-01T00:00]
        scheduled__2025-06-01T00:30:00+00:00 [06-01T00:30, 06-01T00:30]
        scheduled__2025-06-01T01:00:00+00:00 [06-01T01:00, 06-01T01:00]
        cursor 06-01T01:00, next run after 06-01T01:30
    ");
}

#[test]
fn an_interval_counts_from_its_start_date() {
    let schedule = Schedule::Interval(Duration::from_secs(5_400));
    let timetable = Timetable { schedule, start_date: Some(at("2025-06-01T00:10")), ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-01T13:39", "2025-06-01T13:40"]), @r"
    06-01T12:00 next 06-01T12:10
        scheduled__2025-06-01T10:40:00+00:00 [06-01T10:40, 06-01T10:40]
        cursor 06-01T10:40, next run after 06-01T12:10
    06-01T13:39 next 06-01T13:40
        scheduled__2025-06-01T12:10:00+00:00 [06-01T12:10, 06-01T12:10]
        cursor 06-01T12:10, next run after 06-01T13:40
    06-01T13:40 next 06-01T15:10
        scheduled__2025-06-01T13:40:00+00:00 [06-01T13:40, 06-01T13:40]
        cursor 06-01T13:40, next run after 06-01T15:10
    ");
}

#[test]
fn an_interval_without_a_start_date_runs_at_once_and_counts_from_there() {
    let timetable = Timetable { schedule: Schedule::Interval(Duration::from_secs(600)), ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:03", "2025-06-01T12:12", "2025-06-01T12:13"]), @r"
    06-01T12:03 next 06-01T12:13
        scheduled__2025-06-01T12:03:00+00:00 [06-01T12:03, 06-01T12:03]
        cursor 06-01T12:03, next run after 06-01T12:13
    06-01T12:12 next 06-01T12:13
    06-01T12:13 next 06-01T12:23
        scheduled__2025-06-01T12:13:00+00:00 [06-01T12:13, 06-01T12:13]
        cursor 06-01T12:13, next run after 06-01T12:23
    ");
}

#[test]
fn dates_without_catchup_leave_out_what_was_past_when_first_seen() {
    let dates = ["2025-06-01T10:00", "2025-06-01T13:00", "2025-06-01T14:00"].map(at).to_vec();
    let timetable = Timetable { schedule: Schedule::Dates(dates), ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-01T13:00", "2025-06-02T00:00"]), @r"
    06-01T12:00 next 06-01T13:00
        cursor 06-01T12:00, next run after 06-01T13:00
    06-01T13:00 next 06-01T14:00
        scheduled__2025-06-01T13:00:00+00:00 [06-01T13:00, 06-01T13:00]
        cursor 06-01T13:00, next run after 06-01T14:00
    06-02T00:00 next never
        scheduled__2025-06-01T14:00:00+00:00 [06-01T14:00, 06-01T14:00]
        cursor 06-01T14:00, next run after never
    ");
}

#[test]
fn once_is_once_whatever_catchup_says() {
    let timetable = Timetable { schedule: Schedule::Once, start_date: Some(at("2025-01-01T00:00")), ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-02T12:00"]), @r"
    06-01T12:00 next never
        scheduled__2025-01-01T00:00:00+00:00 [01-01T00:00, 01-01T00:00]
        cursor 01-01T00:00, next run after never
    06-02T12:00 next never
    ");
}

#[test]
fn continuous_runs_follow_each_other() {
    let timetable = Timetable { schedule: Schedule::Continuous, ..manual() };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T12:00", "2025-06-01T12:00", "2025-06-01T12:07"]), @r"
    06-01T12:00 next 06-01T12:00
        scheduled__2025-06-01T12:00:00+00:00 [06-01T12:00, 06-01T12:00]
        cursor 06-01T12:00, next run after 06-01T12:00
    06-01T12:00 next 06-01T12:00
    06-01T12:07 next 06-01T12:07
        scheduled__2025-06-01T12:07:00+00:00 [06-01T12:00, 06-01T12:07]
        cursor 06-01T12:07, next run after 06-01T12:07
    ");
}

#[test]
fn nothing_runs_after_the_end_date() {
    let timetable = Timetable { end_date: Some(at("2025-06-02T00:00")), ..cron("0 6 * * *") };
    assert_snapshot!(runs_of(timetable, &["2025-06-01T06:00", "2025-06-02T06:00"]), @r"
    06-01T06:00 next never
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after never
    06-02T06:00 next never
    ");
}

#[test]
fn a_cron_that_never_comes_makes_nothing() {
    assert_snapshot!(runs_of(cron("0 0 30 2 *"), &["2025-06-01T06:00"]), @r"
    06-01T06:00 next never
        cursor 06-01T06:00, next run after never
    ");
}

#[test]
fn a_taken_date_is_passed_over() {
    let mut bench =
        Bench::new(Timetable { start_date: Some(at("2025-06-01T00:00")), catchup: true, ..cron("0 * * * *") });
    bench.taken.push(at("2025-06-01T01:00"));
    assert_snapshot!(bench.turn(at("2025-06-01T02:30")), @r"
    06-01T02:30 next 06-01T03:00
        scheduled__2025-06-01T00:00:00+00:00 [06-01T00:00, 06-01T00:00]
        scheduled__2025-06-01T02:00:00+00:00 [06-01T02:00, 06-01T02:00]
        cursor 06-01T02:00, next run after 06-01T03:00
    ");
}

#[test]
fn a_paused_dag_makes_no_runs_until_it_goes_on() {
    let mut bench = Bench::new(cron("0 6 * * *"));
    bench.pause(true, at("2025-06-01T05:00"));
    assert_snapshot!(bench.turn(at("2025-06-01T06:00")), @"06-01T06:00 next never");
    bench.pause(false, at("2025-06-01T06:01"));
    assert_snapshot!(bench.turn(at("2025-06-01T06:01")), @r"
    06-01T06:01 next 06-02T06:00
        scheduled__2025-06-01T06:00:00+00:00 [06-01T06:00, 06-01T06:00]
        cursor 06-01T06:00, next run after 06-02T06:00
    ");
}

/// Runs made at each of these times. Each run has one `empty` task, so it ends in its own turn; three
/// may be active.
fn runs_of(timetable: Timetable, times: &[&str]) -> String {
    let mut bench = Bench::new(timetable);
    let lines: Vec<String> = times.iter().map(|time| bench.turn(at(time))).collect();
    lines.join("\n")
}

struct Bench {
    world: World,
    turn: i64,
    taken: Vec<Timestamp>,
}

impl Bench {
    fn new(timetable: Timetable) -> Self {
        let (dag, _) = parse_dag("dag max_active_runs=3\na : none ; empty");
        let parts = gridflow_core::DagParts { timetable, ..dag.parts().clone() };
        assert_eq!(parts.max_active_runs, NonZeroU32::new(3).expect("not 0"));
        let definition = Arc::new(Dag::new(parts).expect("a DAG"));
        let mut world = World::new(WorldConfig::default());
        let mut plan = Plan::begin(Turn(1), 1);
        let cursor = ScheduleCursor::default();
        let changed = DagChanged { version: version(), definition, is_paused: false, cursor };
        step(&mut world, Event::DagChanged(changed), at("2025-06-01T00:00"), &mut plan);
        Self { world, turn: 1, taken: vec![] }
    }

    fn pause(&mut self, is_paused: bool, now: Timestamp) {
        let mut plan = Plan::begin(Turn(1), 1);
        let dag = "d".parse().expect("valid");
        step(&mut self.world, Event::DagPaused { dag, is_paused, command: None }, now, &mut plan);
        answer_all(&mut self.world, now, &mut plan);
    }

    fn turn(&mut self, now: Timestamp) -> String {
        self.turn += 1;
        let mut plan = Plan::begin(Turn(self.turn), 1);
        if self.world.next_deadline().is_some_and(|due| due <= now) {
            step(&mut self.world, Event::TimersDue, now, &mut plan);
        }
        let mut rounds = 0;
        loop {
            admit(&mut self.world, now, &mut plan);
            let needs = plan.take_needs();
            if needs.is_empty() || rounds == 3 {
                break;
            }
            rounds += 1;
            for need in needs {
                let Need::Taken { dag, logical_dates, .. } = need else { unreachable!("nothing else is needed") };
                let logical_dates = logical_dates.into_iter().filter(|date| self.taken.contains(date)).collect();
                let answer = Answer::Taken { dag, logical_dates, run_ids: vec![] };
                step(&mut self.world, Event::Answer(answer), now, &mut plan);
            }
        }
        let deadline = self.world.next_deadline().map_or("never".to_owned(), short);
        let sealed = plan.seal();
        let mut out = format!("{} next {deadline}", short(now));
        for run in &sealed.writes().new_runs {
            let run = &run.queued;
            let interval = run.data_interval.expect("scheduled runs have one");
            out += &format!("\n    {} [{}, {}]", run.run_id, short(interval.start), short(interval.end));
        }
        for row in &sealed.writes().cursors {
            let next = row.next_run_after.map_or("never".to_owned(), short);
            out += &format!("\n    cursor {}, next run after {next}", row.cursor.last.map_or("none".to_owned(), short));
        }
        out
    }
}

fn cron(text: &str) -> Timetable {
    Timetable { schedule: Schedule::Cron(vec![expression(text)]), ..manual() }
}

fn expression(text: &str) -> CronExpression {
    CronExpression { text: text.to_owned(), pattern: croner::Cron::from_str(text).expect("a cron") }
}

fn at(text: &str) -> Timestamp {
    format!("{text}:00Z").parse().expect("a time")
}

fn short(at: Timestamp) -> String {
    at.format("%m-%dT%H:%M").to_string()
}
