//! Where `demo` and `lab` work: a folder the user named and keeps, or a temporary one that goes away.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::practice::take_empty_folder;

/// A folder to work in.
pub(crate) struct Workplace {
    path: PathBuf,
    keep: bool,
}

impl Workplace {
    /// The named folder, which must be new or empty; or a temporary one, removed when this is dropped.
    pub(crate) fn new(named: Option<&Path>, purpose: &str) -> Result<Self, Error> {
        let path = match named {
            Some(folder) => folder.to_owned(),
            None => {
                std::env::temp_dir().join(format!("refpoint-{purpose}-{}", uuid::Uuid::new_v4().simple()))
            }
        };
        Ok(Self { path: take_empty_folder(&path)?, keep: named.is_some() })
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
