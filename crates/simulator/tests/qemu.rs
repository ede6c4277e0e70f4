//! A second opinion on the disk files that the simulated host writes: `qemu-img` finds no damage, and reads the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::process::Command;

use support::{Lab, MIB};

mod support;

fn qemu_img(arguments: &[&str]) {
    let output = Command::new("qemu-img").args(arguments).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "qemu-img {arguments:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_accepts_frozen_and_merged_files() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 0, &[1; 100 * 512]).unwrap();
    guest.write(0, 33 * MIB - 512, &[2; 2 * 512]).unwrap();
    let checkpoint = lab.checkpoint(vm).await;
    guest.write(0, 512, &[3; 512]).unwrap();
    guest.write(0, 50 * MIB, &[4; 65536]).unwrap();
    guest.write_zeroes(0, &(0..512)).unwrap();

    let file = lab.local(&lab.disk_files(&checkpoint).await[0]);
    let file = file.to_str().unwrap();
    qemu_img(&["check", "-q", "-f", "vhdx", file]);

    lab.convert(&checkpoint).await;
    lab.merged(vm).await;
    guest.flush().unwrap();
    qemu_img(&["check", "-q", "-f", "vhdx", file]);
    let raw = lab.folder.path().join("expected.raw");
    let expected = lab.host.expected(vm, 0, None).unwrap();
    let mut bytes = vec![0; usize::try_from(expected.capacity()).unwrap()];
    expected.read_at(0, &mut bytes).unwrap();
    std::fs::write(&raw, bytes).unwrap();
    qemu_img(&["compare", "-q", "-f", "raw", "-F", "vhdx", raw.to_str().unwrap(), file]);
}
