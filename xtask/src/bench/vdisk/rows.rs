//! Which comparisons the table holds, with the bars of the issue tracker.

use super::Programs;
use super::files::Files;
use super::step::Step;
use super::table::{Bar, Row};

/// Writes of the row of random writes, and how many of them lie between two flushes.
const WRITES: u32 = 4096;
const WRITES_PER_FLUSH: u32 = 64;

/// All rows; those whose programs are not here are told as missing.
pub(super) fn rows(programs: &Programs, files: &Files) -> Vec<Row> {
    let mut rows = reading(programs, files);
    rows.extend(creating(programs, files));
    rows.extend(random_writes(programs, files));
    rows.extend(listing(programs, files));
    rows
}

fn reading(programs: &Programs, files: &Files) -> Vec<Row> {
    let (vhdx, raw) = (files.vhdx.display(), files.full.display());
    let cat = || Step::of(&format!("cat {vhdx}"));
    let mode = |mode: &str| programs.step("tool_speed", &[mode.as_ref(), &files.vhdx]);
    let to_nothing = || mode("nothing");
    let null = format!("driver=null-co,size={}", files.capacity);
    vec![
        Row {
            what: "sequential virtual read, one thread, against cat",
            ours: programs.step("read_speed", &[&files.vhdx]),
            peer: cat(),
            bar: Bar::AtMost(1.15),
        },
        Row {
            what: "read and zero detection, against cat",
            ours: mode("zero"),
            peer: cat(),
            bar: Bar::AtMost(1.6),
        },
        Row {
            what: "BLAKE3 of the disk, against b3sum of the raw bytes",
            ours: mode("blake3"),
            peer: Step::of(&format!("b3sum {raw}")),
            bar: Bar::AtMost(1.0),
        },
        Row {
            what: "VHDX to nothing, against qemu-img convert to null-co",
            ours: to_nothing(),
            peer: Step::of(&format!("qemu-img convert -n -f vhdx --target-image-opts {vhdx} {null}")),
            bar: Bar::Faster(5.0),
        },
        Row {
            what: "VHDX to nothing, against vhdimount and dd",
            ours: to_nothing(),
            peer: mounted_by(
                "vhdimount",
                files,
                &format!("vhdimount {vhdx} {{}} >/dev/null"),
                "dd if={}/vhdi1 of=/dev/null bs=1M status=none",
            ),
            bar: Bar::None,
        },
        Row {
            what: "VHDX to nothing, against qemu-nbd and nbdcopy",
            ours: to_nothing(),
            peer: Step::of(&format!("nbdcopy -- [ qemu-nbd -r -f vhdx {vhdx} ] null:")),
            bar: Bar::None,
        },
    ]
}

fn creating(programs: &Programs, files: &Files) -> Vec<Row> {
    let (ours, theirs) = (files.memory.join("ours.vhdx"), files.memory.join("theirs.vhdx"));
    let create = || programs.step("tool_speed", &["convert".as_ref(), &files.raw, &ours]).making(&ours);
    let options = "-f raw -O vhdx -o subformat=dynamic,block_size=2M";
    let qemu = Step::of(&format!("qemu-img convert {options} {} {}", files.raw.display(), theirs.display()));
    vec![
        Row {
            what: "create VHDX from raw in memory, against cat of the VHDX",
            ours: create(),
            peer: Step::of(&format!("cat {}", files.vhdx.display())).printing_to(&theirs),
            bar: Bar::AtMost(1.3),
        },
        Row {
            what: "create VHDX from raw in memory, against qemu-img convert",
            ours: create(),
            peer: qemu.making(&theirs),
            bar: Bar::Faster(2.0),
        },
    ]
}

/// Random guest writes of 4 KiB into a VHDX with a flush after so many. qemu-img bench steps by a number of pages
/// that shares no factor with the disk, which visits it without order.
fn random_writes(programs: &Programs, files: &Files) -> Vec<Row> {
    let (ours, theirs) = (files.vhdx.with_extension("ours"), files.vhdx.with_extension("theirs"));
    let step = 4096_u64 * 10_007;
    let count = WRITES.to_string();
    let flush = WRITES_PER_FLUSH.to_string();
    let bench =
        format!("qemu-img bench -w -f vhdx -c {count} -d 1 -s 4096 -S {step} --flush-interval {flush}");
    vec![Row {
        what: "random writes of 4 KiB with the log, against qemu-img bench -w",
        ours: programs
            .step("random_writes", &[&ours, count.as_ref(), flush.as_ref(), step.to_string().as_ref()])
            .changing(&ours, &files.vhdx),
        peer: Step::of(&format!("{bench} {}", theirs.display())).changing(&theirs, &files.vhdx),
        bar: Bar::Faster(1.5),
    }]
}

fn listing(programs: &Programs, files: &Files) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(image) = &files.ntfs {
        let mount = format!("ntfs-3g -o ro {} {{}}", image.display());
        rows.push(Row {
            what: "list 100,000 files of NTFS with sizes and times, against ntfs-3g and find",
            ours: programs.step("list_ntfs", &[image, "metadata".as_ref()]),
            peer: mounted_by("ntfs-3g", files, &mount, "find {} -printf '%p %s %T@\\n' >/dev/null"),
            bar: Bar::AtMost(1.0),
        });
    }
    if let Some(image) = &files.ext4 {
        let mount = format!("mount -o loop,ro {} {{}}", image.display());
        rows.push(Row {
            what: "list 100,000 files of ext4 with sizes and times, against loop mount and find",
            ours: programs.step("list_linux", &[image, "--metadata".as_ref()]),
            peer: mounted_by("mount", files, &mount, "find {} -printf '%p %s %T@\\n' >/dev/null"),
            bar: Bar::AtMost(1.0),
        });
    }
    rows
}

/// Mounts, does something and unmounts; missing where the program is. `{}` stands for the folder.
fn mounted_by(program: &str, files: &Files, mount: &str, work: &str) -> Step {
    let folder = files.mount.display().to_string();
    let script = format!("{mount}; {work}; umount {{}}").replace("{}", &folder);
    let known = Step::of(program);
    if known.is_there() { Step::shell(script) } else { known }
}
