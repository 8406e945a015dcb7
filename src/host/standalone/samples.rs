//! Puts the sample records in place for a first start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{file_id, listing};

/// Copies the Markdown records below `from` to `records_dir`, unless that exists: an emptied folder stays
/// empty. Returns how many were copied. The folder appears complete or not at all.
pub fn install_samples(from: &Path, records_dir: &Path) -> io::Result<usize> {
    if records_dir.symlink_metadata().is_ok() {
        return Ok(0);
    }
    let from = from.canonicalize()?;
    fs::read_dir(&from)?;
    let name = records_dir.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut unfinished = name.to_os_string();
    unfinished.push(format!(".new-{}", std::process::id()));
    let unfinished = records_dir.with_file_name(unfinished);
    let copied = copy_all(&from, &unfinished).and_then(|count| {
        fs::rename(&unfinished, records_dir)?;
        Ok(count)
    });
    if copied.is_err() {
        drop(fs::remove_dir_all(&unfinished));
    }
    copied
}

fn copy_all(from: &Path, to: &Path) -> io::Result<usize> {
    fs::create_dir_all(to)?;
    let mut records: Vec<PathBuf> = Vec::new();
    listing::walk(from, &mut |entry| {
        let path = entry.path();
        records.extend(
            path.strip_prefix(from)
                .ok()
                .filter(|path| file_id::id_of(path).is_some())
                .map(Path::to_path_buf),
        );
    });
    for record in &records {
        let target = to.join(record);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        // Read and write, not copy: the package's files may be write-protected, the records must not be.
        fs::write(target, fs::read(from.join(record))?)?;
    }
    Ok(records.len())
}
