//! Machine failures: a full disk, failing writes, a wrong clock. Each lasts a while and ends by itself. Not here: when
//! they occur (`leader`).

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A failure that can start and end.
pub trait Trouble: Send + Sync {
    fn begin(&self);
    fn end(&self);
}

/// The disk that holds a folder is full.
pub struct FullDisk {
    ballast: PathBuf,
}

impl FullDisk {
    /// The disk of a folder that nobody else needs.
    pub fn of(folder: &Path) -> Self {
        Self { ballast: folder.join("ballast") }
    }
}

impl Trouble for FullDisk {
    fn begin(&self) {
        let Ok(mut file) = File::create(&self.ballast) else { return };
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn end(&self) {
        let _ = std::fs::remove_file(&self.ballast);
    }
}

/// Writes never reach the disk: `fsync` and `fdatasync` return EIO.
pub struct NoSync {
    folder: TempDir,
}

const LIBRARY: &str = "eio.so";
const SWITCH: &str = "eio";

/// While the file named by `BURSAR_EIO` exists, syncing fails.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int broken(void) {
  const char *file = getenv("BURSAR_EIO");
  return file && access(file, F_OK) == 0;
}
int fsync(int fd) {
  if (broken()) { errno = EIO; return -1; }
  return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  if (broken()) { errno = EIO; return -1; }
  return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"#;

impl NoSync {
    /// Builds the preload library that makes syncing fail.
    ///
    /// # Errors
    /// There is no C compiler.
    pub fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (source, library) = (folder.path().join("eio.c"), folder.path().join(LIBRARY));
        std::fs::write(&source, SHIM).map_err(|error| error.to_string())?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        match compiler.output() {
            Ok(done) if done.status.success() => Ok(Self { folder }),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
            Err(error) => Err(format!("there is no C compiler: {error}")),
        }
    }

    /// The environment variables for a process.
    pub fn variables(&self) -> Vec<(String, String)> {
        let text = |name: &str| self.folder.path().join(name).display().to_string();
        vec![("LD_PRELOAD".to_owned(), text(LIBRARY)), ("BURSAR_EIO".to_owned(), text(SWITCH))]
    }
}

impl Trouble for NoSync {
    fn begin(&self) {
        let _ = File::create(self.folder.path().join(SWITCH));
    }

    fn end(&self) {
        let _ = std::fs::remove_file(self.folder.path().join(SWITCH));
    }
}
