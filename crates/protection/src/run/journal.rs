//! The journal: what a run is about to do and what came of it, durable before and after.
//!
//! One SQLite file per home. Each record is its own transaction with `synchronous = FULL`, so
//! that a record that was told to a listener survives a power cut. The journal learns of a step
//! before the host does: a run that was killed leaves at least an intent for whatever it may
//! have done.
//!
//! The file beside it is locked for as long as a backup runs. Only so may a later run take an
//! unfinished run for an interrupted one.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{Phase, RunId, StepName};
use crate::error::{Error, Result};

/// The schema, and the version that `user_version` carries.
const SCHEMA: &str = "
    CREATE TABLE instance (id TEXT NOT NULL);
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, host TEXT NOT NULL, vm TEXT NOT NULL, vm_name TEXT NOT NULL,
        repository TEXT NOT NULL, started_unix_ms INTEGER NOT NULL,
        ended_unix_ms INTEGER, outcome TEXT
    );
    CREATE TABLE records (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES runs(id),
        step TEXT NOT NULL, phase TEXT NOT NULL, detail TEXT NOT NULL, at_unix_ms INTEGER NOT NULL
    );
    CREATE INDEX records_of_run ON records(run, sequence);
    PRAGMA user_version = 1;";
const SCHEMA_VERSION: i64 = 1;

/// The journal of one home.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Mutex<Connection>,
    instance: String,
}

/// A run as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEntry {
    /// The run.
    pub id: RunId,
    /// Host name.
    pub host: String,
    /// VM id as text.
    pub vm: String,
    /// VM name, for people.
    pub vm_name: String,
    /// Id of the repository it writes to.
    pub repository: String,
    /// When it began, milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// How it ended; `None` while it runs, or when it was interrupted.
    pub outcome: Option<String>,
}

/// One record of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the journal.
    pub sequence: i64,
    /// The step it is about.
    pub step: StepName,
    /// Intent, or what came of it.
    pub phase: Phase,
    /// What the step needs to be settled later.
    pub detail: Value,
}

