//! The archive is a zip file with one `.txz` in it.

use std::{
    borrow::Cow,
    fs::{self, File, Permissions},
    io::{self, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use lzma_rust2::XzReader;
use zip::ZipArchive;

/// Unpacks into a folder that does not exist yet. Entries that would lie outside of it are an error.
pub fn unpack(file: &Path, folder: &Path) -> io::Result<()> {
    let mut zip = ZipArchive::new(BufReader::new(File::open(file)?))?;
    let inner = zip.file_names().flatten().find(|name| name.ends_with(".txz")).map(Cow::into_owned);
    let inner = inner.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no .txz"))?;
    fs::create_dir(folder)?;
    // The server may run as another user.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let mut tar = tar::Archive::new(XzReader::new(BufReader::new(zip.by_name(&inner)?), true));
    tar.set_preserve_ownerships(false);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if !entry.unpack_in(folder)? {
            let text = format!("`{}` leads out of the archive", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}
