//! A program that only enqueues: a web server's request handler, a script, a cron job. It needs no daemon and no task
//! files; the workers of the queue run the job, in any language.
//!
//! ```text
//! cargo run --example enqueue -- redis://127.0.0.1:6379/0 mail sendMail '{"to":"ada@example.org"}'
//! ```
//!
//! As a dependency it compiles only what it uses: `windlass = { version = "0.1", default-features = false,
//! features = ["redis"] }`.

#![expect(clippy::print_stdout, reason = "it is a program that answers on standard output")]

use std::error::Error;

use windlass::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(store), Some(queue), Some(task)) = (words.next(), words.next(), words.next()) else {
        return Err("usage: enqueue STORE QUEUE TASK [ARGUMENT]".into());
    };
    let mut request = Request::new(task).queue(queue).foreign();
    if let Some(argument) = words.next() {
        request = request.arg(&serde_json::from_str::<serde_json::Value>(&argument)?)?;
    }
    let client = Client::connect(&store, "resque").await?;
    match client.enqueue(&request, false).await? {
        (job, EnqueueOutcome::Enqueued { .. }) => println!("{} is enqueued on {}", job.task, job.queue),
        (job, EnqueueOutcome::Refused(refusal)) => println!("{} is not enqueued: {refusal}", job.task),
        (job, other) => println!("{}: {other:?}", job.task),
    }
    Ok(())
}
