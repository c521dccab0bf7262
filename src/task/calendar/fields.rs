//! The fields of a cron expression, each checked by its own rules, in the form that the library reads.
//!
//! The library takes names wherever a number may stand, so that `MON-FRI` in the place of the month means January to May. It
//! takes years, of which the last may be over. And it knows no rule of cron for a star with a step: if the day or the weekday
//! begins with a star, both must match.

/// An expression as the library reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) text: String,
    /// Must the day and the weekday both match? Otherwise, if both are restricted, one is enough.
    pub(super) both_days: bool,
}

/// The short forms.
const SHORT: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What may stand in a field.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", least: 0, most: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { name: "day", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: &MONTHS };
/// Sunday is 0 and 7.
const WEEKDAY: Field = Field { name: "weekday", least: 0, most: 7, names: &WEEKDAYS };

/// Reads an expression.
///
/// # Errors
/// Says which field is wrong, and what is expected there.
pub(super) fn read(expression: &str) -> Result<Fields, String> {
    let text = expression.trim().to_ascii_uppercase();
    if text.starts_with('@') {
        return SHORT.iter().find(|short| text.eq_ignore_ascii_case(short)).map_or_else(
            || Err(format!("the short forms are {}", SHORT.join(", "))),
            |short| {
                let text = if *short == "@midnight" { "@daily" } else { short };
                Ok(Fields { text: text.to_owned(), both_days: false })
            },
        );
    }
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let (second, rest) = match parts.len() {
        5 => (None, &parts[..]),
        6 => (parts.first(), parts.get(1..).unwrap_or_default()),
        7 => return Err("it has 7 fields; years cannot be given".to_owned()),
        1 => return Err("it has 1 field".to_owned()),
        fields => return Err(format!("it has {fields} fields")),
    };
    let [minute, hour, day, month, weekday] = rest else { return Err("it has too few fields".to_owned()) };
    let read = [
        second.map(|second| SECOND.read(second)).transpose()?,
        Some(MINUTE.read(minute)?),
        Some(HOUR.read(hour)?),
        Some(DAY.read(day)?),
        Some(MONTH.read(month)?),
        Some(WEEKDAY.read(weekday)?),
    ];
    let text = read.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(Fields { text, both_days: day.starts_with('*') || weekday.starts_with('*') })
}

/// What the words of the library leave out: a step that does not divide its range begins anew with each hour or day, so
/// that the last gap is shorter. Empty if there is none.
pub(super) fn uneven_steps(expression: &str) -> String {
    let parts: Vec<&str> = expression.split_ascii_whitespace().collect();
    if !matches!(parts.len(), 5 | 6) {
        return String::new();
    }
    let (second, rest) = if parts.len() == 6 { (parts.first(), &parts[1..]) } else { (None, &parts[..]) };
    let ranges =
        [(second, 60, "minute", "second"), (rest.first(), 60, "hour", "minute"), (rest.get(1), 24, "day", "hour")];
    let uneven = |(field, range, whole, unit): &(Option<&&str>, u32, &str, &str)| {
        let step: u32 = field.as_ref()?.strip_prefix("*/")?.parse().ok()?;
        let is_uneven = step > 0 && step < *range && range % step != 0;
        let last = (range - 1) / step.max(1) * step;
        is_uneven
            .then(|| format!("; each {whole} begins with {unit} 0 again, {} {unit}s after {unit} {last}", range - last))
    };
    ranges.iter().filter_map(uneven).collect()
}

impl Field {
    fn read(&self, text: &str) -> Result<String, String> {
        let is_weekday = self.name == WEEKDAY.name;
        // "+": the day must match as well.
        let (plus, items) = match text.strip_prefix('+').filter(|_| is_weekday) {
            Some(items) => ("+", items),
            None => ("", text),
        };
        let read: Result<Vec<_>, _> = items
            .split(',')
            .map(|item| self.item(item).map_err(|why| format!("{} {item:?}: {why}", self.name)))
            .collect();
        Ok(format!("{plus}{}", read?.join(",")))
    }

