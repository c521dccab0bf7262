//! JSON as ECMAScript writes it.

use windlass::job::ecma::canonical;

pub fn target(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(once) = canonical(text)
    {
        assert_eq!(canonical(&once).as_ref(), Ok(&once));
    }
}
