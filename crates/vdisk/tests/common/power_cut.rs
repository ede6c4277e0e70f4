//! Power cuts: a file that records every write, and the images that a cut could have left of it.
//!
//! What a flush that returned covers is there after a cut. Of what came later, any part may be there:
//! each write, each 512-byte sector of a write, and each change of the length, in any combination,
//! because disks and caches reorder. [`Record::images`] builds them: every combination while there are
//! few, a seeded sample and all prefixes when there are many.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use vdisk::FileIo;

const PAGE: usize = 4096;
/// Operations between two flushes of which every combination is tried.
const ALL_SUBSETS_UP_TO: usize = 6;
/// Combinations tried of a longer window, at each of its positions.
const SAMPLES: u64 = 6;

/// One change of a file.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
    Flush,
}

/// A sparse file whose copies are cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bytes {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

impl Bytes {
    pub(crate) fn of(file: &dyn FileIo) -> Self {
        let mut bytes = Self { len: file.len().unwrap(), ..Self::default() };
        let mut page = [0; PAGE];
        for number in 0..bytes.len.div_ceil(PAGE as u64) {
            let at = number * PAGE as u64;
            let part = &mut page[..(bytes.len - at).min(PAGE as u64) as usize];
            file.read_at(at, part).unwrap();
            bytes.write(at, part);
        }
        bytes
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (number, inside) = (at / PAGE as u64, at as usize % PAGE);
            let part = &data[done..data.len().min(done + PAGE - inside)];
            if self.pages.contains_key(&number) || part.iter().any(|byte| *byte != 0) {
                let page = self.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE]));
                Arc::make_mut(page)[inside..inside + part.len()].copy_from_slice(part);
            }
            done += part.len();
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let inside = at as usize % PAGE;
            let end = buf.len().min(done + PAGE - inside);
            let part = &mut buf[done..end];
            match self.pages.get(&(at / PAGE as u64)) {
                Some(page) => part.copy_from_slice(&page[inside..inside + part.len()]),
                None => part.fill(0),
            }
            done = end;
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE as u64)));
            if let Some(page) = self.pages.get_mut(&(len / PAGE as u64)) {
                Arc::make_mut(page)[len as usize % PAGE..].fill(0);
            }
        }
        self.len = len;
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(offset, data) => self.write(*offset, data),
            Op::SetLen(len) => self.set_len(*len),
            Op::Flush => {}
        }
    }
}

impl PartialEq for Bytes {
    /// Equal bytes; pages of zeros count as holes.
    fn eq(&self, other: &Self) -> bool {
        let pages = |bytes: &Self| {
            let is_hole = |page: &[u8; PAGE]| page.iter().all(|byte| *byte == 0);
            let used = bytes.pages.iter().filter(|(_, page)| !is_hole(page));
            used.map(|(number, page)| (*number, Arc::clone(page))).collect::<Vec<_>>()
        };
        self.len == other.len && pages(self) == pages(other)
    }
}

/// What goes wrong with one operation of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails and changes nothing.
    Fails(io::ErrorKind),
    /// Half of the bytes are written, then it fails.
    Short,
}

/// A file that records its changes, and fails where it is told to.
#[derive(Debug, Clone)]
pub(crate) struct RecordingFile {
    name: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Bytes,
    ops: Vec<Op>,
    /// Operations until the fault, the fault, and whether it stays.
    fault: Option<(usize, Fault, bool)>,
    calls: usize,
}

impl RecordingFile {
    pub(crate) fn new(name: &str) -> Self {
        Self::over(name, Bytes::default())
    }

    pub(crate) fn over(name: &str, bytes: Bytes) -> Self {
        let state = State { bytes, ..State::default() };
        Self { name: name.to_owned(), state: Arc::new(Mutex::new(state)) }
    }

    /// A fault at the operation after `calls` more; with `stays`, at all later ones too.
    pub(crate) fn failing(self, calls: usize, fault: Fault, stays: bool) -> Self {
        self.state.lock().unwrap().fault = Some((calls, fault, stays));
        self
    }

    /// Changes and flushes asked for so far.
    pub(crate) fn position(&self) -> usize {
        self.state.lock().unwrap().ops.len()
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.state.lock().unwrap().ops.clone()
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.state.lock().unwrap().bytes.clone()
    }

    pub(crate) fn io(&self) -> Arc<dyn FileIo> {
        Arc::new(self.clone())
    }

