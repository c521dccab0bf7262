//! The next second of every sort of expression, and every change of clocks of several zones against a slow oracle.

use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, Offset, TimeZone, Timelike, Utc};

use super::*;

#[test]
fn the_next_second_comes_after_the_given_one() {
    let calendar = Calendar::parse("*/10 * * * * *", None).unwrap();
    assert_eq!(calendar.after(1_795_490_770), Some(1_795_490_780));
    let daily = Calendar::parse("30 7 * * *", Some("Europe/Berlin")).unwrap();
    // 2026-11-24 03:26:18 UTC; half past seven in Berlin is 06:30 UTC.
    assert_eq!(daily.after(1_795_490_778), Some(1_795_501_800));
}

#[test]
fn names_ranges_steps_and_nicknames_are_known() {
    let next = |expression| Calendar::parse(expression, None).unwrap().after(1_795_490_778).unwrap();
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp();
    assert_eq!(next("0 9 * * MON-FRI"), at("2026-11-24T09:00:00Z"));
    assert_eq!(next("0 0 1 JAN *"), at("2027-01-01T00:00:00Z"));
    assert_eq!(next("5-15/5,50 4 * * *"), at("2026-11-24T04:05:00Z"));
    assert_eq!(next("@daily"), at("2026-11-25T00:00:00Z"));
    assert_eq!(next("@hourly"), at("2026-11-24T04:00:00Z"));
    assert_eq!(next("0 0 L * *"), at("2026-11-30T00:00:00Z"));
    assert_eq!(next("0 0 * * 5#1"), at("2026-12-04T00:00:00Z"));
    // Day of month and day of week, both restricted: either will do, as in cron.
    assert_eq!(next("0 0 13 * FRI"), at("2026-11-27T00:00:00Z"));
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |expression, zone| Calendar::parse(expression, zone).unwrap_err();
    assert_eq!(error("0 0 31 2 *", None), CalendarError::Never);
    assert_eq!(error("* * * * *", Some("Mars/Base")), CalendarError::Zone("Mars/Base".into()));
    for bad in ["61 * * * *", "", "@reboot", "* * *", "* * * * * * * *", "a b c d e", "*/0 * * * *", "5-1 * * * *x"] {
        assert!(matches!(error(bad, None), CalendarError::Expression(_)), "{bad}");
    }
    assert!(matches!(error(&"1,".repeat(100_000), None), CalendarError::Expression(_)));
}

/// The days are looked at without a search, which goes through three thousand years.
#[test]
fn what_has_no_day_is_known_without_a_search() {
    let has_a_day = |expression: &str| {
        super::has_a_day(&CronParser::builder().seconds(Seconds::Optional).build().parse(expression).unwrap())
    };
    for never in ["* * 31 2 *", "* * 30 2 *", "* * 31 4,6,9,11 *", "* * * 30 2 *"] {
        assert!(!has_a_day(never), "{never}");
        assert_eq!(Calendar::parse(never, None), Err(CalendarError::Never), "{never}");
    }
    for ever in ["0 0 29 2 *", "0 0 29 2 +MON", "0 0 L 2 *", "0 0 31W 12 *", "0 0 * 2 MON#5", "@yearly", "* * * * *"] {
        assert!(has_a_day(ever), "{ever}");
    }
}

#[test]
fn rare_days_are_found() {
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp();
    let leap = Calendar::parse("0 0 29 2 *", None).unwrap();
    assert_eq!(leap.after(1_795_490_778), Some(at("2028-02-29T00:00:00Z")));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in ".{0,40}", second in -1_000_000_000_000i64..1_000_000_000_000) {
        if let Ok(calendar) = Calendar::parse(&text, Some("Europe/Berlin")) {
            let _ = calendar.after(second);
        }
    }

    #[test]
    fn what_can_be_read_goes_forward(
        minute in 0u32..60, hour in "(\\*|[0-9]|1[0-9]|2[0-3]|\\*/[1-9])", second in 0i64..4_000_000_000,
    ) {
        let calendar = Calendar::parse(&format!("{minute} {hour} * * *"), Some("America/New_York")).unwrap();
        let next = calendar.after(second).unwrap();
        proptest::prop_assert!(next > second && next - second <= 50 * 3600);
        proptest::prop_assert_eq!(calendar.after(next - 1), Some(next));
    }
}

/// The zones: half-hour changes, Ramadan, a day that was skipped, abolished summer time.
const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Pacific/Apia",
    "UTC",
];

/// Minutes since the epoch at which a zone's offset changes, from 2000 to 2040.
fn transitions(zone: NamedZone) -> Vec<i64> {
    let offset = |minute: i64| {
        let time = DateTime::<Utc>::from_timestamp(minute * 60, 0).unwrap().with_timezone(&zone);
        time.offset().fix().local_minus_utc()
    };
    let (from, to) = (946_684_800 / 60, 2_208_988_800 / 60);
    let mut found = Vec::new();
    let mut hour = from;
    while hour < to {
        let next = hour + 60;
        if offset(hour) != offset(next) {
            found.push((hour + 1..=next).find(|&minute| offset(minute) != offset(minute - 1)).unwrap());
        }
        hour = next;
    }
    found
}

