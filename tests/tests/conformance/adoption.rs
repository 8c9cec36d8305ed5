//! Commands outlive the scheduler that started them.

use anyhow::Result;
use gridflow_tests::Ground;

/// Runs until somebody writes the file `go`.
const WAITS: &str = "tasks:
  a:
    bash: |
      . $LIBRARY
      echo begun
      until test -e \"$(dirname \"$MARKS\")/go\"; do sleep 0.1; done
      echo '\"done\"' > \"$GRIDFLOW_OUTPUT\"
      echo ended
  b: {needs: a, bash: '. $LIBRARY; test {{ tasks.a | sh }} = done'}
";

pub fn a_command_goes_on_when_its_scheduler_is_killed(ground: &Ground) -> Result<()> {
    let first = ground.begin(WAITS)?;
    ground.until_running(1, &first)?;
    first.kill()?;
    let second = ground.scheduler("second")?;
    ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &second)?;
    std::fs::write(ground.cluster.path("go"), "")?;
    ground.until_over("success", &second)?;
    assert_eq!(ground.outcomes("a")?, "exited 0");
    assert_eq!(ground.log_of("a")?, "begun\nended\n");
    Ok(())
}

pub fn what_ends_while_no_scheduler_lives_is_collected(ground: &Ground) -> Result<()> {
    let first = ground.begin(WAITS)?;
    ground.until_running(1, &first)?;
    first.kill()?;
    std::fs::write(ground.cluster.path("go"), "")?;
    ground.until_ended(1)?;
    let second = ground.scheduler("second")?;
    ground.until_over("success", &second)?;
    assert_eq!(ground.outcomes("a")?, "exited 0");
    assert_eq!(ground.log_of("a")?, "begun\nended\n");
    Ok(())
}

pub fn a_second_scheduler_takes_over_what_runs(ground: &Ground) -> Result<()> {
    let first = ground.begin(WAITS)?;
    ground.until_running(1, &first)?;
    let second = ground.scheduler("second")?;
    first.kill()?;
    ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &second)?;
    // And back again, while it still runs.
    let third = ground.scheduler("third")?;
    second.kill()?;
    ground.until("SELECT count(*) FROM leader WHERE epoch = 3", "1", &third)?;
    std::fs::write(ground.cluster.path("go"), "")?;
    ground.until_over("success", &third)?;
    assert_eq!(ground.outcomes("a")?, "exited 0");
    Ok(())
}