    fn change(&self, op: Op) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let call = state.calls;
        state.calls += 1;
        if let Some((at, fault, stays)) = state.fault
            && (call == at || (stays && call > at))
        {
            if let (Fault::Short, Op::Write(offset, data)) = (fault, &op) {
                let half = Op::Write(*offset, data[..data.len() / 2].into());
                state.bytes.apply(&half);
                state.ops.push(half);
            }
            return Err(match fault {
                Fault::Fails(kind) => kind.into(),
                Fault::Short => io::ErrorKind::WriteZero.into(),
            });
        }
        state.bytes.apply(&op);
        state.ops.push(op);
        Ok(())
    }
}

impl FileIo for RecordingFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().bytes.len)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.state.lock().unwrap().bytes.read(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Op::Write(offset, data.into()))
    }
    fn flush(&self) -> io::Result<()> {
        self.change(Op::Flush)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::SetLen(len))
    }
    fn name(&self) -> &str {
        &self.name
    }
}

/// Calls `check(position, image)` for every image that a cut after `position` operations may leave,
/// for each position. Returns how many there were.
pub(crate) fn cut_everywhere(start: &Bytes, ops: &[Op], seed: u64, check: impl FnMut(usize, Bytes)) -> usize {
    cut_at(start, ops, seed, |_| true, check)
}

/// As [`cut_everywhere`], at the chosen positions.
pub(crate) fn cut_at(
    start: &Bytes,
    ops: &[Op],
    seed: u64,
    mut chosen: impl FnMut(usize) -> bool,
    mut check: impl FnMut(usize, Bytes),
) -> usize {
    let mut random = Random(seed);
    let mut durable = start.clone();
    let (mut window_start, mut images) = (0, 0);
    for position in 0..=ops.len() {
        if position > 0 && matches!(ops[position - 1], Op::Flush) {
            ops[window_start..position].iter().for_each(|op| durable.apply(op));
            window_start = position;
        }
        if !chosen(position) {
            continue;
        }
        for image in images_of(&durable, &ops[window_start..position], &mut random) {
            images += 1;
            check(position, image);
        }
    }
    images
}

/// The images of one window, whose last operation is new: all of it, all of it with that one torn, and
/// combinations that leave some of the others out.
fn images_of(durable: &Bytes, window: &[Op], random: &mut Random) -> Vec<Bytes> {
    let build = |keep: &mut dyn FnMut(usize) -> Keep| {
        let mut image = durable.clone();
        for (at, op) in window.iter().enumerate() {
            keep(at).apply(op, &mut image);
        }
        image
    };
    let mut images = vec![build(&mut |_| Keep::All)];
    let Some(others) = window.len().checked_sub(1) else { return images };
    for torn in [Keep::Front, Keep::Back, Keep::Sectors(random.next())] {
        images.push(build(&mut |at| if at == others { torn } else { Keep::All }));
    }
    if others <= ALL_SUBSETS_UP_TO {
        images.extend((0..(1u64 << others) - 1).map(|subset| {
            build(&mut |at| if at == others || subset >> at & 1 == 1 { Keep::All } else { Keep::None })
        }));
    } else {
        for _ in 0..SAMPLES {
            let seed = random.next();
            let mut choice = Random(seed);
            images.push(build(&mut |_| match choice.next() % 5 {
                0 | 1 => Keep::None,
                2 => Keep::Sectors(choice.next()),
                _ => Keep::All,
            }));
        }
    }
    images
}

/// How much of an operation survives.
#[derive(Debug, Clone, Copy)]
enum Keep {
    All,
    None,
    /// The first 512-byte sectors up to the middle.
    Front,
    Back,
    /// Sectors by the bits of a seed.
    Sectors(u64),
}

impl Keep {
    fn apply(self, op: &Op, image: &mut Bytes) {
        let Op::Write(offset, data) = op else {
            if matches!(self, Self::All) {
                image.apply(op);
            }
            return;
        };
        let count = data.len().div_ceil(512);
        let mut random = Random(if let Self::Sectors(seed) = self { seed } else { 0 });
        for (at, sector) in data.chunks(512).enumerate() {
            let kept = match self {
                Self::All => true,
                Self::None => false,
                Self::Front => at < count / 2,
                Self::Back => at >= count / 2,
                Self::Sectors(_) => random.below(2) == 0,
            };
            if kept {
                image.write(offset + at as u64 * 512, sector);
            }
        }
    }
}

/// A small seeded generator (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
