//! Times as people say and read them: in a zone that they name, and in the one here.

use chrono::{DateTime, FixedOffset, Local};

use super::exit::CliError;
use super::here::{Here, here, shown};
use super::output::warn;
use super::value::{TimeArg, TimeForm};
use crate::client::moment::Moment;
use crate::client::wall_time::{Clocks, Found, TimeName, WallTime};
use crate::clock::{Clock as _, SystemClock};
use crate::task::zone::NamedZone;

/// A time that was said, as a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct SaidTime {
    pub moment: Moment,
    /// Whose clocks it was read from; `None`: no clocks were meant.
    pub clocks_of: Option<Zone>,
}

/// Whose clocks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    /// Those here.
    Here,
    /// Those of a zone.
    Named(NamedZone),
}

impl TimeArg {
    /// The moment that is meant. Warns of what is probably meant otherwise.
    ///
    /// # Errors
    /// A time that no store can hold.
    pub(super) fn said(&self, zone: Option<NamedZone>) -> Result<SaidTime, CliError> {
        let clocks = zone.map_or(Zone::Here, Zone::Named);
        let wall = match self.time {
            TimeForm::Moment(moment) => return Ok(SaidTime { moment, clocks_of: zone.map(Zone::Named) }),
            TimeForm::Named(wall, TimeName::Offset(seconds)) => {
                let offset = FixedOffset::east_opt(seconds);
                let found = offset.and_then(|offset| wall.find(&offset, SystemClock.now_ms()));
                let moment = found.ok_or_else(|| self.outside())?.moment;
                return Ok(SaidTime { moment, clocks_of: zone.map(Zone::Named) });
            }
            TimeForm::Named(wall, name) => {
                let found = clocks.find(wall)?.ok_or_else(|| self.outside())?;
                let second = if let Clocks::Twice(second) = found.clocks { Some(second) } else { None };
                let meant = [Some(found.moment), second].into_iter().flatten().find(|at| name.is(&clocks.name(*at)));
                let moment = meant.ok_or_else(|| {
                    CliError::Usage(format!(
                        "{:?}: clocks {} call that time {}; name the zone that is meant with --zone, or write its offset in place of the letters, as in {}",
                        self.text,
                        clocks.place(),
                        clocks.name(found.moment),
                        clocks.rfc3339(found.moment)
                    ))
                })?;
                return Ok(SaidTime { moment, clocks_of: Some(clocks) });
            }
            TimeForm::Wall(wall) => wall,
        };
        let found = clocks.find(wall)?.ok_or_else(|| self.outside())?;
        let said = SaidTime { moment: found.moment, clocks_of: Some(clocks) };
        let text = &self.text;
        match found.clocks {
            Clocks::Once => {}
            Clocks::Skip => warn(&format!(
                "clocks skip {text:?} {}: it counts as the first moment after the gap, {}",
                clocks.place(),
                clocks.shows(found.moment)
            )),
            Clocks::Twice(second) => warn(&format!(
                "clocks show {text:?} twice {}: the first time counts, {}; for the second write {}",
                clocks.place(),
                clocks.shows(found.moment),
                second.rfc3339()
            )),
        }
        Ok(said)
    }
}

impl TimeArg {
    fn outside(&self) -> CliError {
        CliError::Usage(format!("{:?} lies outside of what the Resque world can hold (from 1970 on)", self.text))
    }
}

impl SaidTime {
    /// Says that the time has passed: a job that is due then runs at once.
    pub(super) fn tell_if_past(&self) {
        if self.moment.ms() < SystemClock.now_ms() {
            warn(&format!("{} has passed, so that what is due then is due at once", self.moment.rfc3339()));
        }
    }

    /// What clocks show then, in the zone that was meant and here, to be put behind the time in UTC; empty if no clocks were
    /// meant.
    #[must_use]
    pub(super) fn on_clocks(&self) -> String {
        match self.clocks_of {
            None => String::new(),
            Some(Zone::Here) => format!(": {} here", Zone::Here.shows(self.moment)),
            Some(zone) => {
                let here = Zone::Here.shows(self.moment);
                format!(": {} {}, {here} here", zone.shows(self.moment), zone.place())
            }
        }
    }

    /// The zone that was meant, and RFC 3339 in it.
    #[must_use]
    pub(super) fn in_zone(&self) -> Option<(String, String)> {
        let zone = self.clocks_of?;
        let name = match zone {
            Zone::Here => "here".to_owned(),
            Zone::Named(zone) => zone.name().to_owned(),
        };
        Some((name, zone.rfc3339(self.moment)))
    }
}

impl Zone {
    /// The moment at which its clocks show this.
    ///
    /// # Errors
    /// If nobody knows the clocks here.
    fn find(self, wall: WallTime) -> Result<Option<Found>, CliError> {
        let now_ms = SystemClock.now_ms();
        Ok(match self {
            Self::Here => {
                here().known().map_err(CliError::Usage)?;
                match here() {
                    Here::Zone(zone) => wall.find(zone, now_ms),
                    Here::System | Here::Unknown(_) => wall.find(&Local, now_ms),
                }
            }
            Self::Named(zone) => wall.find(&zone, now_ms),
        })
    }

    /// What its clocks call the time at a moment.
    fn name(self, moment: Moment) -> String {
        self.shows(moment).rsplit(' ').next().unwrap_or_default().to_owned()
    }

    fn place(self) -> String {
        match self {
            Self::Here => "here".to_owned(),
            Self::Named(zone) => format!("in {}", zone.name()),
        }
    }

    /// What its clocks show at a moment, with the name of the time.
    #[must_use]
    pub(super) fn shows(self, moment: Moment) -> String {
        const FORMAT: &str = "%Y-%m-%d %H:%M:%S %Z";
        let Some(at) = DateTime::from_timestamp_millis(moment.ms()) else { return moment.rfc3339() };
        match self {
            Self::Here => shown(at, FORMAT),
            Self::Named(zone) => at.with_timezone(&zone).format(FORMAT).to_string(),
        }
    }

    fn rfc3339(self, moment: Moment) -> String {
        let Some(at) = DateTime::from_timestamp_millis(moment.ms()) else { return moment.rfc3339() };
        match self {
            Self::Here => shown(at, "%Y-%m-%dT%H:%M:%S%:z"),
            Self::Named(zone) => at.with_timezone(&zone).to_rfc3339(),
        }
    }
}
