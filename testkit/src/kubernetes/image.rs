//! Images of the cluster. There is no registry: what is not imported can't be had.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Cluster, script};

/// A shell and small tools.
pub const BUSYBOX: &str = "gridflow.local/busybox:1";
/// bash, coreutils and python3.
pub const DEBIAN: &str = "gridflow.local/debian:12";

impl Cluster {
    /// An image of a root file system, with options of `tests/services/mkimage.py`.
    pub fn image(&self, name: &str, root: &Path, options: &[&str]) -> Result<()> {
        let root = root.to_str().context("a plain path")?;
        let output = script("containerd", &[&["image", name, root], options].concat())?;
        if !output.status.success() {
            bail!("packing an image: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Gridflow's own image, made of built programs. Quick if they have not changed.
    pub fn program_image(&self, programs: &[&Path]) -> Result<String> {
        let output = script("program-image", programs)?;
        if !output.status.success() {
            bail!("packing an image: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout).context("the image's name")?.trim().to_owned())
    }
}
