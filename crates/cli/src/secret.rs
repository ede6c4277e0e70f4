//! Secrets come from a file, an environment variable or a prompt, in that order; never from an argument, which
//! every user of the machine can read in the process list.

use std::io::{self, IsTerminal};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::files;

/// Longer than any passphrase or recovery key; a larger file is not a secret file.
const SECRET_BYTES_MAX: u64 = 4096;

/// A secret of one line, wiped from memory when dropped.
pub(crate) type Secret = Zeroizing<String>;

/// What is asked for, in words and by which ways it can be given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Begins a sentence: "The passphrase of the repository".
    pub what: &'static str,
    /// The environment variable that may hold it.
    pub variable: &'static str,
    /// For the error text: the option and the variable.
    pub ways: &'static str,
}

/// The passphrase that opens a repository.
pub(crate) const PASSPHRASE: Wanted = Wanted {
    what: "The passphrase of the repository",
    variable: "REFPOINT_PASSPHRASE",
    ways: "--passphrase-file FILE or the variable REFPOINT_PASSPHRASE",
};

/// One more passphrase for a repository.
pub(crate) const NEW_PASSPHRASE: Wanted = Wanted {
    what: "The new passphrase of the repository",
    variable: "REFPOINT_NEW_PASSPHRASE",
    ways: "--new-passphrase-file FILE or the variable REFPOINT_NEW_PASSPHRASE",
};

/// The password of a Hyper-V host.
pub(crate) const HOST_PASSWORD: Wanted = Wanted {
    what: "The password of the host",
    variable: "REFPOINT_HOST_PASSWORD",
    ways: "`refpoint host add … --password-file FILE` or the variable REFPOINT_HOST_PASSWORD",
};

/// The recovery key that opens a repository whose passphrase is lost.
pub(crate) const RECOVERY_KEY: Wanted =
    Wanted { what: "The recovery key", variable: "REFPOINT_RECOVERY_KEY", ways: "--recovery-key-file FILE" };

/// An existing secret: from `file` if one is named, else from the environment, else typed.
pub(crate) fn read(wanted: Wanted, file: Option<&Path>) -> Result<Secret, Error> {
    match given(wanted, file)? {
        Some(secret) => Ok(secret),
        None => prompt(wanted, &format!("{}: ", wanted.what)),
    }
}

/// A secret that is being chosen now: typed ones are asked for twice.
pub(crate) fn choose(wanted: Wanted, file: Option<&Path>) -> Result<Secret, Error> {
    if let Some(secret) = given(wanted, file)? {
        return Ok(secret);
    }
    let first = prompt(wanted, &format!("{} (new): ", wanted.what))?;
    let second = prompt(wanted, &format!("{} (again): ", wanted.what))?;
    if *first == *second { Ok(first) } else { Err(Error::SecretsDiffer { what: "the passphrase" }) }
}

fn given(wanted: Wanted, file: Option<&Path>) -> Result<Option<Secret>, Error> {
    if let Some(file) = file {
        return from_file(wanted, file).map(Some);
    }
    match std::env::var(wanted.variable) {
        Ok(value) => not_empty(wanted, Zeroizing::new(value)).map(Some),
        Err(_) => Ok(None),
    }
}

/// The first line of a file that only its owner can read.
fn from_file(wanted: Wanted, file: &Path) -> Result<Secret, Error> {
    refuse_exposed(file)?;
    let problem = |problem: String| Error::SecretFile { file: file.to_owned(), problem };
    let bytes = files::read_bounded(file, SECRET_BYTES_MAX)
        .map_err(|error| problem(error.to_string()))?
        .ok_or_else(|| problem("it does not exist".into()))?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| problem("it is not UTF-8 text".into()))?;
    let line = text.lines().next().unwrap_or_default();
    not_empty(wanted, Zeroizing::new(line.to_owned()))
}

#[cfg(unix)]
fn refuse_exposed(file: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    // A file that cannot be examined fails in the reading that follows, with the better words.
    let Ok(facts) = std::fs::metadata(file) else { return Ok(()) };
    let mode = facts.permissions().mode() & 0o7777;
    if facts.is_file() && mode & 0o077 != 0 {
        return Err(Error::SecretExposed { file: file.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_file: &Path) -> Result<(), Error> {
    Ok(())
}

fn prompt(wanted: Wanted, question: &str) -> Result<Secret, Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::SecretMissing { what: wanted.what, ways: wanted.ways });
    }
    let typed = rpassword::prompt_password(question)
        .map_err(|error| Error::Internal { what: "The prompt", problem: error.to_string() })?;
    not_empty(wanted, Zeroizing::new(typed))
}

fn not_empty(wanted: Wanted, secret: Secret) -> Result<Secret, Error> {
    if secret.is_empty() { Err(Error::SecretEmpty { what: wanted.what }) } else { Ok(secret) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    fn secret_file(text: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, file)
    }

    #[test]
    fn the_first_line_of_a_private_file_is_the_secret() {
        let (_folder, file) = secret_file(b"open sesame\r\nnot this\n", 0o600);
        assert_eq!(*read(PASSPHRASE, Some(&file)).unwrap(), "open sesame");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_folder, file) = secret_file(b"open sesame\n", 0o640);
        assert!(matches!(read(PASSPHRASE, Some(&file)), Err(Error::SecretExposed { mode: 0o640, .. })));
    }

    #[test]
    fn an_empty_first_line_is_no_secret() {
        let (_folder, file) = secret_file(b"\nsecond\n", 0o600);
        assert!(matches!(read(PASSPHRASE, Some(&file)), Err(Error::SecretEmpty { .. })));
    }

    #[test]
    fn a_missing_or_binary_file_is_named() {
        let (folder, file) = secret_file(&[0xff, 0xfe], 0o600);
        assert!(matches!(read(PASSPHRASE, Some(&file)), Err(Error::SecretFile { .. })));
        let missing = folder.path().join("none");
        assert!(matches!(read(PASSPHRASE, Some(&missing)), Err(Error::SecretFile { .. })));
    }
}
