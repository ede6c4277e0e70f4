//! Runs the real binary in a folder of its own, with an environment of its own.

#![allow(unreachable_pub, dead_code, reason = "each test file uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The passphrase that every test repository has.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// A folder with a home, and a place for repositories and disks.
pub struct Bench {
    folder: TempDir,
}

/// What a run of the binary left.
pub struct Run {
    /// Exit code; 256 when a signal ended it.
    pub exit: i32,
    /// Results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Bench {
    /// A new, empty bench.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A bench with a repository in `repo`.
    pub fn with_repository() -> Self {
        let bench = Self::new();
        bench.refpoint(&["repo", "init"]).expect_exit(0);
        bench
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path inside, as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The binary with this bench's home, repository and passphrase, and nothing of the caller's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refpoint"));
        self.environment(&mut command).args(arguments);
        command
    }

    /// Sets up the environment of a command that leads to the binary.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("REFPOINT_HOME", self.path("home"))
            .env("REFPOINT_REPO", self.path("repo"))
            .env("REFPOINT_PASSPHRASE", PASSPHRASE)
            .current_dir(self.folder.path())
            .stdin(std::process::Stdio::null())
    }

    /// Runs the binary to its end.
    pub fn refpoint(&self, arguments: &[&str]) -> Run {
        self.finished(&mut self.command(arguments))
    }

    /// Runs any prepared command to its end.
    pub fn finished(&self, command: &mut Command) -> Run {
        self.run_of(command.output().unwrap())
    }

    /// Cleans a process' output of what differs between runs and machines.
    pub fn run_of(&self, output: Output) -> Run {
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&self.folder.path().display().to_string(), "BENCH")
        };
        Run {
            exit: output.status.code().unwrap_or(256),
            stdout: clean(output.stdout),
            stderr: clean(output.stderr),
        }
    }

    /// A VHDX made by qemu-img from a raw image, so that its bytes were chosen by someone else.
    pub fn qemu_vhdx(&self, name: &str, raw: &Path) -> PathBuf {
        let path = self.path(name);
        tool(
            "qemu-img",
            &["convert", "-f", "raw", "-O", "vhdx", &raw.display().to_string(), &path.display().to_string()],
        );
        path
    }

    /// A raw image of `capacity` bytes with the given pieces of data in it.
    pub fn raw_image(&self, name: &str, capacity: u64, pieces: &[(u64, Vec<u8>)]) -> PathBuf {
        use std::os::unix::fs::FileExt;
        let path = self.path(name);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(capacity).unwrap();
        for (offset, bytes) in pieces {
            file.write_all_at(bytes, *offset).unwrap();
        }
        path
    }
}

impl Run {
    /// Fails with all output unless the exit code is `code`.
    #[track_caller]
    pub fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The results as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }

    /// Exit code and both streams as one page, for snapshots.
    pub fn page(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.exit, self.stdout, self.stderr)
    }
}

/// Runs a tool that must succeed and returns what it printed.
#[track_caller]
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed by this test and could not be run: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Bytes that do not compress and differ by seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The shape of a JSON value: names in their order, types in place of values, one element of each list.
pub fn shape(value: &serde_json::Value, depth: usize) -> String {
    use serde_json::Value;
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => format!("{indent}null\n"),
        Value::Bool(_) => format!("{indent}bool\n"),
        Value::Number(_) => format!("{indent}number\n"),
        Value::String(_) => format!("{indent}string\n"),
        Value::Array(items) => match items.first() {
            Some(first) => format!("{indent}list of\n{}", shape(first, depth + 1)),
            None => format!("{indent}empty list\n"),
        },
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{indent}{name}\n{}", shape(value, depth + 1)),
                simple => format!("{indent}{name}: {}", shape(simple, 0)),
            })
            .collect(),
    }
}
