//! `refpoint disk digest`: one number for the bytes of a whole disk.

use aws_lc_rs::digest::{Context as Sha2, SHA256};
use clap::{Args, ValueEnum};
use serde::Serialize;
use vdisk::{ByteRange, Disk, Watch};

use super::source::Source;
use super::work::watched;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::View;
use crate::report::Outcome;

/// Print the digest of a disk's bytes, as if it were a raw file
///
/// The same bytes have the same digest in every format; it equals what `b3sum` or `sha256sum` prints for the raw
/// image. BLAKE3 uses all processors; SHA-256 can only use one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk digest sql01.vhdx
  refpoint disk digest sql01.vhdx --algorithm sha256
  refpoint disk digest sql01.img --raw")]
pub(crate) struct DigestArgs {
    #[command(flatten)]
    source: Source,
    /// How to compute it
    #[arg(long, value_enum, default_value_t = Algorithm::Blake3)]
    #[arg(value_name = "blake3|sha256", hide_possible_values = true)]
    algorithm: Algorithm,
}

#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    Blake3,
    Sha256,
}

#[derive(Debug, Serialize)]
struct DigestView {
    algorithm: Algorithm,
    digest: String,
    file: String,
    capacity_bytes: u64,
}

/// Runs `refpoint disk digest`.
pub(super) async fn run(context: &Context, args: &DigestArgs) -> Outcome<Exit> {
    let disk = args.source.open()?;
    let (algorithm, capacity_bytes) = (args.algorithm, disk.capacity());
    let digest = watched(context, capacity_bytes, "reading", move |watch| match algorithm {
        Algorithm::Blake3 => disk.blake3(watch),
        Algorithm::Sha256 => sha256(&disk, watch),
    })
    .await?;
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = args.source.file.display().to_string();
    context.output.show(&DigestView { algorithm, digest, file, capacity_bytes });
    Ok(Exit::Done)
}

fn sha256(disk: &Disk, watch: &Watch<'_>) -> vdisk::Result<[u8; 32]> {
    let mut hash = Sha2::new(&SHA256);
    disk.read_stretches(ByteRange::new(0, disk.capacity()), watch, &mut |bytes| hash.update(bytes))?;
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    Ok(digest)
}

impl View for DigestView {
    /// The form that `b3sum --check` and `sha256sum --check` read.
    fn text(&self) -> String {
        format!("{}  {}\n", self.digest, self.file)
    }
}
