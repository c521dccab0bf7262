//! The clocks here: those that `TZ` names, else those of the machine.
//!
//! The machine's rules are in files that a small system does not have, and a `TZ` that nothing knows would silently be UTC.
//! So a name is looked up in the zones that are built in first, and what stays unknown is told where clocks are read.

use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Local, Offset as _, Utc};

use crate::task::zone::NamedZone;

/// Where systems keep their zones.
const FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];

/// Whose clocks these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Here {
    /// Those that the system computes: of the machine, of a file, of a rule in `TZ`.
    System,
    /// Those of a zone that is built in.
    Zone(NamedZone),
    /// This `TZ` names none.
    Unknown(String),
}

/// The clocks here, by the environment of this process.
pub(super) fn here() -> &'static Here {
    static HERE: OnceLock<Here> = OnceLock::new();
    HERE.get_or_init(|| Here::of(std::env::var_os("TZ").map(|tz| tz.to_string_lossy().into_owned()).as_deref()))
}

/// The zone that this machine is set to, by the link that its clocks are read from. The system computes the times; this has
/// their names.
fn of_machine() -> Option<NamedZone> {
    static ZONE: OnceLock<Option<NamedZone>> = OnceLock::new();
    let is_set = std::env::var_os("TZ").is_some_and(|tz| !tz.is_empty());
    *ZONE.get_or_init(|| if is_set { None } else { named_by(&std::fs::read_link("/etc/localtime").ok()?) })
}

/// The zone that a path into a folder of zones names.
fn named_by(link: &Path) -> Option<NamedZone> {
    link.to_str()?.split_once("zoneinfo/")?.1.parse().ok()
}

/// A time as the clocks here show it, in a format of `chrono`.
pub(super) fn shown(at: DateTime<Utc>, format: &str) -> String {
    match here() {
        Here::Zone(zone) => at.with_timezone(zone).format(format).to_string(),
        // The system tells no names. Where it computes as the zone of its link does, that one has them.
        Here::System => {
            let here = at.with_timezone(&Local);
            let offset_s = here.offset().local_minus_utc();
            match of_machine()
                .map(|zone| at.with_timezone(&zone))
                .filter(|there| there.offset().fix().local_minus_utc() == offset_s)
            {
                Some(named) => named.format(format).to_string(),
                None if offset_s == 0 => at.format(format).to_string(),
                None => here.format(format).to_string(),
            }
        }
        Here::Unknown(_) => at.format(format).to_string(),
    }
}

impl Here {
    fn of(tz: Option<&str>) -> Self {
        let Some(tz) = tz.filter(|tz| !tz.is_empty()) else { return Self::System };
        let name = tz.strip_prefix(':').unwrap_or(tz);
        if let Ok(zone) = name.parse() {
            return Self::Zone(zone);
        }
        let is_file = FOLDERS.iter().any(|folder| Path::new(folder).join(name).is_file());
        if name == "localtime" || is_file || is_rule(name) { Self::System } else { Self::Unknown(tz.to_owned()) }
    }

    /// Why these clocks cannot be read.
    ///
    /// # Errors
    /// What to type, if they are unknown.
    pub(super) fn known(&self) -> Result<(), String> {
        let Self::Unknown(tz) = self else { return Ok(()) };
        Err(format!(
            "TZ={tz:?} is no zone that is known here, so that its clocks would be taken for UTC; set TZ to a name such as \
             Europe/Berlin or a whole rule such as CET-1CEST,M3.5.0,M10.5.0/3, give --zone ZONE, or a time with its offset"
        ))
    }
}

/// Is this a rule as POSIX writes it: a name, an offset, and for a second name also when it begins and ends? Without
/// these POSIX leaves the rule to the system, and no two agree.
fn is_rule(text: &str) -> bool {
    let Some(rest) = after_name(text).and_then(after_time) else { return false };
    if rest.is_empty() {
        return true;
    }
    let Some(rest) = after_name(rest) else { return false };
    let rest = if rest.starts_with(',') { Some(rest) } else { after_time(rest) };
    let Some(changes) = rest.and_then(|rest| rest.strip_prefix(',')) else { return false };
    changes.split_once(',').is_some_and(|(begin, end)| is_change(begin) && is_change(end))
}

/// What follows a name: three letters or more, or anything of letters, digits and signs between `<` and `>`.
fn after_name(text: &str) -> Option<&str> {
    let (name, rest) = match text.strip_prefix('<') {
        Some(text) => text.split_once('>')?,
        None => text.split_at(text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len())),
    };
    let is_name = name.len() >= 3 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte));
    is_name.then_some(rest)
}

/// What follows a signed time: `h`, `h:mm`, `h:mm:ss`.
fn after_time(text: &str) -> Option<&str> {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != ':').unwrap_or(text.len());
    let (time, rest) = text.split_at(end);
    let parts: Vec<&str> = time.split(':').collect();
    let most = [167, 59, 59];
    let fits = |(part, most): (&&str, u32)| part.parse::<u32>().is_ok_and(|number| number <= most);
    (parts.len() <= most.len() && parts.iter().zip(most).all(fits)).then_some(rest)
}

/// `Mm.w.d`, `Jn` or `n`, and perhaps `/time`.
fn is_change(text: &str) -> bool {
    let (day, time) = text.split_once('/').map_or((text, None), |(day, time)| (day, Some(time)));
    let within =
        |text: &str, least: u32, most: u32| text.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number));
    let is_day = match (day.strip_prefix('M'), day.strip_prefix('J')) {
        (Some(month), _) => {
            let parts: Vec<&str> = month.split('.').collect();
            matches!(parts[..], [month, week, day] if within(month, 1, 12) && within(week, 1, 5) && within(day, 0, 6))
        }
        (None, Some(day)) => within(day, 1, 365),
        (None, None) => within(day, 0, 365),
    };
    is_day && time.is_none_or(|time| after_time(time) == Some(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_of_a_machine_is_read_from_its_link() {
        let named = |link: &str| named_by(Path::new(link));
        assert_eq!(named("/usr/share/zoneinfo/Europe/Berlin"), Some("Europe/Berlin".parse().unwrap()));
        assert_eq!(named("../usr/share/zoneinfo/Etc/UTC"), Some("Etc/UTC".parse().unwrap()));
        assert_eq!((named("/etc/elsewhere"), named("/usr/share/zoneinfo/Nowhere")), (None, None));
    }

    #[test]
    fn a_zone_is_known_by_its_name_by_a_whole_rule_or_not_at_all() {
        for tz in [None, Some(""), Some("CET-1"), Some("UTC0"), Some("CET-1CEST,M3.5.0,M10.5.0/3"), Some("localtime")] {
            assert_eq!(Here::of(tz), Here::System, "{tz:?}");
        }
        for rule in ["<+03>-3", "EST5EDT,M3.2.0/2:00,M11.1.0/2:00:00", "NZST-12NZDT-13,J60,300/-1"] {
            assert!(is_rule(rule), "{rule}");
        }
        for tz in ["Europe/Berlin", ":Europe/Berlin"] {
            assert_eq!(Here::of(Some(tz)), Here::Zone("Europe/Berlin".parse().unwrap()));
        }
        for tz in
            ["CET-1CEST", "Nonsense/Zone", "CET-1CEST,M3.5.0", "CE-1", "CET-1CEST,M13.5.0,M10.5.0", "CET-x", "Berlin"]
        {
            let here = Here::of(Some(tz));
            assert_eq!(here, Here::Unknown(tz.to_owned()));
            assert!(here.known().unwrap_err().contains("--zone ZONE"), "{tz}");
        }
    }
}
