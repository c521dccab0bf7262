//! The pure parts of the hot path, each called as often as is asked for: `bench/instructions` counts what that costs.
//!
//! ```text
//! counted-calls CASE COUNT [STORE-URL]
//! ```
//!
//! `exchange` is a lane's whole call: settlements encoded, sent, the reply read, fifty jobs each way. What a Redis server
//! does is another process' and is not counted; SQLite's work is.

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use windlass::config::element::store_url::StoreUrl;
use windlass::config::element::tls_files::TlsFiles;
use windlass::job::{Args, PayloadView, QueueName, WorkerName, payload};
use windlass::store::Store;
use windlass::store::effect::Verdict;
use windlass::store::instance::{HostIdentity, InstanceRecord, Join, Register};
use windlass::store::open::open;
use windlass::store::queueing::{Claim, Enqueue, EnqueueBatch, Exchange, Settlement};
use windlass::store::role::Whole;

const SMALL: &str = r#"{"class":"noop","queue":"bench","args":[1,{"a":"b"}]}"#;

/// How many workers take part in one exchange.
const WORKERS: usize = 50;

/// The most exchanges of one run.
const MOST: u64 = 400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (case, count, url) = match &arguments[..] {
        [case, count] => (case, count.parse(), None),
        [case, count, url] => (case, count.parse(), Some(url)),
        _ => return usage(),
    };
    let Ok(count) = count else { return usage() };
    let done = match (case.as_str(), url) {
        ("parse-small", None) => parse(SMALL, count),
        ("parse-large", None) => parse(&large(), count),
        ("encode", None) => encode(count),
        ("canonical-args", None) => canonical(count),
        ("exchange", Some(url)) => exchange(url, count),
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "counted-calls: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    let _ = writeln!(
        std::io::stderr(),
        "usage: counted-calls parse-small|parse-large|encode|canonical-args COUNT, or exchange COUNT STORE-URL"
    );
    ExitCode::from(64)
}

/// A payload of about ten kilobytes: a list of small objects.
fn large() -> String {
    let item = r#"{"id":12345,"name":"somebody","mail":"somebody@example.org","tags":["a","b"]}"#;
    format!(r#"{{"class":"noop","queue":"bench","args":[[{}]]}}"#, vec![item; 125].join(","))
}

fn parse(payload: &str, count: u64) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        let view = PayloadView::parse(black_box(payload.as_bytes()))?;
        black_box(view.args());
    }
    Ok(())
}

fn encode(count: u64) -> Result<(), Box<dyn Error>> {
    let args = Args::from_json(r#"[1,{"a":"b"}]"#)?;
    for _ in 0..count {
        black_box(payload::encode(black_box("noop"), black_box("bench"), black_box(&args)));
    }
    Ok(())
}

fn canonical(count: u64) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        black_box(Args::from_json(black_box(r#"[1,{"a":"b"}]"#))?);
    }
    Ok(())
}

fn exchange(url: &str, count: u64) -> Result<(), Box<dyn Error>> {
    if count > MOST {
        return Err(format!("at most {MOST} exchanges").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let url = StoreUrl::parse(url, Path::new("."), None)?;
        let store = open(&url, &TlsFiles::default(), "counted").await?;
        exchanges(&store, count).await
    })
}

/// As many exchanges as `count`, each settling and claiming for all workers. The queue is filled with the same number of
/// jobs whatever `count` is, so that two runs differ by their exchanges alone.
async fn exchanges(store: &Store<Whole>, count: u64) -> Result<(), Box<dyn Error>> {
    let record = record();
    store.run(Join { record: record.clone() }).await?;
    let workers = record.workers();
    store.run(Register { instance: record.id.clone(), workers: workers.clone() }).await?;
    let queue = QueueName::new("bench")?;
    let job = Enqueue {
        queue: queue.clone(),
        payload: Bytes::from_static(SMALL.as_bytes()),
        front: false,
        admissions: Vec::new(),
    };
    let jobs = vec![job; WORKERS];
    for _ in 0..MOST {
        store.run(EnqueueBatch { jobs: jobs.clone() }).await?;
    }
    let queues = Arc::from([queue]);
    let mut lane = store.lane(&record.id, 0).await?;
    let mut settlements = Vec::new();
    for sequence in 1..=count {
        let exchanged = lane
            .exchange(&Exchange {
                sequence,
                settlements: std::mem::take(&mut settlements),
                enters: Vec::new(),
                idle: workers.clone(),
                queues: Arc::clone(&queues),
                share: 1,
                run_at: "2026-11-24T03:26:18.000Z".to_owned(),
            })
            .await?;
        if exchanged.claims.len() != WORKERS || !exchanged.lost.is_empty() {
            return Err(format!("exchange {sequence} claimed {} jobs", exchanged.claims.len()).into());
        }
        let claims = exchanged.claims.into_iter();
        settlements = claims.filter_map(|claim| Some(done(workers.get(claim.index)?, claim))).collect();
    }
    Ok(())
}

/// The end of a claim that went well.
fn done(worker: &WorkerName, claim: Claim) -> Settlement {
    Settlement {
        worker: worker.clone(),
        claim: claim.token,
        queue: claim.queue,
        payload: claim.payload,
        verdict: Verdict::Done,
        free: Vec::new(),
        tick: None,
        run: None,
    }
}

fn record() -> InstanceRecord {
    InstanceRecord {
        id: InstanceRecord::new_id(),
        name: "bench-windlass:1".to_owned(),
        queues: "bench".to_owned(),
        former_queues: Vec::new(),
        host: HostIdentity {
            hostname: "bench".to_owned(),
            boot_id: "bench".to_owned(),
            pid_namespace: 1,
            pid: 1,
            started_ticks: 1,
        },
        processors: WORKERS,
        lease_ms: 15_000,
        periodic: Vec::new(),
        version: "bench".to_owned(),
    }
}
