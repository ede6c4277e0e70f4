//! A real file system inside a guest's disk: built, changed as a guest would change it, and read back.
//!
//! `mke2fs -d` builds an ext4 file system over the whole disk (no partition table in this version) from a folder.
//! To change files, `debugfs -w` works on a raw copy of the disk, and every 4 KiB block that then differs from the
//! disk is written through the guest's disk stack: change tracking sees exactly the writes of a guest. Database pages
//! are overwritten in place. No mount, no root rights, no kernel driver is needed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::access::Guest;
use super::file_tree::{self, DATABASE, PAGE_BYTES};
use super::programs::run;
use crate::error::{Error, Result};
use crate::seed::Chance;

pub use super::file_tree::GuestFilesSpec;

/// Block size that the file system is built with.
const BLOCK_BYTES: u64 = 4096;
/// Where the state is kept, in the folder of the image.
const STATE_FILE: &str = "guest-files.json";
/// Every this-many-th database page is overwritten by one change.
const CHANGED_PAGE_STEP: usize = 37;

/// One file of a guest's file system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileRecord {
    /// Path inside the file system.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content, in hex.
    pub digest: String,
}

/// What one round of changes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesChanged {
    /// Files added, replaced or removed.
    pub files: usize,
    /// Database pages overwritten in place.
    pub pages: usize,
    /// Bytes that the guest wrote to its disk for all that.
    pub written_bytes: u64,
}

/// The files of one guest disk and the raw copy through which they are changed.
#[derive(Debug)]
pub struct GuestFiles {
    folder: PathBuf,
    state: GuestFilesState,
}

/// What is kept beside the image, so that changes can go on after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct GuestFilesState {
    spec: GuestFilesSpec,
    rounds: u32,
}

impl GuestFiles {
    /// Builds the files and the file system below `folder`, which is created.
    pub fn create(folder: &Path, spec: GuestFilesSpec) -> Result<GuestFiles> {
        let files = GuestFiles { folder: folder.to_owned(), state: GuestFilesState { spec, rounds: 0 } };
        let tree = files.folder.join("tree");
        fs::create_dir_all(&tree).map_err(|error| Error::file("creating", &tree, error))?;
        file_tree::write_tree(&tree, &files.state.spec)
            .map_err(|error| Error::file("filling", &tree, error))?;
        files.build_image(&tree)?;
        fs::remove_dir_all(&tree).map_err(|error| Error::file("removing", &tree, error))?;
        files.save()?;
        Ok(files)
    }

    /// The files that were built in `folder` before.
    pub fn open(folder: &Path) -> Result<GuestFiles> {
        let path = folder.join(STATE_FILE);
        let bytes = fs::read(&path).map_err(|error| Error::file("reading", &path, error))?;
        let state = serde_json::from_slice(&bytes);
        let state = state.map_err(|error| Error::file("reading", &path, io::Error::from(error)))?;
        Ok(GuestFiles { folder: folder.to_owned(), state })
    }

    /// The raw image: give it to a new disk with `DiskSource::FromRaw`.
    pub fn image(&self) -> PathBuf {
        self.folder.join("disk.raw")
    }

    /// Adds, replaces and removes files and overwrites database pages on a disk that was made from [`Self::image`].
    pub fn change(&mut self, guest: &Guest, disk: usize) -> Result<FilesChanged> {
        self.state.rounds += 1;
        let mut chance =
            Chance::from_seed(self.state.spec.seed).split(&format!("round {}", self.state.rounds));
        let image = self.image();
        let files = self.edit_files(&image, &mut chance)?;
        let pages = self.overwrite_pages(&image, &mut chance)?;
        let written_bytes = guest.write_image(disk, &image)?;
        self.save()?;
        Ok(FilesChanged { files, pages, written_bytes })
    }

    /// All files of the file system in a raw image, sorted by path. Needs room for a copy of them in `scratch`.
    pub fn list(image: &Path, scratch: &Path) -> Result<Vec<FileRecord>> {
        let dump = scratch.join("files-of-image");
        let _ = fs::remove_dir_all(&dump);
        fs::create_dir_all(&dump).map_err(|error| Error::file("creating", &dump, error))?;
        let command = format!("rdump / {}", quoted(&dump)?);
        run("debugfs", ["-R".as_ref(), command.as_ref(), image.as_os_str()], "read the file system")?;
        let mut files = Vec::new();
        collect(&dump, &dump, &mut files).map_err(|error| Error::file("reading", &dump, error))?;
        fs::remove_dir_all(&dump).map_err(|error| Error::file("removing", &dump, error))?;
        files.sort();
        if files.is_empty() {
            let what = format!("{} holds no file", image.display());
            return Err(Error::Program { program: "debugfs", doing: "read the file system".into(), what });
        }
        Ok(files)
    }

    /// Asks `e2fsck` for its opinion of the file system in a raw image, which is not changed.
    pub fn check(image: &Path) -> Result<()> {
        run("e2fsck", ["-fn".as_ref(), image.as_os_str()], "find the file system clean").map(drop)
    }

    /// Numbers of the database pages in a raw image that are torn: empty for every consistent restore.
    pub fn torn_pages(image: &Path) -> Result<Vec<u32>> {
        let file = File::open(image).map_err(|error| Error::file("opening", image, error))?;
        let mut torn = Vec::new();
        for (number, blocks) in (0_u32..).zip(database_pages(image)?) {
            let mut page = vec![0; PAGE_BYTES];
            read_page(&file, &blocks, &mut page).map_err(|error| Error::file("reading", image, error))?;
            if !file_tree::page_is_whole(&page, number) {
                torn.push(number);
            }
        }
        Ok(torn)
    }

