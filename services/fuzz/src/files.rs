//! Files that people write. A refusal names the file, and every line of it can be shown.

use std::{fmt::Display, fs, path::Path};

use nanogrid_settings::{ExpertManifest, ExpertSettings, Grid, HfConfig, RouterSettings, VersionManifest};

/// The settings file of a router or an expert.
///
/// # Panics
/// When a refusal does not name the file.
pub fn process_settings(bytes: &[u8]) {
    in_folder("settings.toml", bytes, |folder| {
        let file = folder.join("settings.toml");
        refused_by_name("settings.toml", RouterSettings::load(Some(&file)));
        refused_by_name("settings.toml", ExpertSettings::load(Some(&file)));
    });
}

/// A grid file.
///
/// # Panics
/// When a refusal does not name the file, or a grid is not read again as it was written.
pub fn grid_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(grid) = refused_by_name("grid.toml", Grid::parse(text, "grid.toml")) else { return };
    let written = grid.to_toml();
    let again = Grid::parse(&written, "again").unwrap_or_else(|problems| panic!("{problems}\nin\n{written}"));
    assert_eq!(again.experts, grid.experts, "\n{written}");
}

/// A package: `expert.toml`, `version.toml`, or the `config.json` of an export from Hugging Face.
///
/// # Panics
/// When a refusal does not name the file.
pub fn package_manifests(bytes: &[u8]) {
    in_folder("expert.toml", bytes, |folder| refused_by_name("expert.toml", ExpertManifest::read(folder)));
    in_folder("version.toml", bytes, |folder| refused_by_name("version.toml", VersionManifest::read(folder)));
    in_folder("config.json", bytes, |folder| refused_by_name("config.json", HfConfig::read(folder)));
}

fn refused_by_name<T, E: Display>(name: &str, read: Result<T, E>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(name), "{message}");
            None
        }
    }
}

/// A folder with this one file in it.
fn in_folder<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder for files");
    }
    FOLDER.with(|folder| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("a file can be written");
        let value = read(folder.path());
        // A file that is only cut and written again is flushed to the disk by some systems: a hundred times slower.
        fs::remove_file(file).expect("a file can be removed");
        value
    })
}
