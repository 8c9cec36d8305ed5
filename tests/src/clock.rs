//! The time of day as one program sees it, which can be set while it runs.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// A clock that a program is started with. It is right until it is set.
#[derive(Debug)]
pub struct Clock {
    offset: File,
    path: String,
    shim: String,
}

impl Clock {
    /// Keeps what it needs in `dir`. Takes a C compiler, as building the program does.
    pub fn new(dir: &Path, name: &str) -> Result<Self> {
        let (path, shim) = (dir.join(format!("{name}.clock")), dir.join(format!("{name}.clock.so")));
        let offset = File::create(&path).context("making a clock")?;
        compile(&shim)?;
        let text = |path: PathBuf| path.into_os_string().into_string().ok().context("a path that is no text");
        let clock = Self { offset, path: text(path)?, shim: text(shim)? };
        clock.set(0)?;
        Ok(clock)
    }

    /// Steps it to that many seconds after the true time, or before it.
    pub fn set(&self, offset_s: i64) -> Result<()> {
        self.offset.write_all_at(&(offset_s * 1_000_000).to_ne_bytes(), 0).context("setting a clock")
    }

    /// What to start the program with.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &self.shim), ("GRIDFLOW_TEST_CLOCK", &self.path)]
    }
}

fn compile(shim: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clock/shim.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(shim).arg(source);
    let output = compiler.output().context("running `cc`")?;
    ensure!(output.status.success(), "`cc` says: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
