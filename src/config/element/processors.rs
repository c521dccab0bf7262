//! The number of processors of a pool.

/// The largest number of processors. A larger one is taken for a mistake.
pub const MAX_PROCESSORS: u64 = 10_000;

/// The bounds of a pool, by ActionHero's rule: 0 and 0 is no pool, 0 and N is 1 to N.
///
/// # Errors
/// If the maximum is less than the minimum.
pub fn bounds(min: usize, max: usize) -> Result<(usize, usize), String> {
    match (min, max) {
        (0, 0) => Ok((0, 0)),
        (0, max) => Ok((1, max)),
        (min, 0) => Err(format!("expected at least min_task_processors, {min} (found 0); for no pool set both to 0")),
        (min, max) if max < min => Err(format!("expected at least min_task_processors, {min} (found {max})")),
        bounds => Ok(bounds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_at_least_one_processor_or_does_not_exist() {
        assert_eq!(bounds(0, 0), Ok((0, 0)));
        assert_eq!(bounds(0, 5), Ok((1, 5)));
        assert_eq!(bounds(2, 2), Ok((2, 2)));
        assert_eq!(bounds(3, 2), Err("expected at least min_task_processors, 3 (found 2)".to_owned()));
        assert!(bounds(1, 0).is_err());
    }
}
