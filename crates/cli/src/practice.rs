//! A simulated host with one virtual machine that has files: what `lab` and `demo` stand on.
//!
//! Everything lies in one folder, so that it can be looked at, kept and thrown away. The product reaches the host
//! only over its TCP port and its disk files, as it would reach a Windows machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use simulator::guest::{FilesChanged, GuestFiles, GuestFilesSpec};
use simulator::{DiskSpec, Served, SimVmId, SimulatedHost, VmSpec};

use crate::error::Error;
use crate::files;
use crate::report::Outcome;
use crate::settings::{HostEntry, PathMapping};

/// Name of the simulated host.
pub(crate) const HOST_NAME: &str = "HV1";

/// The account of the simulated host.
const USER: &str = "refpoint";

/// A disk is this many times as large as the data on it, as disks of real guests are.
const CAPACITY_FACTOR: u64 = 8;

/// The smallest disk: the guest's sparse file alone spans 48 MiB.
const CAPACITY_MIB_MIN: u64 = 256;

/// A running simulated host with one virtual machine.
pub(crate) struct Practice {
    pub host: SimulatedHost,
    pub served: Served,
    pub vm: SimVmId,
    pub vm_name: String,
    pub guest_files: GuestFiles,
    folder: PathBuf,
}

impl Practice {
    /// Builds the host in `folder` and lets it listen on 127.0.0.1.
    pub(crate) async fn start(folder: &Path, vm_name: &str, data_mib: u64, port: u16) -> Outcome<Self> {
        let password = make_password(folder)?;
        let host = SimulatedHost::builder(&folder.join("host"))
            .name(HOST_NAME)
            .credentials(USER, &password)
            .build()?;
        let guest_files = GuestFiles::create(&folder.join("guest"), spec(data_mib))?;
        let disk = DiskSpec::from_raw(&format!("{}.vhdx", vm_name.to_lowercase()), &guest_files.image());
        let vm = host.add_vm(VmSpec::new(vm_name).disk(disk))?;
        let served = host.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let (folder, vm_name) = (folder.to_owned(), vm_name.to_owned());
        Ok(Self { host, served, vm, vm_name, guest_files, folder })
    }

    /// How a user would register this host.
    pub(crate) fn host_entry(&self) -> HostEntry {
        let maps = self.host.path_map().into_iter();
        HostEntry {
            name: HOST_NAME.to_owned(),
            url: self.served.url(),
            user: USER.to_owned(),
            password_file: Some(password_file(&self.folder)),
            maps: maps.map(|(host, folder)| PathMapping { host, folder }).collect(),
        }
    }

    /// The guest adds, replaces and removes files and overwrites database pages.
    pub(crate) fn change_files(&mut self) -> Outcome<FilesChanged> {
        let guest = self.host.guest(self.vm)?;
        Ok(self.guest_files.change(&guest, 0)?)
    }
}

/// Makes `folder` if needed; refuses one that holds anything.
pub(crate) fn take_empty_folder(folder: &Path) -> Result<PathBuf, Error> {
    files::make_private_folder(folder)?;
    let failed = |source| Error::File { path: folder.to_owned(), action: "used", source };
    if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Error::FolderInUse { folder: folder.to_owned() });
    }
    folder.canonicalize().map_err(failed)
}

/// Files of several kinds that together hold about `data_mib`.
fn spec(data_mib: u64) -> GuestFilesSpec {
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    GuestFilesSpec {
        capacity: (data_mib * CAPACITY_FACTOR).max(CAPACITY_MIB_MIN) << 20,
        // A document has 12 KiB on average, a page 8 KiB.
        documents: count(data_mib * 8),
        binaries: count(data_mib / 2),
        binary_bytes: 1 << 20,
        database_pages: count(data_mib * 128 / 3),
        ..GuestFilesSpec::default()
    }
}

fn password_file(folder: &Path) -> PathBuf {
    folder.join("host.secret")
}

/// A password of its own for each folder; nothing secret is built into the program.
fn make_password(folder: &Path) -> Result<String, Error> {
    let password = uuid::Uuid::new_v4().simple().to_string();
    files::replace_private(&password_file(folder), format!("{password}\n").as_bytes())?;
    Ok(password)
}
