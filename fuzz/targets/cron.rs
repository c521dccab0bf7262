//! Cron expressions: the expression, its zone and a second, a line each.

use windlass::task::calendar::Calendar;

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let expression = lines.next().unwrap_or_default();
    let zone = lines.next().filter(|zone| !zone.is_empty());
    let second = lines.next().and_then(|second| second.parse().ok()).unwrap_or(1_795_490_778);
    let Ok(calendar) = Calendar::parse(expression, zone) else { return };
    assert_eq!(calendar.expression(), expression);
    let mut now: i64 = second;
    for _ in 0..3 {
        if let Some(latest) = calendar.latest(now) {
            assert!(latest <= now, "{latest} is after {now}");
        }
        let Some(next) = calendar.after(now) else { return };
        assert!(next > now, "{next} is not after {now}");
        now = next;
    }
}
