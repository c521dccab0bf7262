//! A hash that is the same in every version: blobs are indexed by it, so that a search by bytes does not read every row,
//! and processes derive a common name from it.

use crate::job::digest::fnv1a;

/// FNV-1a, 64 bits. Different bytes may have equal digests, so a search compares the bytes as well.
pub(super) fn digest(bytes: &[u8]) -> i64 {
    fnv1a(bytes.iter().copied()).cast_signed()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_digest_is_what_earlier_versions_stored() {
        assert_eq!(super::digest(b"").cast_unsigned(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::digest(b"foobar").cast_unsigned(), 0x8594_4171_f739_67e8);
    }
}
