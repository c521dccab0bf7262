//! Delays between attempts: pure functions of the attempt's number.

use std::time::Duration;

/// Exponential delay before attempt `n` (0 is the first retry): `base * 2^n`, never above `cap`,
/// then shortened by up to a quarter according to `jitter` (0.0 to 1.0, usually random).
#[must_use]
pub fn exponential(n: u32, base: Duration, cap: Duration, jitter: f64) -> Duration {
    let factor = 2u32.saturating_pow(n.min(31));
    let full = base.saturating_mul(factor).min(cap);
    full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let base = Duration::from_millis(100);
        let cap = Duration::from_secs(5);
        let delays: Vec<_> = (0..8).map(|n| exponential(n, base, cap, 0.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(exponential(u32::MAX, base, cap, 0.0), cap);
    }

    #[test]
    fn jitter_only_shortens() {
        let base = Duration::from_secs(1);
        assert_eq!(exponential(0, base, base, 1.0), Duration::from_millis(750));
        assert_eq!(exponential(0, base, base, 7.0), Duration::from_millis(750));
    }
}
