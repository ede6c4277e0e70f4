//! The commands that tests run: found, installed when missing and allowed, else said and skipped.
//!
//! Only what is missing is installed, and never at the price of removing another package: on Debian a
//! second QEMU source can make apt trade one package for another without a word. A name with `/` in it is no command
//! but a file or folder, seen from the root, that the tests read and that cannot be part of the repository.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where the table is.
pub(crate) const PATH: &str = "xtask/test-tools.txt";

/// Folders of system commands that the search path of ordinary users often lacks.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A command that tests run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Line in the table.
    pub(crate) line: usize,
    /// Name of the command, or path of a file or folder.
    pub(crate) command: String,
    /// Debian packages that bring it.
    pub(crate) packages: Vec<String>,
    /// Test binaries that cannot do without, as `crate::binary`.
    pub(crate) binaries: Vec<String>,
}

/// What the machine has after the set-up.
#[derive(Debug, Default)]
pub(crate) struct Available {
    /// Whether `cargo nextest` runs.
    pub(crate) nextest: bool,
    /// Tools that are still missing.
    pub(crate) missing: Vec<Tool>,
    /// Search path for the tests.
    pub(crate) search_path: Vec<PathBuf>,
}

/// Reads the table; an error is the line that cannot be read.
pub(crate) fn parse(text: &str) -> Result<Vec<Tool>, usize> {
    let list = |words: &str| words.split(',').filter(|&w| w != "-").map(str::to_owned).collect::<Vec<_>>();
    let mut tools = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [command, packages, binaries] => tools.push(Tool {
                line: index + 1,
                command: (*command).to_owned(),
                packages: list(packages),
                binaries: list(binaries),
            }),
            _ => return Err(index + 1),
        }
    }
    Ok(tools)
}

/// Looks for everything, installs what is missing if that is allowed, and says what stays missing.
pub(crate) fn prepare(root: &Path, no_install: bool) -> Result<Available> {
    let text = std::fs::read_to_string(root.join(PATH)).with_context(|| format!("cannot read {PATH}"))?;
    let Ok(tools) = parse(&text) else { bail!("{PATH} cannot be read; cargo xtask tidy says where") };
    let search_path = search_path();
    let has = |tool: &Tool| {
        if tool.is_path() { root.join(&tool.command).exists() } else { is_there(&tool.command, &search_path) }
    };

    let packages: BTreeSet<_> = missing(&tools, has).into_iter().flat_map(|tool| tool.packages).collect();
    if !packages.is_empty() && !no_install {
        install_packages(&packages, &search_path);
    }
    let missing = missing(&tools, has);
    for line in missing.iter().map(explain) {
        println!("{line}");
    }
    let nextest = has_nextest(&search_path) || (!no_install && install_nextest(root, &search_path));
    if !nextest {
        println!(
            "cargo-nextest is not there (`cargo install cargo-nextest --locked`): cargo's own runner is used"
        );
    }
    Ok(Available { nextest, missing, search_path })
}

fn missing(tools: &[Tool], has: impl Fn(&Tool) -> bool) -> Vec<Tool> {
    tools.iter().filter(|tool| !has(tool)).cloned().collect()
}

/// The sentence for a tool that stays missing.
fn explain(tool: &Tool) -> String {
    let packages = tool.packages.join(" ");
    let source =
        if tool.is_path() { String::new() } else { format!(" (Debian: apt-get install {packages})") };
    let tests = if tool.binaries.is_empty() { "nothing".to_owned() } else { tool.binaries.join(", ") };
    format!("`{}` is not there{source}: skipped is {tests}", tool.command)
}

impl Tool {
    /// Whether it is a file or folder and not a command.
    pub(crate) fn is_path(&self) -> bool {
        self.command.contains('/')
    }
}

fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
    folders
}

fn is_there(command: &str, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.join(command).is_file())
}

/// Installs with apt when this is root on Debian; whatever goes wrong is seen again as a missing tool.
fn install_packages(packages: &BTreeSet<String>, search_path: &[PathBuf]) {
    if !is_there("apt-get", search_path) || !is_root() {
        return;
    }
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    println!("installing {}", names.join(" "));
    apt_get(&["update", "--quiet"]);
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends", "--no-remove"];
    arguments.extend(names);
    apt_get(&arguments);
}

fn apt_get(arguments: &[&str]) {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("apt-get {} ended with {status}", arguments.join(" ")),
        Err(error) => println!("apt-get {} did not start: {error}", arguments.join(" ")),
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn has_nextest(search_path: &[PathBuf]) -> bool {
    is_there("cargo-nextest", search_path)
        || cargo_bin().is_some_and(|bin| bin.join("cargo-nextest").is_file())
}

/// Where `cargo install` puts commands; cargo looks there too.
fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).map(|home| home.join("bin"))
}

fn install_nextest(root: &Path, search_path: &[PathBuf]) -> bool {
    println!("installing cargo-nextest, once; it is built from source and takes minutes");
    let installed = crate::workspace::cargo(root).args(["install", "cargo-nextest", "--locked"]).status();
    installed.is_ok_and(|status| status.success()) && has_nextest(search_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_with_packages_and_binaries() {
        let tools =
            parse("# x\n\nqemu-img qemu-utils vdisk::qemu,cli::demo # why\nmke2fs e2fsprogs,x -\n").unwrap();

        assert_eq!((tools[0].line, tools[0].command.as_str()), (3, "qemu-img"));
        assert_eq!(tools[0].binaries, ["vdisk::qemu", "cli::demo"]);
        assert_eq!((tools[1].packages.len(), tools[1].binaries.len()), (2, 0));
        assert_eq!(parse("# x\nqemu-img"), Err(2));
    }

    #[test]
    fn a_missing_command_is_named_with_its_package_and_the_tests_that_are_skipped() {
        let tools = parse("sh dash -\nrefpoint-none some-package vdisk::qemu,cli::demo\n").unwrap();

        let missing = missing(&tools, |tool| is_there(&tool.command, &search_path()));

        assert_eq!(missing.len(), 1);
        let expected = "`refpoint-none` is not there (Debian: apt-get install some-package): skipped is vdisk::qemu, cli::demo";
        assert_eq!(explain(&missing[0]), expected);
        let folder = parse("../shared/none - vdisk::specimens\n").unwrap();
        assert_eq!(explain(&folder[0]), "`../shared/none` is not there: skipped is vdisk::specimens");
    }

    #[test]
    fn a_command_is_found_in_the_folders_that_are_given_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tool"), "").unwrap();

        assert!(is_there("tool", &[folder.path().to_path_buf()]));
        assert!(!is_there("tool", &[]));
        assert!(!is_there("", &[folder.path().to_path_buf()]));
    }

    #[test]
    fn the_table_of_this_repository_can_be_read() {
        let tools = parse(include_str!("../../test-tools.txt")).unwrap();

        assert!(tools.iter().any(|tool| tool.command == "qemu-img"));
    }
}
