//! Makes the document from the routes and the types of their answers. Only tests need it, and with it the crate that turns types
//! into schemas.

use serde_json::{Value, json};

mod operation;

use operation::{Operation, Schemas, any, flag, number, text};

use super::{Route, routes};
use crate::admin::audit::AuditEntry;
use crate::admin::delayed::DelayedView;
use crate::admin::delayed_moves::SecondRun;
use crate::admin::explain::Explanation;
use crate::admin::failed::FailedView;
use crate::admin::failed_groups::FailedGroups;
use crate::admin::failed_retry::RetryOutcome;
use crate::admin::history::{HistoryView, TaskHistoryView};
use crate::admin::instances::InstanceView;
use crate::admin::locks::LockView;
use crate::admin::overview::{Details, LeaderView, StatsView};
use crate::admin::plan::Plan;
use crate::admin::queues::{QueueDeleted, QueuePause, QueueView};
use crate::admin::results::ResultView;
use crate::admin::runs::RunsView;
use crate::admin::summary::Summary;
use crate::admin::tasks::TaskView;
use crate::admin::workers::CleanedWorker;
use crate::config::http::Role;
use crate::http::api::bulk::{EndView, LineView};
use crate::http::api::delayed::DelayedDeleted;
use crate::http::api::failed::{FailedJobsPage, FailedRemoved};
use crate::http::api::locks::LockDeleted;
use crate::http::api::periodic::{PeriodicChanged, PeriodicPage};
use crate::http::api::progress::ProgressAnswer;
use crate::http::api::queues::{QueueJobsPage, QueuesPage};
use crate::http::api::runs::{Cancelled, JobAnswer, RunningPage};
use crate::http::api::workers::WorkersAnswer;
use crate::http::index::IndexView;
use crate::http::openapi::TEXT;
use crate::http::operation::OperationView;
use crate::http::problem::ProblemView;

/// The file, from the root of the repository.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/openapi.json");

