//! The ceiling: what one Redis gives to the barest program that never has a job off record.
//!
//! ```text
//! ceiling HOST PORT NAMESPACE FLEET
//! ```
//!
//! Two lanes, each with a connection of its own, half of the fleet's slots (at most a hundred), and one call in flight. A
//! call of the one script settles the jobs of the lane's last call (compares every working record with what was written,
//! counts, deletes) and pops up to as many more as it has slots, each recorded under a key of its own. Nothing is done with a job: no parsing, no handler, no retry, no lock, no
//! lease, no lost replies. Whatever a real daemon does comes on top, so that its rate divided by this one is a measure
//! that noise and machines leave alone.
//!
//! This is a fixed denominator. It is never made slower.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, Resp3Frame as Frame};
use fred::types::config::{Config, ServerConfig};
use fred::types::{Builder, ClusterHash, CustomCommand, RespVersion, Value};

/// The most jobs that a call pops.
const BATCH: usize = 100;

const USAGE: &str = "usage: ceiling HOST PORT NAMESPACE FLEET, the fleet being an even number from 2 to 200";

/// KEYS   the queue, `stat:processed`, the working records of the lane's slots
/// ARGV   what opens a new record up to the slot's number, and what comes between that and the job; then what was
///        written into the records that are settled, those of the first slots
/// returns how many records were not as they were written, then the jobs, for the first slots in order
///
/// A record that is written anew need not be deleted.
const SCRIPT: &str = r"
local settled, slots = #ARGV - 2, #KEYS - 2
local mine = 0
if settled > 0 then
  local standing = redis.call('MGET', unpack(KEYS, 3, settled + 2))
  for i = 1, settled do
    if standing[i] == ARGV[i + 2] then
      mine = mine + 1
    end
  end
  redis.call('INCRBY', KEYS[2], mine)
end
local jobs = redis.call('LPOP', KEYS[1], slots) or {}
local popped = #jobs
if popped > 0 then
  local writes, head, middle = {}, ARGV[1], ARGV[2]
  for i = 1, popped do
    writes[2 * i - 1] = KEYS[i + 2]
    writes[2 * i] = head .. i .. middle .. jobs[i] .. '}'
  end
  redis.call('MSET', unpack(writes))
end
if popped < settled then
  redis.call('DEL', unpack(KEYS, popped + 3, settled + 2))
end
return { settled - mine, unpack(jobs) }
";

fn main() -> ExitCode {
    let [host, port, namespace, fleet]: [String; 4] = match std::env::args().skip(1).collect::<Vec<_>>().try_into() {
        Ok(arguments) => arguments,
        Err(_) => return end(64, USAGE),
    };
    let (Ok(port), Ok(fleet)) = (port.parse::<u16>(), fleet.parse::<usize>()) else { return end(64, USAGE) };
    if fleet < 2 || fleet % 2 != 0 || fleet > 2 * BATCH {
        return end(64, USAGE);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(1, &error.to_string()),
    };
    let lane = |number| drain(&host, port, &namespace, number, fleet / 2);
    let both = runtime.block_on(async { tokio::try_join!(lane(0), lane(1)) });
    match both {
        Ok((0, 0)) => ExitCode::SUCCESS,
        Ok((a, b)) => end(1, &format!("{} jobs were not on record as they were written", a + b)),
        Err(error) => end(1, &error.to_string()),
    }
}

fn end(code: u8, message: &str) -> ExitCode {
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "ceiling: {message}");
    ExitCode::from(code)
}

/// One lane, until the queue is empty; tells how many records were not as they were written.
async fn drain(host: &str, port: u16, namespace: &str, lane: usize, slots: usize) -> Result<u64, Box<dyn Error>> {
    let config =
        Config { server: ServerConfig::new_centralized(host, port), version: RespVersion::RESP2, ..Config::default() };
    let client = Builder::from_config(config).build()?;
    let router = client.init().await?;
    let digest = Bytes::from(load(&client).await?);

    let mut keys = vec![
        Value::Bytes(Bytes::from(format!("{namespace}:queue:bench"))),
        Value::Bytes(Bytes::from(format!("{namespace}:stat:processed"))),
    ];
    keys.extend((1..=slots).map(|slot| Value::Bytes(Bytes::from(format!("{namespace}:ceiling:{lane}:{slot}")))));
    let number_of_keys = Bytes::from(keys.len().to_string());
    let middle = "\",\"payload\":";

    let (mut written, mut lost) = (Vec::new(), 0);
    for sequence in 1_u64.. {
        let head = format!("{{\"claim\":\"{lane}-{sequence}-");
        let mut call = Vec::with_capacity(keys.len() + written.len() + 4);
        call.extend([Value::Bytes(digest.clone()), Value::Bytes(number_of_keys.clone())]);
        call.extend(keys.iter().cloned());
        call.extend([Value::Bytes(Bytes::from(head.clone())), Value::Bytes(Bytes::from_static(middle.as_bytes()))]);
        call.append(&mut written);
        let (missing, jobs) = read(client.custom_raw(command("EVALSHA"), call).await?)?;
        lost += missing;
        if jobs.is_empty() {
            break;
        }
        for (slot, job) in (1_usize..).zip(jobs) {
            let mut record = Vec::with_capacity(head.len() + middle.len() + job.len() + 4);
            record.extend_from_slice(head.as_bytes());
            record.extend_from_slice(slot.to_string().as_bytes());
            record.extend_from_slice(middle.as_bytes());
            record.extend_from_slice(&job);
            record.push(b'}');
            written.push(Value::Bytes(Bytes::from(record)));
        }
    }
    client.quit().await?;
    router.await??;
    Ok(lost)
}

async fn load(client: &Client) -> Result<String, Box<dyn Error>> {
    let arguments =
        vec![Value::Bytes(Bytes::from_static(b"LOAD")), Value::Bytes(Bytes::from_static(SCRIPT.as_bytes()))];
    client.custom_raw(command("SCRIPT"), arguments).await?;
    Ok(fred::util::sha1_hash(SCRIPT))
}

fn command(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, ClusterHash::FirstKey, false)
}

fn read(reply: Frame) -> Result<(u64, Vec<Bytes>), Box<dyn Error>> {
    let Frame::Array { data, .. } = reply else { return Err(format!("the server answered {reply:?}").into()) };
    let mut parts = data.into_iter();
    let Some(Frame::Number { data: missing, .. }) = parts.next() else {
        return Err("the server answered no number first".into());
    };
    let jobs = parts.filter_map(|part| if let Frame::BlobString { data, .. } = part { Some(data) } else { None });
    Ok((missing.max(0).unsigned_abs(), jobs.collect()))
}