    fn save(&self) -> Result<()> {
        let path = self.folder.join(STATE_FILE);
        let bytes = serde_json::to_vec(&self.state).unwrap_or_default();
        fs::write(&path, bytes).map_err(|error| Error::file("writing", path, error))
    }

    fn build_image(&self, tree: &Path) -> Result<()> {
        let image = self.image();
        let id = Chance::from_seed(self.state.spec.seed).split("file system").guid().to_string();
        let arguments = [
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            "4096",
            "-m",
            "0",
            "-L",
            "data",
            "-U",
            &id,
            "-E",
            &format!("root_owner=0:0,hash_seed={id}"),
            "-d",
        ];
        let size = format!("{}k", self.state.spec.capacity / 1024);
        let arguments = arguments.iter().map(AsRef::as_ref);
        let arguments = arguments.chain([tree.as_os_str(), image.as_os_str(), size.as_ref()]);
        run("mke2fs", arguments, "build the guest's file system").map(drop)
    }

    /// Changes whole files with a script for debugfs; returns how many.
    fn edit_files(&self, image: &Path, chance: &mut Chance) -> Result<usize> {
        let (round, spec) = (self.state.rounds, &self.state.spec);
        let staged = self.folder.join("staged");
        fs::create_dir_all(&staged).map_err(|error| Error::file("creating", &staged, error))?;
        let mut script = format!("mkdir /round-{round}\n");
        let mut changed = 0;
        let mut add = |name: String, content: &[u8], replaces: bool| -> Result<()> {
            let source = staged.join(changed.to_string());
            fs::write(&source, content).map_err(|error| Error::file("writing", &source, error))?;
            let removal = if replaces { format!("rm \"{name}\"\n") } else { String::new() };
            script.push_str(&format!("{removal}write {} \"{name}\"\n", quoted(&source)?));
            changed += 1;
            Ok(())
        };
        for number in 0..6 {
            let text = file_tree::document(chance, round * 1000 + number);
            add(format!("/round-{round}/new-{number}.txt"), text.as_bytes(), false)?;
        }
        let picture = file_tree::incompressible(chance, spec.binary_bytes / 2);
        add(format!("/round-{round}/Zeichnung ü.bin"), &picture, false)?;
        for number in (round..spec.documents).step_by(29) {
            let text = file_tree::document(chance, number + 1);
            add(format!("/documents/{:02}/report-{number:04}.txt", number % 12), text.as_bytes(), true)?;
        }
        if round <= 200 {
            script.push_str(&format!("rm /index/{:x}/{}.idx\n", (round - 1) % 16, round - 1));
            changed += 1;
        }
        let commands = staged.join("commands");
        fs::write(&commands, script).map_err(|error| Error::file("writing", &commands, error))?;
        let arguments = ["-w".as_ref(), "-f".as_ref(), commands.as_os_str(), image.as_os_str()];
        run("debugfs", arguments, "change files of the guest")?;
        fs::remove_dir_all(&staged).map_err(|error| Error::file("removing", &staged, error))?;
        Ok(changed)
    }

    /// Overwrites some pages of the database where they lie, as a database does.
    fn overwrite_pages(&self, image: &Path, chance: &mut Chance) -> Result<usize> {
        let file =
            File::options().write(true).open(image).map_err(|error| Error::file("opening", image, error))?;
        let first = usize::try_from(self.state.rounds).unwrap_or_default() % CHANGED_PAGE_STEP;
        let mut overwritten = 0;
        for (number, blocks) in (0_u32..).zip(database_pages(image)?).skip(first).step_by(CHANGED_PAGE_STEP) {
            let page = file_tree::database_page(chance, number, self.state.rounds + 1);
            for (block, half) in blocks.iter().zip(page.chunks(PAGE_BYTES / 2)) {
                file.write_all_at(half, block * BLOCK_BYTES)
                    .map_err(|error| Error::file("writing", image, error))?;
            }
            overwritten += 1;
        }
        Ok(overwritten)
    }
}

/// The two disk blocks of each page of the database.
fn database_pages(image: &Path) -> Result<Vec<[u64; 2]>> {
    let command = format!("blocks {DATABASE}");
    let text = run("debugfs", ["-R".as_ref(), command.as_ref(), image.as_os_str()], "find the database")?;
    let blocks: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    Ok(blocks.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
}

fn read_page(image: &File, blocks: &[u64; 2], page: &mut [u8]) -> io::Result<()> {
    let (first, second) = page.split_at_mut(PAGE_BYTES / 2);
    image.read_exact_at(first, blocks[0] * BLOCK_BYTES)?;
    image.read_exact_at(second, blocks[1] * BLOCK_BYTES)
}

/// A local path as one word for debugfs.
fn quoted(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\n']) => Ok(format!("\"{text}\"")),
        _ => Err(Error::file("naming", path, io::ErrorKind::InvalidFilename.into())),
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<FileRecord>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?;
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let mut hasher = blake3::Hasher::new();
            io::copy(&mut File::open(&path)?, &mut hasher)?;
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let digest = hasher.finalize().to_hex().to_string();
            files.push(FileRecord { path: format!("/{relative}"), bytes: kind.len(), digest });
        }
    }
    Ok(())
}
