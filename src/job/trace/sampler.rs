//! Which traces are recorded.

use super::context::TraceId;

/// Records this share of all traces. A trace that somebody else began is recorded if that was decided there, unless the
/// decision does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sampler {
    /// From 0 to 1.
    pub ratio: f64,
    /// Does the decision of who began the trace count?
    pub is_parent_based: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { ratio: 1.0, is_parent_based: true }
    }
}

impl Sampler {
    /// Records this share, from 0 to 1, of the traces that nobody has decided about.
    #[must_use]
    pub fn of_ratio(ratio: f64) -> Self {
        Self { ratio, ..Self::default() }
    }

    /// Is this trace recorded? `parent`: what was decided before. All who sample by the same ratio decide alike, because
    /// only the trace's id counts.
    #[must_use]
    pub fn samples(&self, trace: &TraceId, parent: Option<bool>) -> bool {
        if let Some(parent) = parent.filter(|_| self.is_parent_based) {
            return parent;
        }
        // 53 bits, as many as a ratio has.
        let [.., a, b, c, d, e, f, g, h] = *trace;
        let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]) << 1 >> 11;
        let (high, low) =
            (u32::try_from(drawn >> 32).unwrap_or(u32::MAX), u32::try_from(drawn & 0xffff_ffff).unwrap_or(u32::MAX));
        let drawn = f64::from(high) * 4_294_967_296.0 + f64::from(low);
        drawn < self.ratio * 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_recorded_and_parents_decide() {
        let trace = |low: u64| {
            let mut trace = [7; 16];
            trace[8..].copy_from_slice(&low.to_be_bytes());
            trace
        };
        let (all, none, half) = (Sampler::of_ratio(1.0), Sampler::of_ratio(0.0), Sampler::of_ratio(0.5));
        for low in [0, 1, u64::MAX >> 1, u64::MAX] {
            assert!(all.samples(&trace(low), None) && !none.samples(&trace(low), None), "{low}");
            assert!(none.samples(&trace(low), Some(true)) && !all.samples(&trace(low), Some(false)), "{low}");
            let stubborn = Sampler { is_parent_based: false, ..none };
            assert!(!stubborn.samples(&trace(low), Some(true)));
        }
        // Of the ids that others make the highest bit says nothing about the order.
        assert!(half.samples(&trace((1 << 62) - 1), None) && !half.samples(&trace(1 << 62), None));
        let sampled =
            (0..1000_u64).filter(|n| half.samples(&trace(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), None)).count();
        assert!((450..550).contains(&sampled), "{sampled}");
    }
}