/// What each route takes and gives.
fn operation(route: &Route, schemas: &mut Schemas) -> Operation {
    let time = || json!({"type": ["string", "integer"]});
    let health = |summary| Operation::new(summary).answer(200, "text/plain", text()).answer(503, "text/plain", text());
    match route.name {
        "GET /health/live" => health("Whether the daemon lives"),
        "GET /health/ready" => health("Whether the daemon works"),
        "GET /" => Operation::new("The routes; for browsers as a page").gives::<IndexView>(schemas).answer(
            200,
            "text/html",
            text(),
        ),
        "GET /metrics" => Operation::new("Metrics for Prometheus").answer(200, "text/plain", text()),
        "GET /openapi.json" => Operation::new("This document").answer(200, "application/json", any()),
        "POST /api/v1/tasks/{task}/jobs" => Operation::new("Enqueue a job of this task; the body is its arguments")
            .query("queue", "The queue, if not the task's own", text())
            .query("at", "When: RFC 3339, milliseconds, or @seconds", text())
            .query("in", "After how long: a duration, or milliseconds", text())
            .query("front", "Before all others", flag())
            .query("track", "Give it an id now, and keep what it leads to", flag())
            .query("suppress_duplicate", "An equal job at the same second is no error", flag())
            .body("application/json", any(), false)
            .once()
            .enqueues(schemas),
        "POST /api/v1/jobs" => {
            let members = json!({
                "task": text(), "args": any(), "queue": text(), "at": time(), "in": time(), "front": flag(),
                "track": flag(),
                "foreign": {"type": "boolean", "description": "Other workers know the task; its queue must be named"},
                "suppress_duplicate": flag()
            });
            let body =
                json!({"type": "object", "required": ["task"], "properties": members, "additionalProperties": false});
            Operation::new("Enqueue a job").body("application/json", body, true).once().enqueues(schemas)
        }
        "POST /api/v1/jobs/bulk" => {
            let members = json!({"task": text(), "args": any(), "queue": text(), "at": time()});
            let line =
                json!({"type": "object", "required": ["task"], "properties": members, "additionalProperties": false});
            let answer = json!({"oneOf": [schemas.of::<LineView>(), schemas.of::<EndView>()]});
            Operation::new("Enqueue many jobs: a JSON line each in, a JSON line each out, and one that counts them")
                .query("front", "Before all others", flag())
                .query("foreign", "Other workers know the tasks", flag())
                .body("application/x-ndjson", line, true)
                .answer(200, "application/x-ndjson", answer)
        }
        "GET /api/v1/running" => Operation::new("The jobs that run now")
            .query("task", "Of this task", text())
            .paged()
            .gives::<RunningPage>(schemas),
        "GET /api/v1/jobs/{id}" => {
            Operation::new("A job that runs, is tracked, or of which something is kept").gives::<JobAnswer>(schemas)
        }
        "GET /api/v1/jobs/{id}/output" => Operation::new("The last lines that a job printed")
            .query("raw", "As they are, to be kept in a file, with what moves a terminal", flag())
            .answer(200, "text/plain", text()),
        "GET /api/v1/jobs/{id}/result" => Operation::new("What a job led to").gives::<ResultView>(schemas),
        "PUT /api/v1/jobs/{id}/progress" => {
            let members = json!({
                "claim": {"type": "string", "description": "The claim of the run, as its request has it"},
                "percent": {"type": "number", "minimum": 0, "maximum": 100},
                "message": {"type": "string", "description": "What it does; 200 bytes of it are kept"}
            });
            let body =
                json!({"type": "object", "required": ["claim"], "properties": members, "additionalProperties": false});
            Operation::new("Tell how far a run is that a server performs")
                .body("application/json", body, true)
                .gives::<ProgressAnswer>(schemas)
        }
        "POST /api/v1/jobs/{id}/cancel" => Operation::new("End the run of a job").gives::<Cancelled>(schemas),
        "GET /api/v1/tasks" => Operation::new("The tasks of this instance").lists::<TaskView>(schemas),
        "GET /api/v1/tasks/{task}" => Operation::new("A task").gives::<TaskView>(schemas),
        "GET /api/v1/tasks/{task}/runs" => Operation::new("The last runs of a task or schedule that keeps them")
            .query("limit", "How many", json!({"type": "integer", "minimum": 1, "maximum": 60, "default": 20}))
            .gives::<RunsView>(schemas),
        "GET /api/v1/queues" => Operation::new("The queues").paged().gives::<QueuesPage>(schemas),
        "GET /api/v1/queues/{queue}" => Operation::new("A queue and its length").gives::<QueueView>(schemas),
        "GET /api/v1/queues/{queue}/jobs" => Operation::new("The jobs of a queue")
            .query(
                "from",
                "From the next to run on, or from the last one",
                json!({"enum": ["head", "tail"], "default": "head"}),
            )
            .paged()
            .gives::<QueueJobsPage>(schemas),
        "POST /api/v1/queues/{queue}/pause" => Operation::new("Pause a queue").gives::<QueuePause>(schemas),
        "POST /api/v1/queues/{queue}/resume" => Operation::new("Resume a queue").gives::<QueuePause>(schemas),
        "DELETE /api/v1/queues/{queue}" => Operation::new("Delete a queue and its jobs")
            .needs("expect", "How many jobs it is known to hold; another number is refused", number())
            .gives::<QueueDeleted>(schemas),
        "POST /api/v1/pause" => Operation::new("Pause all queues").gives::<QueuePause>(schemas),
        "POST /api/v1/resume" => Operation::new("Resume all queues").gives::<QueuePause>(schemas),
        "DELETE /api/v1/delayed" => Operation::new("Delete all delayed jobs of a task with these arguments")
            .needs("task", "The task", text())
            .query("queue", "The queue, if not the task's own", text())
            .query("args", "The arguments as JSON; none if left out", text())
            .gives::<DelayedDeleted>(schemas),
        "POST /api/v1/delayed/{second}/promote" => {
            Operation::new("Make the jobs of a unix second due now").gives::<SecondRun>(schemas)
        }
        "GET /api/v1/plan" => Operation::new("What will run")
            .query(
                "hours",
                "How far to look ahead",
                json!({"type": "integer", "minimum": 1, "maximum": 8784, "default": 24}),
            )
            .query("task", "Of this task", text())
            .query("limit", "How many entries", json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50}))
            .gives::<Plan>(schemas),
        "GET /api/v1/delayed" => Operation::new("The delayed jobs, the first due first").lists::<DelayedView>(schemas),
        "GET /api/v1/periodic" => {
            Operation::new("The periodic tasks and schedules").paged().gives::<PeriodicPage>(schemas)
        }
        "POST /api/v1/periodic/{task}/start" => {
            Operation::new("Start a periodic task or schedule").gives::<PeriodicChanged>(schemas)
        }
        "POST /api/v1/periodic/{task}/stop" => {
            Operation::new("Stop a periodic task or schedule").gives::<PeriodicChanged>(schemas)
        }
        "POST /api/v1/periodic/{task}/run" => {
            Operation::new("Run a periodic task or schedule now").gives::<PeriodicChanged>(schemas)
        }
        "GET /api/v1/failed" => filtered(Operation::new("The failed jobs that match, the newest first"))
            .paged()
            .gives::<FailedJobsPage>(schemas),
        "GET /api/v1/failed/groups" => {
            let limit = json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50});
            filtered(Operation::new("The failed jobs that match, counted by kind"))
                .query("limit", "How many groups at most", limit)
                .gives::<FailedGroups>(schemas)
        }
        "GET /api/v1/failed.ndjson" => {
            let line = schemas.of::<FailedView>();
            filtered(Operation::new("All failed jobs that match, whole, a JSON line each")).answer(
                200,
                "application/x-ndjson",
                line,
            )
        }
        "POST /api/v1/failed/operations" => {
            let body = json!({
                "type": "object",
                "required": ["action", "filter"],
                "properties": {
                    "action": {"enum": ["retry", "remove"]},
                    "filter": text(),
                    "expect": {"type": ["integer", "string"], "description": "How many match; needed without dry_run"},
                    "dry_run": {"type": "boolean", "description": "Only tell how many match"}
                },
                "additionalProperties": false
            });
            let view = schemas.of::<OperationView>();
            Operation::new("Retry or remove all failed jobs that match; GET /operations/{id} tells how far it is")
                .body("application/json", body, true)
                .answer(202, "application/json", view)
        }
        "GET /api/v1/operations/{id}" => Operation::new("How far an operation is").gives::<OperationView>(schemas),
        "DELETE /api/v1/operations/{id}" => Operation::new("Stop an operation").gives::<OperationView>(schemas),
        "GET /api/v1/audit" => Operation::new("Who changed what, the newest first").lists::<AuditEntry>(schemas),
        "GET /api/v1/failed/{id}" => hinted(Operation::new("A failed job")).gives::<FailedView>(schemas),
        "POST /api/v1/failed/{id}/retry" => {
            let body = json!({"type": "object", "properties": {"queue": text(), "args": any()}, "additionalProperties": false});
            let operation =
                Operation::new("Put a failed job back on its queue, or on another one, or with other arguments");
            hinted(operation).body("application/json", body, false).gives::<RetryOutcome>(schemas)
        }
        "DELETE /api/v1/failed/{id}" => hinted(Operation::new("Remove a failed job")).gives::<FailedRemoved>(schemas),
        "GET /api/v1/workers" => {
            Operation::new("The workers of all programs, and what they do").paged().gives::<WorkersAnswer>(schemas)
        }
        "DELETE /api/v1/workers/{name}" => {
            Operation::new("Remove a dead worker; its job goes to the failed list").gives::<CleanedWorker>(schemas)
        }
        "GET /api/v1/instances" => Operation::new("The instances of Windlass").lists::<InstanceView>(schemas),
        "GET /api/v1/locks" => Operation::new("The locks that plugins hold").lists::<LockView>(schemas),
        "DELETE /api/v1/locks/{key}" => Operation::new("Delete a lock").gives::<LockDeleted>(schemas),
        "GET /api/v1/overview" => Operation::new("How the fleet stands, in a few numbers").gives::<Summary>(schemas),
        "GET /api/v1/attention" => Operation::new("What needs attention").gives::<Explanation>(schemas),
        "GET /api/v1/explain" => {
            Operation::new("Why something does not run: one subject, or a job by task, queue and args")
                .query("job", "A job by its id", text())
                .query("queue", "A queue, or that of a job", text())
                .query("task", "A task, or that of a job", text())
                .query("schedule", "A periodic task or schedule", text())
                .query("failed", "A failed job by its id or position", text())
                .query("args", "The arguments of a job as JSON", text())
                .gives::<Explanation>(schemas)
        }
        "GET /api/v1/history" => {
            let either = json!({"anyOf": [schemas.of::<HistoryView>(), schemas.of::<TaskHistoryView>()]});
            Operation::new("What ran: in time, or task by task")
                .query("task", "Of this task", text())
                .query("window", "How far back", json!({"enum": ["1h", "24h", "30d"], "default": "1h"}))
                .query("by", "In time, or task by task", json!({"enum": ["time", "task"], "default": "time"}))
                .answer(200, "application/json", either)
        }
        "GET /api/v1/events" => Operation::new("A stream of events")
            .query("topics", "Of these topics, with commas between them; of all but output if left out", text())
            .query("job", "The ids of the jobs whose output is wanted, with commas between them", text())
            .answer(200, "text/event-stream", text()),
        "GET /api/v1/stats" => Operation::new("The counters").gives::<StatsView>(schemas),
        "GET /api/v1/details" => {
            Operation::new("Queues, workers, counters and leaders together").gives::<Details>(schemas)
        }
        "GET /api/v1/leader" => Operation::new("The leaders").gives::<LeaderView>(schemas),
        other => panic!("{other} is not described here"),
    }
}

