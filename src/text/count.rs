//! Numbers with what they count.

use std::fmt::Display;

/// `1 job`, `2 jobs`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0_u64, 1, 2].map(|number| counted(number, "job", "jobs")), ["0 jobs", "1 job", "2 jobs"]);
    }
}
