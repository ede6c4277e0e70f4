//! Sealing (AES-256-GCM through aws-lc-rs) and the keys derived from the root key.
//!
//! One key seals one pack or one object, derived from a 32-byte random salt; nonces can therefore be
//! plain counters. That choice survives cloned machines, restored snapshots and many writers without
//! any shared state. docs/formats/repository.md section 3.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::name::ChunkId;
use crate::secret::KeyBytes;

/// Bytes that sealing adds.
pub(crate) const TAG_BYTES: usize = 16;
/// A salt names a derived key.
pub(crate) type Salt = [u8; 32];

const ID_CONTEXT: &str = "refpoint repository v1 chunk identity";
const PACK_MASTER_CONTEXT: &str = "refpoint repository v1 pack master";
const PACK_CONTEXT: &str = "refpoint repository v1 pack key";
const OBJECT_MASTER_CONTEXT: &str = "refpoint repository v1 object master";
const OBJECT_CONTEXT: &str = "refpoint repository v1 object key";

/// Fresh random bytes for a salt, an id or a key.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(bytes)
}

/// All keys of an unlocked repository.
pub(crate) struct Keys {
    root: KeyBytes,
    id: KeyBytes,
    pack_master: KeyBytes,
    object_master: KeyBytes,
}

impl Keys {
    pub(crate) fn from_root(root: KeyBytes) -> Self {
        let derive = |context| Zeroizing::new(blake3::derive_key(context, root.as_slice()));
        let (id, pack_master) = (derive(ID_CONTEXT), derive(PACK_MASTER_CONTEXT));
        let object_master = derive(OBJECT_MASTER_CONTEXT);
        Self { root, id, pack_master, object_master }
    }

    pub(crate) fn root(&self) -> &KeyBytes {
        &self.root
    }

    pub(crate) fn chunk_id(&self, plain: &[u8]) -> ChunkId {
        let hash = blake3::keyed_hash(&self.id, plain);
        let mut id = [0_u8; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        ChunkId(id)
    }

    pub(crate) fn pack_key(&self, salt: &Salt) -> SealKey {
        derive_salted(PACK_CONTEXT, &self.pack_master, salt)
    }

    pub(crate) fn object_key(&self, salt: &Salt) -> SealKey {
        derive_salted(OBJECT_CONTEXT, &self.object_master, salt)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn derive_salted(context: &'static str, master: &KeyBytes, salt: &Salt) -> SealKey {
    let mut material = Zeroizing::new([0_u8; 64]);
    material[..32].copy_from_slice(master.as_slice());
    material[32..].copy_from_slice(salt);
    SealKey::new(&Zeroizing::new(blake3::derive_key(context, material.as_slice())))
}

/// A key for one pack, object or key slot.
pub(crate) struct SealKey(LessSafeKey);

impl SealKey {
    #[expect(clippy::expect_used, reason = "the only failure is a key of another length than 32")]
    pub(crate) fn new(key: &KeyBytes) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("a 256-bit key");
        Self(LessSafeKey::new(key))
    }

    /// Seals in place and appends the tag.
    pub(crate) fn seal(&self, nonce: u32, aad: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        self.0
            .seal_in_place_append_tag(nonce_of(nonce), Aad::from(aad), bytes)
            .map_err(|_| Error::internal("sealing was refused by the cryptographic library"))
    }

    /// Opens in place; `None` when the tag does not match.
    pub(crate) fn open<'a>(&self, nonce: u32, aad: &[u8], bytes: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce_of(nonce), Aad::from(aad), bytes).ok()
    }
}

fn nonce_of(number: u32) -> Nonce {
    let mut nonce = [0_u8; 12];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_only_with_their_key_nonce_and_name() {
        let keys = Keys::from_root(Zeroizing::new([1; 32]));
        let mut sealed = b"payload".to_vec();
        keys.pack_key(&[2; 32]).seal(3, b"name", &mut sealed).unwrap();
        let open = |key: SealKey, nonce, aad: &[u8]| key.open(nonce, aad, &mut sealed.clone()).is_some();
        assert!(open(keys.pack_key(&[2; 32]), 3, b"name"));
        assert!(!open(keys.pack_key(&[3; 32]), 3, b"name"));
        assert!(!open(keys.object_key(&[2; 32]), 3, b"name"));
        assert!(!open(keys.pack_key(&[2; 32]), 4, b"name"));
        assert!(!open(keys.pack_key(&[2; 32]), 3, b"eman"));
    }

    #[test]
    fn identities_depend_on_the_repository() {
        let one = Keys::from_root(Zeroizing::new([1; 32]));
        let other = Keys::from_root(Zeroizing::new([2; 32]));
        assert_eq!(one.chunk_id(b"x"), one.chunk_id(b"x"));
        assert_ne!(one.chunk_id(b"x"), other.chunk_id(b"x"));
        assert_eq!(format!("{one:?}"), "Keys(…)");
    }
}
