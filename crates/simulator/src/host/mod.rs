//! The simulated host: its state, and the handle by which tests, the demo and the wire reach it.
//!
//! Two kinds of locks exist and are always taken in this order: a VM's storage ([`vm_storage::VmStorage`]), then the
//! host's state. A guest's write takes the first alone, an inventory query the second alone, so neither waits for the
//! other; a checkpoint holds the first of them for its instant, so all disks of the VM stop at the same one.

pub(crate) mod change_file;
pub(crate) mod change_map;
pub(crate) mod checkpoints;
pub(crate) mod configuration_files;
pub(crate) mod definition;
pub(crate) mod disk_stack;
pub(crate) mod handle;
mod handles;
pub(crate) mod host_file;
pub(crate) mod image_service;
pub(crate) mod integration;
pub(crate) mod jobs;
pub(crate) mod merge;
pub(crate) mod rct;
pub(crate) mod reference_points;
pub(crate) mod refusal;
pub(crate) mod saved;
pub(crate) mod vm_storage;
pub(crate) mod vmms;
pub(crate) mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::fault::FaultTable;
use crate::ids::SimVmId;
use crate::model::{HostModel, Vm};
use crate::paths::DriveFolders;
use crate::time::{Clock, Timing};
use jobs::JobTable;
use saved::SavedState;
use vm_storage::VmStorage;

pub use handle::{HostEvent, Leftovers, SimulatedHost, VmSummary};

/// The event log keeps the newest entries; a merge that is retried for days must not fill memory.
const EVENTS_MAX: usize = 10_000;

/// What one VM is busy with: `OperationalStatus[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    CreatingSnapshot,
    DeletingSnapshot,
    MergingDisks,
}

impl Busy {
    /// The number in `OperationalStatus` (WMI notes 1.3).
    pub(crate) fn status(self) -> u16 {
        match self {
            Busy::CreatingSnapshot => 32768,
            Busy::DeletingSnapshot => 32770,
            Busy::MergingDisks => 32772,
        }
    }

    /// Its text in `StatusDescriptions`.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Busy::CreatingSnapshot => "Creating Checkpoint",
            Busy::DeletingSnapshot => "Deleting Checkpoint",
            Busy::MergingDisks => "Merging Disks",
        }
    }
}

/// What a client must know of the machine to sign in, and what it tells of itself.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Version number of the operating system.
    pub(crate) os_version: String,
    /// Its name.
    pub(crate) os_caption: String,
}

/// Everything behind a [`SimulatedHost`].
#[derive(Debug)]
pub(crate) struct HostCore {
    pub(crate) drives: DriveFolders,
    pub(crate) identity: Identity,
    pub(crate) timing: Timing,
    pub(crate) clock: Clock,
    pub(crate) saved: SavedState,
    /// Goes up when connections are to break; streams remember the value they began with.
    pub(crate) cut: Arc<AtomicU64>,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) model: HostModel,
    pub(crate) storage: BTreeMap<SimVmId, Arc<Mutex<VmStorage>>>,
    pub(crate) busy: BTreeMap<SimVmId, Busy>,
    pub(crate) jobs: JobTable,
    pub(crate) faults: FaultTable,
    pub(crate) merges_held: bool,
    pub(crate) events: Vec<HostEvent>,
    pub(crate) calls: BTreeMap<String, u64>,
}

impl HostCore {
    pub(crate) fn new(
        folder: &Path,
        identity: Identity,
        timing: Timing,
        clock: Clock,
        saved: SavedState,
        model: HostModel,
    ) -> HostCore {
        let state = State {
            model,
            storage: BTreeMap::new(),
            busy: BTreeMap::new(),
            jobs: JobTable::new(timing.job_life),
            faults: FaultTable::default(),
            merges_held: false,
            events: Vec::new(),
            calls: BTreeMap::new(),
        };
        let drives = DriveFolders::under(folder);
        let cut = Arc::new(AtomicU64::new(0));
        HostCore { drives, identity, timing, clock, saved, cut, state: Mutex::new(state) }
    }

    /// The host's state. Held for moments only, never over a disk access.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the model and saves it; the change is undone in memory when it cannot be saved.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut state = self.state();
        let before = state.model.clone();
        let result = change(&mut state);
        if let Err(error) = self.saved.save(&state.model) {
            state.model = before;
            return Err(error);
        }
        Ok(result)
    }

    /// The storage of a VM.
    pub(crate) fn storage(&self, vm: SimVmId) -> Result<Arc<Mutex<VmStorage>>> {
        let found = self.state().storage.get(&vm).cloned();
        found.ok_or_else(|| Error::NoSuchVm { vm: vm.text() })
    }

    /// A copy of what is known of a VM.
    pub(crate) fn vm(&self, vm: SimVmId) -> Result<Vm> {
        self.state().model.vms.get(&vm).cloned().ok_or_else(|| Error::NoSuchVm { vm: vm.text() })
    }

    /// The next GUID of the host's seed. Saved with the next change.
    pub(crate) fn new_guid(&self) -> Uuid {
        self.state().model.chance.guid()
    }

    /// Notes an entry of the host's event log.
    pub(crate) fn event(&self, number: u32, vm: SimVmId, text: String) {
        tracing::debug!(event = number, vm = %vm, "{text}");
        let event = HostEvent { number, vm, text, unix_ms: self.clock.unix_ms() };
        let mut state = self.state();
        if state.events.len() == EVENTS_MAX {
            state.events.remove(0);
        }
        state.events.push(event);
    }
}

/// A lock that survives a panic of another thread: the simulator's data is checked where it is used.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
