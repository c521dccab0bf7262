//! The places of the rail, in their order. A page that has a place is found from every other page, by the mouse and by two keys.

/// A place.
#[derive(Debug)]
pub(super) struct Place {
    /// Its name, by which a page says that it belongs there.
    pub(super) name: &'static str,
    /// Its address below the base.
    pub(super) path: &'static str,
    /// `g` and this letter lead there.
    pub(super) key: char,
    /// Its icon: a path in a square of 20.
    pub(super) icon: &'static str,
    /// Does it stand in the bar of a phone? Four do; the rest is behind "More".
    pub(super) on_phone: bool,
}

/// All places.
pub(super) const PLACES: &[Place] = &[
    Place { name: "Overview", path: "/", key: 'o', icon: "M3 11a7 7 0 0 1 14 0M10 11l3.5-4M3 15h14", on_phone: true },
    Place { name: "Queues", path: "/queues", key: 'q', icon: "M3 5h14M3 10h10M3 15h6", on_phone: true },
    Place { name: "Failed", path: "/failed", key: 'f', icon: "M10 3l7.5 13.5h-15zM10 8v4M10 14.2v.3", on_phone: true },
];
