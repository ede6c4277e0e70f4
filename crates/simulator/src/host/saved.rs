//! The saved state of the host: `<folder>/.simulator/host.json`, replaced as a whole after every change.
//!
//! A lock file keeps a second simulated host away from the folder for as long as this one lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ids::{SimVmId, guid_text};
use crate::model::{HostModel, Slot};

/// A model of more VMs than fit here was not written by us.
const MODEL_BYTES_MAX: u64 = 256 << 20;

/// Where the simulator keeps what is not on the host's drives.
#[derive(Debug)]
pub(crate) struct SavedState {
    folder: PathBuf,
    _lock: File,
}

impl SavedState {
    /// Takes the folder for this process.
    pub(crate) fn take(host_folder: &Path) -> Result<SavedState> {
        let folder = host_folder.join(".simulator");
        std::fs::create_dir_all(&folder).map_err(|error| Error::file("creating", &folder, error))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| Error::file("opening", &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(SavedState { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse { path: host_folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(Error::file("locking", path, error)),
        }
    }

    /// The saved model, if there is one.
    pub(crate) fn load(&self) -> Result<Option<HostModel>> {
        let path = self.model_path();
        let damaged = |what: String| Error::SavedState { path: path.clone(), what };
        match std::fs::metadata(&path) {
            Ok(facts) if facts.len() > MODEL_BYTES_MAX => return Err(damaged("it is too large".into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("reading", path, error)),
        }
        let bytes = std::fs::read(&path).map_err(|error| Error::file("reading", &path, error))?;
        let model: HostModel = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if model.format == HostModel::FORMAT {
            Ok(Some(model))
        } else {
            Err(damaged(format!(
                "its format is {}, this simulator reads {}",
                model.format,
                HostModel::FORMAT
            )))
        }
    }

    /// Replaces the saved model: a reader sees the old one or the new one, whole.
    pub(crate) fn save(&self, model: &HostModel) -> Result<()> {
        let path = self.model_path();
        let staged = self.folder.join("host.json.new");
        let wrap = |error: io::Error| Error::file("writing", &staged, error);
        let bytes = serde_json::to_vec_pretty(model).map_err(|error| wrap(error.into()))?;
        let mut file = File::create(&staged).map_err(wrap)?;
        file.write_all(&bytes).map_err(wrap)?;
        drop(file);
        std::fs::rename(&staged, &path).map_err(|error| Error::file("writing", &path, error))
    }

    /// The write log of one disk.
    pub(crate) fn write_log(&self, vm: SimVmId, slot: &Slot) -> PathBuf {
        let name = format!("{}-{}.log", guid_text(&slot.controller), slot.lun);
        self.folder.join("write-logs").join(vm.text()).join(name)
    }

    fn model_path(&self) -> PathBuf {
        self.folder.join("host.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_belongs_to_one_host_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = SavedState::take(folder.path()).unwrap();
        let error = SavedState::take(folder.path()).unwrap_err();
        assert_eq!((error.code(), error.retry()), ("SM-003", crate::Retry::Later));
        drop(first);
        assert!(SavedState::take(folder.path()).unwrap().load().unwrap().is_none());
    }

    #[test]
    fn a_damaged_saved_state_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let saved = SavedState::take(folder.path()).unwrap();
        saved.save(&HostModel::new("hv1", 1)).unwrap();
        assert_eq!(saved.load().unwrap().unwrap().name, "HV1");
        std::fs::write(saved.model_path(), b"{\"format\":1").unwrap();
        let error = saved.load().unwrap_err();
        assert!(error.to_string().contains("host.json of the simulated host is damaged"), "{error}");
    }
}