/// Held while backups run from this home; freed when dropped or when the process ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl Journal {
    /// Opens the journal, making it where there is none.
    ///
    /// # Errors
    /// When the folder cannot be written, or the file is not a journal of this version.
    pub fn open(path: &Path, new_instance: impl FnOnce() -> String) -> Result<Self> {
        let journal_error = |source| Error::Journal { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(journal_error)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(journal_error)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(journal_error)?;
        match version {
            0 => {
                let fresh = format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;");
                connection.execute_batch(&fresh).map_err(journal_error)?;
            }
            SCHEMA_VERSION => {}
            found => return Err(Error::JournalVersion { path: path.to_owned(), found }),
        }
        let instance = instance_of(&connection, new_instance).map_err(journal_error)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), instance })
    }

    /// The id of this installation.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Takes the lock that says: backups run from this home.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn lock(&self) -> Result<RunLock> {
        let path = self.path.with_extension("lock");
        let io_error = |source| Error::LockFile { path: path.clone(), source };
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning { path }),
            Err(TryLockError::Error(source)) => Err(io_error(source)),
        }
    }

    /// Begins a run.
    pub(crate) fn begin(&self, run: &RunEntry) -> Result<()> {
        self.with(|db| {
            db.execute(
                "INSERT INTO runs (id, host, vm, vm_name, repository, started_unix_ms) VALUES (?,?,?,?,?,?)",
                params![run.id.0, run.host, run.vm, run.vm_name, run.repository, to_sql(run.started_unix_ms)],
            )
        })?;
        Ok(())
    }

    /// Adds a record and returns its position once it is durable.
    pub(crate) fn record(
        &self,
        run: &RunId,
        step: StepName,
        phase: Phase,
        detail: &Value,
        at_unix_ms: u64,
    ) -> Result<i64> {
        self.with(|db| {
            db.execute(
                "INSERT INTO records (run, step, phase, detail, at_unix_ms) VALUES (?,?,?,?,?)",
                params![run.0, step.as_str(), phase.as_str(), detail.to_string(), to_sql(at_unix_ms)],
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Ends a run.
    pub(crate) fn end(&self, run: &RunId, outcome: &str, at_unix_ms: u64) -> Result<()> {
        self.with(|db| {
            db.execute(
                "UPDATE runs SET ended_unix_ms = ?, outcome = ? WHERE id = ?",
                params![to_sql(at_unix_ms), outcome, run.0],
            )
        })?;
        Ok(())
    }

    /// Runs of a host that began and did not end, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn unfinished(&self, host: &str) -> Result<Vec<RunEntry>> {
        self.runs("WHERE ended_unix_ms IS NULL AND host = ?1 ORDER BY started_unix_ms", host)
    }

    /// All runs of a host, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn all(&self, host: &str) -> Result<Vec<RunEntry>> {
        self.runs("WHERE host = ?1 ORDER BY started_unix_ms", host)
    }

    /// The records of a run, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read, or holds a record of an unknown step.
    pub fn records(&self, run: &RunId) -> Result<Vec<Record>> {
        let rows: Vec<(i64, String, String, String)> = self.with(|db| {
            let mut query = db.prepare(
                "SELECT sequence, step, phase, detail FROM records WHERE run = ? ORDER BY sequence",
            )?;
            let rows =
                query.query_map([&run.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect()
        })?;
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    fn parse(&self, (sequence, step, phase, detail): (i64, String, String, String)) -> Result<Record> {
        let unknown = || Error::JournalRecord { path: self.path.clone(), sequence };
        Ok(Record {
            sequence,
            step: StepName::parse(&step).ok_or_else(unknown)?,
            phase: Phase::parse(&phase).ok_or_else(unknown)?,
            detail: serde_json::from_str(&detail).map_err(|_| unknown())?,
        })
    }

    fn runs(&self, filter: &str, host: &str) -> Result<Vec<RunEntry>> {
        self.with(|db| {
            let mut query = db.prepare(&format!(
                "SELECT id, host, vm, vm_name, repository, started_unix_ms, outcome FROM runs {filter}"
            ))?;
            let rows = query.query_map([host], |row| {
                Ok(RunEntry {
                    id: RunId(row.get(0)?),
                    host: row.get(1)?,
                    vm: row.get(2)?,
                    vm_name: row.get(3)?,
                    repository: row.get(4)?,
                    started_unix_ms: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
                    outcome: row.get(6)?,
                })
            })?;
            rows.collect()
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&connection).map_err(|source| Error::Journal { path: self.path.clone(), source })
    }
}

fn instance_of(db: &Connection, make: impl FnOnce() -> String) -> rusqlite::Result<String> {
    if let Some(id) = db.query_row("SELECT id FROM instance", [], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let id = make();
    db.execute("INSERT INTO instance (id) VALUES (?)", [&id])?;
    Ok(id)
}

/// SQLite's integers are signed; a moment beyond them is far outside any calendar.
fn to_sql(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open(folder: &tempfile::TempDir) -> Journal {
        Journal::open(&folder.path().join("journal.db"), || "abc".into()).unwrap()
    }

    fn entry() -> RunEntry {
        RunEntry {
            id: RunId("r1".into()),
            host: "HV1".into(),
            vm: "V".into(),
            vm_name: "sql01".into(),
            repository: "R".into(),
            started_unix_ms: 7,
            outcome: None,
        }
    }

    #[test]
    fn an_unfinished_run_is_found_after_reopening_with_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(&folder);
        journal.begin(&entry()).unwrap();
        let at =
            journal.record(&entry().id, StepName::Checkpoint, Phase::Intent, &json!({"a": 1}), 8).unwrap();
        drop(journal);

        let journal = open(&folder);
        assert_eq!(journal.unfinished("HV1").unwrap(), [entry()]);
        assert_eq!(journal.unfinished("HV2").unwrap(), []);
        let records = journal.records(&entry().id).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].sequence, &records[0].detail), (at, &json!({"a": 1})));
    }

    #[test]
    fn a_finished_run_is_not_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(&folder);
        journal.begin(&entry()).unwrap();
        journal.end(&entry().id, "done", 9).unwrap();
        assert_eq!(journal.unfinished("HV1").unwrap(), []);
        assert_eq!(journal.all("HV1").unwrap()[0].outcome.as_deref(), Some("done"));
    }

    #[test]
    fn the_lock_is_held_by_one_and_freed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(&folder);
        let held = journal.lock().unwrap();
        assert!(matches!(journal.lock(), Err(Error::AlreadyRunning { .. })));
        drop(held);
        journal.lock().unwrap();
    }

    #[test]
    fn a_journal_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        drop(open(&folder));
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
        let opened = Journal::open(&path, || "abc".into());
        assert!(matches!(opened, Err(Error::JournalVersion { found: 9, .. })));
    }

    #[test]
    fn the_instance_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder));
        let again = Journal::open(&folder.path().join("journal.db"), || "other".into()).unwrap();
        assert_eq!(again.instance(), "abc");
    }
}