fn filtered(operation: Operation) -> Operation {
    operation
        .query("task", "Of this task", text())
        .query("queue", "From this queue", text())
        .query("error", "Whose error holds this text", text())
        .query("since", "That failed then or later: a time, or a duration before now", text())
        .query("filter", "That match this as well: task:resize error:\"no space\" -queue:img*", text())
}

fn hinted(operation: Operation) -> Operation {
    operation.query("at", "Its position when it was seen, near which it is looked for", json!({"type": "integer"}))
}

fn document() -> Value {
    let (mut schemas, mut paths) = (Schemas::default(), serde_json::Map::new());
    let problem = schemas.of::<ProblemView>();
    for route in routes() {
        let Operation { summary, query, required, once, body, answers } = operation(&route, &mut schemas);
        let (method, path) = route.name.split_once(' ').expect("a route must have a method and a path");
        let names = path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
        let in_path = names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": text()}));
        let in_query = query.into_iter().map(|(name, what, schema)| {
            let mut parameter = json!({"name": name, "in": "query", "description": what, "schema": schema});
            if required.contains(&name) {
                parameter["required"] = json!(true);
            }
            parameter
        });
        let key = once.then(|| {
            let what = "A key that the client chose: the same request under it is done once within 24 hours";
            json!({"name": "Idempotency-Key", "in": "header", "description": what, "schema": {"type": "string", "minLength": 1, "maxLength": 255}})
        });
        let parameters: Vec<Value> = in_path.chain(in_query).chain(key).collect();
        let mut responses = serde_json::Map::new();
        for (status, kind, schema) in answers {
            let description = if status < 300 { "Done" } else { "Not now" };
            let response = responses
                .entry(status.to_string())
                .or_insert_with(|| json!({"description": description, "content": {}}));
            response["content"][kind] = json!({"schema": schema});
        }
        let content = json!({"application/problem+json": {"schema": problem}});
        responses.insert("default".to_owned(), json!({"description": "Why it was not done", "content": content}));
        let mut operation =
            json!({"summary": summary, "responses": responses, "x-windlass-role": route.role.map(Role::name)});
        if !parameters.is_empty() {
            operation["parameters"] = Value::Array(parameters);
        }
        if let Some((kind, schema, required)) = body {
            operation["requestBody"] = json!({"required": required, "content": {kind: {"schema": schema}}});
        }
        // Who is asked for nothing needs no token.
        operation["security"] = if route.role.is_some() { json!([{"token": []}, {}]) } else { json!([]) };
        let at_path = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        at_path[method.to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Windlass",
            "version": "1",
            "description": "Jobs, queues and workers of a Windlass store. docs/api.md tells who may do what.",
            "license": {"name": "MIT", "identifier": "MIT"}
        },
        "paths": paths,
        "components": {
            "schemas": schemas.0,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
        }
    })
}

