//! `explain`: why something does not run, or, without a subject, what needs attention.

use crate::admin::explain::{self, Explanation, Finding, Here, JobSubject, State};
use crate::cli::args::ExplainVerb;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::manner::Manner;
use crate::cli::output::{Text, Tone, local_time};
use crate::client::request::Request;
use crate::daemon::host;
use crate::process::daemons;
use crate::text::shell;

/// Explains.
///
/// # Errors
/// A job that cannot be named so, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: Option<ExplainVerb>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let (registry, host) = (&tasks.registry, context.host());
    let daemons = daemons::of_store(&host::store_identity(&context.config()?.config.store));
    let here = Here::of(registry).lacking(&tasks.missing, &host).beside(&daemons);
    let is_bare = verb.is_none();
    let explanation = match verb {
        None => explain::attention(&store, here).await?,
        Some(ExplainVerb::Queue { queue }) => explain::queue(&store, here, &queue).await?,
        Some(ExplainVerb::Task { task }) => explain::task(&store, here, &task).await?,
        Some(ExplainVerb::Failed { address }) => explain::failed(&store, here, &address).await?,
        Some(ExplainVerb::Schedule { name }) => explain::schedule(&store, here, &name).await?,
        Some(ExplainVerb::Job { id: Some(id), .. }) => explain::job(&store, here, JobSubject::Id(&id)).await?,
        Some(ExplainVerb::Job { id: None, task, queue, args }) => {
            // clap asks for one of the two.
            let task = task.unwrap_or_default();
            let args = input::naming(context, "explain job", &task, (&args, false))?;
            let request = Request { queue, ..Request::new(task).args(args).foreign() };
            let job = request.resolve_as_written(registry).map_err(|error| CliError::Client(error.into()))?;
            explain::job(&store, here, JobSubject::Job(&job)).await?
        }
    };
    context.printer.print(&explanation, || text(&explanation, is_bare, &host, context.printer.manner()))?;
    Ok(match explanation.state {
        State::Runs => Exit::Done,
        State::NotFound => Exit::NotFound,
        _ => Exit::Failure,
    })
}

fn text(explanation: &Explanation, is_bare: bool, host: &str, manner: Manner) -> Text {
    if is_bare && explanation.findings.is_empty() {
        return Text::from("nothing needs attention");
    }
    let mut text = Text::default();
    if !is_bare {
        let state = match explanation.state {
            State::Runs => "nothing stands in its way",
            State::NotFound => "not found",
            _ => "blocked",
        };
        text.push(format!("{}: {state}", explanation.subject));
    }
    for Finding { blocks, text: sentence, since, command, on, .. } in &explanation.findings {
        let since = since
            .as_deref()
            .map(|since| format!(" (since {})", manner.clock(since, || local_time(since))))
            .unwrap_or_default();
        let (mark, tone) = if *blocks { ("!", Tone::Wrong) } else { ("-", Tone::Plain) };
        text.push_wrapped(tone, &format!("{mark} {sentence}{since}"), manner);
        if let Some(command) = command {
            // As a comment, so that the line can be typed as it is.
            let on = on.as_deref().filter(|on| *on != host).map(|on| format!(" # on {}", shell::word(on)));
            text.push(format!("    {command}{}", on.unwrap_or_default()));
        }
    }
    text
}