/// What an expression of minute and hour means, minute by minute. Fixed times run once a day: in a gap at its end,
/// in a repeated hour the first time. Others run at each real minute that matches.
fn oracle(zone: NamedZone, fixed: bool, matches: impl Fn(u32, u32) -> bool, from: i64, to: i64) -> Vec<i64> {
    let local =
        |minute: i64| DateTime::<Utc>::from_timestamp(minute * 60, 0).unwrap().with_timezone(&zone).naive_local();
    let hit = |time: NaiveDateTime| matches(time.hour(), time.minute());
    let mut found = Vec::new();
    for minute in from..to {
        let (before, now) = (local(minute - 1), local(minute));
        let repeated = matches!(zone.from_local_datetime(&now), LocalResult::Ambiguous(first, _) if first.timestamp() != minute * 60);
        let plain = hit(now) && !(fixed && repeated);
        let skipped = || {
            let jumped = (now - before).num_minutes();
            (1..jumped).map(|n| before + chrono::TimeDelta::minutes(n)).any(|time| hit(time) && time.day() == now.day())
        };
        if plain || (fixed && skipped()) {
            found.push(minute * 60);
        }
    }
    found
}

#[test]
fn every_change_of_clocks_is_met_as_stated() {
    type Meaning = fn(u32, u32) -> bool;
    let expressions: [(&str, bool, Meaning); 6] = [
        ("30 2 * * *", true, |hour, minute| (hour, minute) == (2, 30)),
        ("0 2 * * *", true, |hour, minute| (hour, minute) == (2, 0)),
        ("30 1 * * *", true, |hour, minute| (hour, minute) == (1, 30)),
        ("0 0 * * *", true, |hour, minute| (hour, minute) == (0, 0)),
        ("*/10 * * * *", false, |_, minute| minute % 10 == 0),
        ("15 */2 * * *", false, |hour, minute| hour % 2 == 0 && minute == 15),
    ];
    for name in ZONES {
        let zone: NamedZone = name.parse().unwrap();
        let transitions = transitions(zone);
        assert_eq!(transitions.is_empty(), name == "UTC");
        for transition in transitions {
            let (from, to) = (transition - 5 * 60, transition + 5 * 60);
            for (expression, fixed, meaning) in expressions {
                let calendar = Calendar::parse(expression, Some(name)).unwrap();
                let mut found = Vec::new();
                let mut last = from * 60 - 1;
                while let Some(next) = calendar.after(last).filter(|next| *next < to * 60) {
                    assert!(next > last);
                    found.push(next);
                    last = next;
                }
                let expected = oracle(zone, fixed, meaning, from, to);
                let when = DateTime::<Utc>::from_timestamp(transition * 60, 0).unwrap();
                assert_eq!(found, expected, "{expression} in {name} around {when}");
            }
        }
    }
}

/// The numbers that a field of plain cron stands for: stars, steps, ranges and lists, as crontab(5) has them.
fn numbers(field: &str, least: u32, most: u32) -> Vec<u32> {
    let item = |item: &str| -> Vec<u32> {
        let (range, step) = item.split_once('/').map_or((item, 1), |(range, step)| (range, step.parse().unwrap()));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
            None if range == "*" => (least, most),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (from..=to).step_by(step).collect()
    };
    field.split(',').flat_map(item).collect()
}

/// Is this minute one of a plain expression in UTC? The rule of days is that of Vixie's cron and cronie: if day or weekday
/// begins with a star, both must match, otherwise one of them.
fn crontab(expression: &str) -> impl Fn(i64) -> bool {
    const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    let fields: Vec<&str> = expression.split(' ').collect();
    let star = fields[2].starts_with('*') || fields[4].starts_with('*');
    let sets: Vec<_> = fields.iter().zip(BOUNDS).map(|(field, (least, most))| numbers(field, least, most)).collect();
    move |second| {
        let time = DateTime::<Utc>::from_timestamp(second, 0).unwrap();
        let is = |at: usize, value: u32| sets[at].contains(&value);
        let weekday = time.weekday().num_days_from_sunday();
        let (day, weekday) = (is(2, time.day()), is(4, weekday) || (weekday == 0 && is(4, 7)));
        let days = if star { day && weekday } else { day || weekday };
        is(0, time.minute()) && is(1, time.hour()) && is(3, time.month()) && days
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    #[test]
    fn plain_expressions_mean_what_crontab_says(
        minute in "(0|30|59|0,30|\\*/20)",
        hour in "(\\*|\\*/7|0|9-17/4|23)",
        day in "(\\*|\\*/2|1|31|1-7|10-20/5|1,15)",
        month in "(\\*|\\*/5|2|12|11-12)",
        weekday in "(\\*|\\*/2|0|7|1-5|5-7|1,3|6)",
        from in 1_700_000_000i64..1_800_000_000,
    ) {
        let expression = format!("{minute} {hour} {day} {month} {weekday}");
        let Ok(calendar) = Calendar::parse(&expression, None) else { return Ok(()) };
        let found = calendar.after(from);
        // As far as the next occurrence, but no further than a month.
        let end = found.unwrap_or(i64::MAX).min(from + 31 * 86_400);
        let matches = crontab(&expression);
        let first = from - from.rem_euclid(60) + 60;
        let expected = (0..).map(|n| first + n * 60).take_while(|at| *at <= end).find(|at| matches(*at));
        proptest::prop_assert_eq!(expected, found.filter(|found| *found <= end), "{}", expression);
    }
}
