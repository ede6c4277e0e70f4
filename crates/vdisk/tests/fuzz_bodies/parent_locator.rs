//! Target `parent_locator`: the bytes are the parent locator item of a child.

use std::sync::LazyLock;

use vdisk::Disk;

use super::oracle::{check_disk, check_error, sealed};
use super::plain::{ITEMS, Plain};
use super::vhdx_open::{CHILD, PARENT};

/// Longer ones say nothing new.
const ITEM_BYTES_MAX: usize = 4096;

static PLAIN: LazyLock<Plain> = LazyLock::new(|| CHILD.clone());

pub fn body(bytes: &[u8]) {
    let item = &bytes[..bytes.len().min(ITEM_BYTES_MAX)];
    if item.is_empty() {
        return;
    }
    let plain = Plain { locator: Some(item.to_vec()), ..PLAIN.clone() };
    assert!(item.len() < 0x9_0000 && ITEMS > 0);
    let mut seen = None;
    let opened = Disk::open_with(sealed(&plain.file("child.avhdx")), &mut |locator| {
        let clean = |text: &Option<String>| text.as_ref().is_none_or(|text| !text.contains('\0'));
        assert!(
            clean(&locator.relative_path) && clean(&locator.volume_path) && clean(&locator.absolute_path)
        );
        seen = Some(locator.clone());
        Ok(sealed(&PARENT.file("parent.vhdx")))
    });
    match opened {
        Ok(disk) => {
            let locator = disk.layers().next().and_then(|layer| layer.parent).expect("a child has a locator");
            assert!(seen.is_some_and(|seen| format!("{seen:?}") == format!("{locator:?}")));
            check_disk(&disk);
        }
        Err(error) => check_error(&error),
    }
}
