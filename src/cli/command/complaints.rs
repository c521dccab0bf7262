//! Plugins that failed when their job was on its queue already.

use crate::admin::enqueued::PluginErrorView;
use crate::cli::output::warn;
use crate::plugin::hooks::HookFailure;

/// The errors of plugins after the job was enqueued. Also prints a warning of each.
pub(super) fn warned(line: Option<usize>, complaints: &[HookFailure]) -> Vec<PluginErrorView> {
    let job = line.map_or_else(|| "the job".to_owned(), |line| format!("line {line}: the job"));
    complaints.iter().for_each(|failure| warn(&format!("{job} is on its queue, but {failure}")));
    complaints.iter().map(|failure| PluginErrorView::of(line, failure)).collect()
}
