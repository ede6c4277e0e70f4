//! What every command is handed: output, settings, and the ways to open a repository and reach a host.
//! The seams of the crates below (folders, network, secrets) are built here and passed down.

use std::path::{Path, PathBuf};

use hyperv::{Host, HostProfile, PathMap};
use repository::{Indexed, Key, Located, Repository, Unlocked};

use crate::arguments::Global;
use crate::error::Error;
use crate::output::Output;
use crate::report::Outcome;
use crate::secret;
use crate::settings::{HostEntry, Settings};

/// One invocation.
pub(crate) struct Context {
    pub output: Output,
    pub settings: Settings,
    pub repo: Option<PathBuf>,
    pub passphrase_file: Option<PathBuf>,
    pub recovery_key_file: Option<PathBuf>,
}

impl Context {
    /// From the global options.
    pub(crate) fn new(global: Global) -> Self {
        Self {
            output: Output::new(global.output, global.quiet),
            settings: Settings::at(global.home),
            // Absolute, because messages and pasted commands outlive the folder they were given in.
            repo: global.repo.map(|folder| std::path::absolute(&folder).unwrap_or(folder)),
            passphrase_file: global.passphrase_file,
            recovery_key_file: global.recovery_key_file,
        }
    }

    /// The repository's folder, which must have been named.
    pub(crate) fn repository_folder(&self) -> Result<&Path, Error> {
        self.repo.as_deref().ok_or(Error::RepositoryUnnamed)
    }

    /// The repository as a place; nothing is read yet.
    pub(crate) fn locate_repository(&self) -> Outcome<Repository<Located>> {
        Ok(Repository::at_folder(self.repository_folder()?))
    }

    /// The repository with its keys: enough to list and read restore points.
    pub(crate) async fn unlock_repository(&self) -> Outcome<Repository<Unlocked>> {
        let located = self.locate_repository()?;
        // Nobody should type a passphrase for a folder that holds no repository.
        if !located.exists().await? {
            let place = self.repository_folder()?.display().to_string();
            return Err(repository::Error::NotFound { place }.into());
        }
        let key = match &self.recovery_key_file {
            Some(file) => {
                let key = secret::read(secret::RECOVERY_KEY, Some(file))?;
                Key::Recovery(repository::Secret::new(key.as_str()))
            }
            None => {
                let passphrase = secret::read(secret::PASSPHRASE, self.passphrase_file.as_deref())?;
                Key::Passphrase(repository::Secret::new(passphrase.as_str()))
            }
        };
        Ok(located.unlock(key).await?)
    }

    /// The repository with its index: what backups write into.
    pub(crate) async fn open_repository(&self) -> Outcome<Repository<Indexed>> {
        let indexed = self.unlock_repository().await?.index().await?;
        for gap in indexed.gaps() {
            self.output.warn(&format!("{}: {}", gap.object, gap.cause));
        }
        Ok(indexed)
    }

    /// Where the files of a host appear here.
    pub(crate) fn path_map(&self, entry: &HostEntry) -> Outcome<PathMap> {
        let maps = entry.maps.iter().map(|map| (map.host.as_str(), map.folder.clone()));
        Ok(PathMap::new(maps)?)
    }

    /// Signs in to a registered host.
    pub(crate) async fn connect(&self, entry: &HostEntry) -> Outcome<Host> {
        let paths = self.path_map(entry)?;
        let password = secret::read(secret::HOST_PASSWORD, entry.password_file.as_deref())?;
        let profile = HostProfile {
            name: entry.name.clone(),
            endpoint: entry.url.clone(),
            credentials: hyperv::Credentials::basic(&entry.user, password),
            paths,
        };
        Ok(Host::connect(profile).await?)
    }
}
