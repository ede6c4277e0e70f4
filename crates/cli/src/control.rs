//! How a second terminal speaks to a running lab: one line each way over a Unix socket in the lab's folder.
//!
//! A socket rather than a signal, because the answer matters: the caller learns what the guest wrote, or why not.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::error::Error;

/// Longer than any request or answer.
const LINE_BYTES_MAX: u64 = 4096;

/// A guest's changes take a second or two; a lab that is silent for longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// Let the guest of this virtual machine change files.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriteRequest {
    pub vm: String,
}

/// What the guest did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    pub vm: String,
    pub files: u64,
    pub database_pages: u64,
    pub written_bytes: u64,
}

/// The answer of the lab.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Written(Written),
    Refused(String),
}

/// The end that listens; its socket goes away with it.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens in the lab's folder.
    pub(crate) fn listen(folder: &Path) -> Result<Self, Error> {
        let path = socket_path(folder);
        let listener = UnixListener::bind(&path).map_err(|source| Error::File {
            path: path.clone(),
            action: "opened for `refpoint lab write`",
            source,
        })?;
        Ok(Self { listener, path })
    }

    /// The next caller with a readable request; others are dropped.
    pub(crate) async fn next(&self) -> (WriteRequest, UnixStream) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let mut reader = BufReader::new(stream);
            let request = read_line(&mut reader).await.ok().and_then(|line| serde_json::from_str(&line).ok());
            if let Some(request) = request {
                return (request, reader.into_inner());
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Sends the answer; a caller that went away is no matter.
pub(crate) async fn answer(mut stream: UnixStream, answer: &Answer) {
    let line = serde_json::to_string(answer).unwrap_or_default() + "\n";
    let _ = stream.write_all(line.as_bytes()).await;
}

/// Asks a running lab to let its guest write.
pub(crate) async fn ask(folder: &Path, request: &WriteRequest) -> Result<Written, Error> {
    let problem = |problem: String| Error::Lab { action: "be reached", problem };
    let path = socket_path(folder);
    let asked = async {
        let mut stream = UnixStream::connect(&path).await?;
        let line = serde_json::to_string(request).unwrap_or_default() + "\n";
        stream.write_all(line.as_bytes()).await?;
        read_line(&mut BufReader::new(stream)).await
    };
    let line = match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(problem(format!("{}: {error}", path.display()))),
        Err(_) => return Err(problem(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
    };
    match serde_json::from_str(&line) {
        Ok(Answer::Written(written)) => Ok(written),
        Ok(Answer::Refused(problem)) => {
            let problem = problem.trim_end_matches('.').to_owned();
            Err(Error::Lab { action: "let the guest write", problem })
        }
        Err(error) => Err(problem(format!("its answer is not understood: {error}"))),
    }
}

fn socket_path(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

async fn read_line(reader: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line).await?;
    Ok(line)
}
