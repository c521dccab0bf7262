//! A hash that stays the same: blobs are indexed by it, so that a search by bytes need not read
//! every row, and processes agree on a name by it.

use crate::job::digest::fnv1a;

/// FNV-1a, 64 bits: stable over versions and machines, as what is stored in a file must be. Equal
/// bytes have equal digests; whoever searches compares the bytes as well.
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