#[test]
fn the_document_is_that_of_the_routes_and_their_types() {
    let made = document();
    if std::env::var_os("WINDLASS_WRITE_OPENAPI").is_some() {
        let text = serde_json::to_string_pretty(&made).expect("a document must be JSON");
        std::fs::write(FILE, format!("{text}\n")).expect("the document must be written");
    }
    let written: Value = serde_json::from_str(TEXT).expect("the document must be JSON");
    let differs = |part: &str| {
        let (one, other) = (made.pointer(part), written.pointer(part));
        let keys = |value: Option<&Value>| -> Vec<String> {
            value.and_then(Value::as_object).map(|object| object.keys().cloned().collect()).unwrap_or_default()
        };
        let all = keys(one).into_iter().chain(keys(other));
        let get = |value: Option<&Value>, key: &str| value.and_then(|value| value.get(key)).cloned();
        all.filter(|key| get(one, key) != get(other, key)).collect::<std::collections::BTreeSet<_>>()
    };
    // Both are too long to be shown.
    assert!(
        made == written,
        "the document has changed in {:?} and {:?}; write it anew by WINDLASS_WRITE_OPENAPI=1 and run this test twice",
        differs("/paths"),
        differs("/components/schemas")
    );
}

#[test]
fn every_reference_leads_to_a_schema() {
    let made = document();
    let text = made.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a text has a first part");
        assert!(made["components"]["schemas"].get(name).is_some(), "{name} is not there");
    }
}