    fn item(&self, item: &str) -> Result<String, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (item, None),
        };
        if range == "*" || (range == "?" && self.is_of_days() && step.is_none()) {
            return Ok(item.to_owned());
        }
        if self.is_special(range) && step.is_none() {
            return Ok(item.to_owned());
        }
        let Some((from, to)) = range.split_once('-') else {
            let value = self.value(range)?;
            return match step {
                Some(_) => Err(format!("a step goes with a range, such as {range}-{}/2, or with a star", self.most)),
                None => Ok(value.to_string()),
            };
        };
        let (from, to) = (self.value(from)?, self.value(to)?);
        if from <= to {
            return Ok(format!("{from}-{to}{}", step.map(|step| format!("/{step}")).unwrap_or_default()));
        }
        if self.name != WEEKDAY.name {
            let (least, most) = (self.least, self.most);
            return Err(format!("it runs backwards; write {from}-{most},{least}-{to}"));
        }
        // Over the end of the week.
        let days = (from..=to + 7).step_by(step.unwrap_or(1) as usize).map(|day| (day % 7).to_string());
        Ok(days.collect::<Vec<_>>().join(","))
    }

    fn is_of_days(&self) -> bool {
        self.name == DAY.name || self.name == WEEKDAY.name
    }

    /// A day that depends on the month: the last one, a weekday near one, the first or last Friday.
    fn is_special(&self, item: &str) -> bool {
        if self.name == DAY.name {
            let day = item.strip_suffix('W');
            return item == "L" || item == "LW" || day.is_some_and(|day| self.value(day).is_ok());
        }
        if self.name != WEEKDAY.name {
            return false;
        }
        match item.split_once('#') {
            Some((day, which)) => self.value(day).is_ok() && ["1", "2", "3", "4", "5", "L"].contains(&which),
            None => item.strip_suffix('L').is_some_and(|day| self.value(day).is_ok()),
        }
    }

    fn step(&self, text: &str) -> Result<u32, String> {
        let step = number(text).filter(|step| (1..=self.most).contains(step));
        step.ok_or_else(|| format!("expected a step from 1 to {}, found {text:?}", self.most))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if let Some(number) = number(text) {
            return if (self.least..=self.most).contains(&number) { Ok(number) } else { Err(self.expected(text)) };
        }
        let named = self.names.iter().position(|name| *name == text).and_then(|at| u32::try_from(at).ok());
        named.map(|at| at + u32::from(self.name == MONTH.name)).ok_or_else(|| self.expected(text))
    }

    fn expected(&self, found: &str) -> String {
        let (least, most) = (self.least, self.most);
        let names = match self.names {
            [first, .., last] => format!(" or a name ({first} to {last})"),
            _ => String::new(),
        };
        let other = match found {
            _ if WEEKDAYS.contains(&found) => ", which is a weekday: the last field",
            _ if MONTHS.contains(&found) => ", which is a month: the field before the last",
            _ => "",
        };
        format!("expected {least} to {most}{names}, found {found:?}{other}")
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(expression: &str) -> String {
        read(expression).unwrap().text
    }

    fn error(expression: &str) -> String {
        read(expression).unwrap_err()
    }

    #[test]
    fn what_is_right_goes_on_with_numbers_for_names() {
        assert_eq!(text(" 30  7 * jan-MAR mon-FRI"), "30 7 * 1-3 1-5");
        assert_eq!(text("*/10 5-15/5,50 0 L,15W,1 * FRI#1,5L"), "*/10 5-15/5,50 0 L,15W,1 * FRI#1,5L");
        assert_eq!(text("0 0 ? * +MON"), "0 0 ? * +1");
        assert_eq!((text("@Midnight"), text("@annually")), ("@daily".into(), "@annually".into()));
    }

    #[test]
    fn steps_that_do_not_divide_their_range_are_told() {
        for even in ["*/15 * * * *", "0 */6 * * *", "*/7", "@daily", "0-59/7 * * * *", "*/0 * * * *", "*/90 * * * *"] {
            assert_eq!(uneven_steps(even), "", "{even}");
        }
        assert_eq!(
            uneven_steps("*/7 */5 * * *"),
            "; each hour begins with minute 0 again, 4 minutes after minute 56; each day begins with hour 0 again, 4 hours \
             after hour 20"
        );
        assert_eq!(
            uneven_steps("*/50 * * * * *"),
            "; each minute begins with second 0 again, 10 seconds after second 50"
        );
    }

    #[test]
    fn weekdays_may_run_over_the_end_of_the_week() {
        assert_eq!(text("0 9 * * FRI-MON"), "0 9 * * 5,6,0,1");
        assert_eq!(text("0 9 * * 5-7"), "0 9 * * 5-7");
        assert_eq!(text("0 9 * * SAT-SUN"), "0 9 * * 6,0");
        assert_eq!(text("0 9 * * FRI-TUE/2"), "0 9 * * 5,0,2");
    }

    #[test]
    fn a_day_or_weekday_that_begins_with_a_star_must_match_too() {
        for (expression, both) in [
            ("0 9 */2 * MON", true),
            ("0 9 1-7 * */2", true),
            ("0 9 * * MON", true),
            ("0 9 13 * FRI", false),
            ("@weekly", false),
        ] {
            assert_eq!(read(expression).unwrap().both_days, both, "{expression}");
        }
    }

    #[test]
    fn each_field_says_what_is_expected_in_it() {
        assert_eq!(
            error("30 7 * MON-FRI *"),
            "month \"MON-FRI\": expected 1 to 12 or a name (JAN to DEC), found \"MON\", which is a weekday: the last field"
        );
        assert_eq!(error("61 * * * *"), "minute \"61\": expected 0 to 59, found \"61\"");
        assert_eq!(error("0 22-2 * * *"), "hour \"22-2\": it runs backwards; write 22-23,0-2");
        assert_eq!(error("5/10 * * * *"), "minute \"5/10\": a step goes with a range, such as 5-59/2, or with a star");
        assert_eq!(error("*/0 * * * *"), "minute \"*/0\": expected a step from 1 to 59, found \"0\"");
        assert_eq!(error("0 0 9 * * * 2020"), "it has 7 fields; years cannot be given");
        assert_eq!(error("0 9 * *"), "it has 4 fields");
        assert!(error("@reboot").contains("@hourly"));
        assert!(error("0 9 * * XYZ").contains("a name (SUN to SAT), found \"XYZ\""));
        assert!(error("0 9 FEB * *").contains("which is a month: the field before the last"));
    }
}
