//! How groups of failed jobs are shown.

use crate::admin::failed_groups::FailedGroups;
use crate::cli::command::failed_text::short;
use crate::cli::manner::Manner;
use crate::cli::output::{Text, local_time};
use crate::cli::table::TextTable;
use crate::text::count::counted;

/// The groups, and the command that shows the jobs of one.
pub(super) fn groups_text(groups: &FailedGroups, manner: Manner) -> Text {
    if groups.count == 0 {
        return Text::from("no failed jobs");
    }
    let mut table = TextTable::new(&["#jobs", "last", "first", "class", "error", "group"])
        .uncut(&["group"])
        .falling_away(&["first"]);
    for group in &groups.groups {
        let date =
            |date: &Option<String>| date.as_deref().map(|at| manner.time(at, || local_time(at))).unwrap_or_default();
        let error = match &group.exception {
            Some(exception) if *exception != group.error => format!("{exception}: {}", group.error),
            _ => group.error.clone(),
        };
        let class = group.class.as_deref().unwrap_or("(no job)");
        table.row([&group.count.to_string(), &date(&group.last), &date(&group.first), class, &error, short(&group.id)]);
    }
    let all = counted(groups.count, "failed job", "failed jobs");
    let scanned =
        if groups.complete { format!("{all} in all") } else { format!("the newest {} of {all}", groups.scanned) };
    let others = if groups.others > 0 { format!("; {} are in other groups", groups.others) } else { String::new() };
    let text = table.text(manner).and(format!("{scanned}{others}"));
    if groups.groups.is_empty() { text } else { text.and("the jobs of one: windlass failed list --filter group:ID") }
}
