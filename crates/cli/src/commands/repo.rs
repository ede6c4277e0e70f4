//! `refpoint repo`: make a repository, look at it, and export the key that opens it without its passphrase.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use repository::{InitOptions, KdfStrength, Repository, RepositoryStats, Unlocked};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::Outcome;
use crate::secret;

/// Make a repository and look after it
#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    /// Make an encrypted repository in an empty folder
    ///
    /// Everything in it is encrypted under the passphrase. Write the recovery key down afterwards: without
    /// passphrase and recovery key nobody can read the backups.
    #[command(after_help = "\
Examples:
  refpoint repo init --repo /backups
  refpoint repo init --repo /backups --passphrase-file backups.secret
  refpoint repo recovery-key --repo /backups > recovery-key.txt")]
    Init,
    /// Show what the repository holds and how much space it takes
    #[command(after_help = "\
Examples:
  refpoint repo info --repo /backups
  refpoint repo info --repo /backups --output json")]
    Info,
    /// Print the recovery key, which opens the repository when the passphrase is lost
    ///
    /// Keep it on paper or in a safe, away from the repository. Whoever has it can read every backup.
    #[command(after_help = "\
Examples:
  refpoint repo recovery-key --repo /backups > recovery-key.txt
  refpoint points list --repo /backups --recovery-key-file recovery-key.txt")]
    RecoveryKey,
    /// Let one more passphrase open the repository; those before keep working
    ///
    /// With the recovery key this gives a repository whose passphrase is lost a new one.
    #[command(after_help = "\
Examples:
  refpoint repo add-passphrase --repo /backups
  refpoint repo add-passphrase --repo /backups --recovery-key-file recovery-key.txt")]
    AddPassphrase {
        /// File with the new passphrase [or: REFPOINT_NEW_PASSPHRASE, or a prompt]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// Runs `refpoint repo …`.
pub(crate) async fn run(context: &Context, command: RepoCommand) -> Outcome<Exit> {
    match command {
        RepoCommand::Init => init(context).await,
        RepoCommand::Info => info(context).await,
        RepoCommand::RecoveryKey => recovery_key(context).await,
        RepoCommand::AddPassphrase { new_passphrase_file } => {
            add_passphrase(context, new_passphrase_file.as_deref()).await
        }
    }
}

/// Makes the repository under a passphrase that is chosen now.
pub(crate) async fn create(context: &Context) -> Outcome<Repository<Unlocked>> {
    let located = context.locate_repository()?;
    if located.exists().await? {
        let place = context.repository_folder()?.display().to_string();
        return Err(repository::Error::AlreadyExists { place }.into());
    }
    let passphrase = secret::choose(secret::PASSPHRASE, context.passphrase_file.as_deref())?;
    let options = InitOptions::new(repository::Secret::new(passphrase.as_str()));
    Ok(located.create(options).await?)
}

async fn init(context: &Context) -> Outcome<Exit> {
    let repository = create(context).await?;
    let place = context.repository_folder()?.display().to_string();
    context.output.show(&InitView {
        repository_id: repository.id().to_string(),
        block_bytes: repository.block_bytes(),
        folder: place.clone(),
    });
    context.output.note(&format!(
        "Print its recovery key and keep it elsewhere: refpoint repo recovery-key --repo {place}"
    ));
    Ok(Exit::Done)
}

async fn info(context: &Context) -> Outcome<Exit> {
    let repository = context.open_repository().await?;
    let stats = repository.stats().await?;
    context.output.show(&InfoView::new(
        repository.place(),
        repository.id().to_string(),
        repository.block_bytes(),
        &stats,
    ));
    Ok(if repository.gaps().is_empty() { Exit::Done } else { Exit::Warnings })
}

async fn recovery_key(context: &Context) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let recovery_key = repository.recovery_key().expose().to_owned();
    context.output.show(&RecoveryKeyView { recovery_key });
    Ok(Exit::Done)
}

async fn add_passphrase(context: &Context, file: Option<&Path>) -> Outcome<Exit> {
    let repository = context.unlock_repository().await?;
    let passphrase = secret::choose(secret::NEW_PASSPHRASE, file)?;
    let passphrase = repository::Secret::new(passphrase.as_str());
    repository.add_passphrase(passphrase, KdfStrength::default()).await?;
    context.output.show(&AddedView { repository_id: repository.id().to_string() });
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct AddedView {
    repository_id: String,
}

impl View for AddedView {
    fn text(&self) -> String {
        format!("Repository {} opens with one more passphrase.\n", self.repository_id)
    }
}

#[derive(Debug, Serialize)]
struct InitView {
    folder: String,
    repository_id: String,
    block_bytes: u32,
}

impl View for InitView {
    fn text(&self) -> String {
        format!("Repository {} is ready in {}.\n", self.repository_id, self.folder)
    }
}

#[derive(Debug, Serialize)]
struct RecoveryKeyView {
    recovery_key: String,
}

impl View for RecoveryKeyView {
    fn text(&self) -> String {
        format!("{}\n", self.recovery_key)
    }
}

#[derive(Debug, Serialize)]
struct InfoView {
    folder: String,
    repository_id: String,
    block_bytes: u32,
    restore_points: u64,
    sources: u64,
    /// What the disks of all restore points span.
    protected_bytes: u64,
    /// Content of the distinct blocks, before compression.
    distinct_bytes: u64,
    /// All that the repository takes.
    stored_bytes: u64,
    packs: u64,
    /// Packs that no restore point names: of sessions cut short, or of one that is writing now.
    unfinished_bytes: u64,
}

impl InfoView {
    fn new(folder: &str, repository_id: String, block_bytes: u32, stats: &RepositoryStats) -> Self {
        Self {
            folder: folder.to_owned(),
            repository_id,
            block_bytes,
            restore_points: stats.points,
            sources: stats.sources,
            protected_bytes: stats.logical_bytes,
            distinct_bytes: stats.plain_bytes,
            stored_bytes: stats.stored_bytes,
            packs: stats.packs,
            unfinished_bytes: stats.unfinished_pack_bytes,
        }
    }
}

impl View for InfoView {
    fn text(&self) -> String {
        let mut text = format!(
            "Repository       {}\nFolder           {}\nRestore points   {} of {}\n\
             Disks span       {} over all restore points\nDistinct blocks  {} of content in blocks of {}\n\
             Stored           {} in {}\n",
            self.repository_id,
            self.folder,
            self.restore_points,
            units::count(self.sources, "source"),
            units::bytes(self.protected_bytes),
            units::bytes(self.distinct_bytes),
            units::bytes(self.block_bytes.into()),
            units::bytes(self.stored_bytes),
            units::count(self.packs, "pack"),
        );
        if self.unfinished_bytes > 0 {
            text.push_str(&format!("Unfinished       {}\n", units::bytes(self.unfinished_bytes)));
        }
        text
    }
}
