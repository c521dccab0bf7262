//! Identities beside jobs.

use windlass::job::{ClaimToken, Identity};

pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(identity) = Identity::decode(text) {
            assert_eq!(Identity::decode(&identity.encode()), Some(identity));
        }
        let claim = ClaimToken::as_stored(text);
        let _ = (claim.order(), claim.instance());
    }
}
