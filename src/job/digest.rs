//! FNV-1a: a digest that is the same in every version and on every machine. Not for secrets.

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The digest of these bytes.
#[must_use]
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    seeded(0, bytes)
}

/// The digest of these bytes, another one for each seed.
#[must_use]
pub fn seeded(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(BASIS ^ seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Spreads the last bytes' influence over all digits: the first half of murmur3's finish.
#[must_use]
pub fn spread(hash: u64) -> u64 {
    (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_earlier_versions_stored() {
        assert_eq!(fnv1a(*b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
        assert_ne!(seeded(1, *b"foobar"), fnv1a(*b"foobar"));
    }
}
