//! An instance's life in the store: join, register, extend, unregister, leave.

use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use futures_util::FutureExt as _;
use futures_util::future::select_ok;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::removed;
use super::renewals::Renewals;
use super::script::{Call, Script, script};
use super::worker_keys::{member, members, ping_tail};
use super::{history, leader, memory, reply, rights, showing, wishes};
use crate::job::WorkerName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::{
    Bury, Extend, Extended, InstanceRecord, InstanceState, Instances, Join, Joined, Leave, MOST_INSTANCES, Oversee,
    Overseen, ReadSuspicion, Register, Removed, RemovedState, Suspect, Suspicion, Unregister, many_instances,
};
use crate::store::scheduling::{Lead, Leadership};
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::wishes::{MOST, names};
use crate::store::working::WorkingRecord;

static JOIN: Script = script!("join");
static REGISTER: Script = script!("members", "register");
static UNREGISTER: Script = script!("members", "unregister");
static EXTEND: Script = script!("locks", "members", "beat", "history", "wishes", "extend");
static EXTEND_HELD: Script = script!("lend", "held", "locks", "members", "beat", "history", "wishes", "extend");
static REINSTATE: Script = script!("members", "reinstate");
static LEAVE: Script = script!("members", "history", "leave");
static BURY: Script = script!("members", "beat", "bury");
static INSTANCES: Script = script!("leadership", "beat", "instances");

impl Perform<Join> for RedisStore {
    async fn perform(&self, arrow: Join) -> Result<Joined, StoreError> {
        let joined = join(&self.connection, &arrow.record).await;
        memory::check(&self.connection, &self.asked).await;
        joined
    }
}

impl Perform<Register> for RedisStore {
    async fn perform(&self, arrow: Register) -> Result<Vec<WorkingRecord>, StoreError> {
        register(&self.connection, &arrow.workers).await
    }
}

impl Perform<Unregister> for RedisStore {
    async fn perform(&self, arrow: Unregister) -> Result<(), StoreError> {
        unregister(&self.connection, &arrow.workers).await
    }
}

impl Perform<Extend> for RedisStore {
    async fn perform(&self, arrow: Extend) -> Result<Extended, StoreError> {
        extend(&self.connection, &arrow).await
    }
}

impl Perform<Leave> for RedisStore {
    async fn perform(&self, arrow: Leave) -> Result<(), StoreError> {
        leave(&self.connection, &arrow).await
    }
}

impl Perform<ReadSuspicion> for RedisStore {
    async fn perform(&self, _: ReadSuspicion) -> Result<Suspicion, StoreError> {
        Ok(suspicion(&self.connection).await)
    }
}

impl Perform<Suspect> for RedisStore {
    async fn perform(&self, _: Suspect) -> Result<bool, StoreError> {
        Ok(true)
    }
}

impl Perform<Bury> for RedisStore {
    async fn perform(&self, arrow: Bury) -> Result<bool, StoreError> {
        bury(&self.connection, &arrow.dead).await
    }
}

impl Perform<Instances> for RedisStore {
    async fn perform(&self, _: Instances) -> Result<Vec<InstanceState>, StoreError> {
        instances(&self.connection).await
    }
}

impl Perform<Oversee> for RedisStore {
    async fn perform(&self, arrow: Oversee) -> Result<Overseen, StoreError> {
        let overseen = oversee(&self.connection, &arrow).await;
        memory::check(&self.connection, &self.asked).await;
        overseen
    }
}

/// While the only server there is takes no writes from anybody, nobody can declare an instance dead, and anyone who watches its
/// counter fails as well and begins anew afterwards. Of several servers another may be the master by now.
async fn suspicion(connection: &Connection) -> Suspicion {
    if !connection.origin.is_one_server() {
        return Suspicion::Unknown;
    }
    let refuses_everybody = |asked: Result<(), StoreError>| match asked {
        Err(StoreError::Refusing { state, .. }) if state.concerns_everybody() => Ok(()),
        Ok(()) | Err(_) => Err(()),
    };
    // A write that changes nothing where writes are taken.
    let write =
        async { refuses_everybody(connection.command("DEL", vec![connection.keys().nothing()]).await.map(drop)) };
    // After its start the server takes no connections until it has loaded its data.
    let connect = async { refuses_everybody(connection.origin.try_to_open().await) };
    match select_ok([write.boxed(), connect.boxed()]).await {
        Ok(_) => Suspicion::Trusted,
        Err(()) => Suspicion::Unknown,
    }
}

pub(super) async fn join(connection: &Connection, record: &InstanceRecord) -> Result<Joined, StoreError> {
    rights::ask(connection).await?;
    connection.origin.rights.need_all();
    // From now on the lease depends on answers that come in time.
    connection.origin.patience.hold(Duration::from_millis(record.lease_ms));
    let mut unreadable = Bytes::new();
    loop {
        let holder = attempt_join(connection, record, unreadable).await?;
        if holder.is_empty() {
            connection.origin.beats.begin(connection.keys(), &record.id);
            return Ok(Joined::Yes);
        }
        match serde_json::from_slice::<InstanceRecord>(&holder) {
            Ok(other) => return Ok(Joined::NameTaken(Box::new(other))),
            // No instance can find it dead, because it cannot be read. The name holds a process id, which is ours now.
            Err(_) => unreadable = holder,
        }
    }
}

/// One call of the script, which replaces a registration of exactly the bytes in `unreadable`; what holds the name.
async fn attempt_join(
    connection: &Connection,
    record: &InstanceRecord,
    unreadable: Bytes,
) -> Result<Bytes, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.instances()).key(keys.leases()).key(keys.names()).key(keys.birth());
    call.text(&record.id).text(&record.name).arg(Bytes::from(format!("\"name\":{}", named(&record.name)?)));
    call.arg(encoded(record)?).arg(unreadable);
    Ok(reply::bytes(connection.run(&JOIN, call).await?)?.unwrap_or_default())
}

pub(super) async fn register(
    connection: &Connection,
    workers: &[WorkerName],
) -> Result<Vec<WorkingRecord>, StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().workers());
    members(&mut call, connection.keys(), workers);
    let standing = reply::list(connection.run(&REGISTER, call).await?)?;
    let mut left = Vec::new();
    for (worker, record) in workers.iter().zip(standing) {
        left.extend(reply::bytes(record)?.map(|raw| WorkingRecord::parse(worker, raw)));
    }
    Ok(left)
}

pub(super) async fn unregister(connection: &Connection, workers: &[WorkerName]) -> Result<(), StoreError> {
    let mut call = connection.call();
    call.key(connection.keys().workers());
    members(&mut call, connection.keys(), workers);
    connection.run(&UNREGISTER, call).await.map(drop)
}

pub(super) async fn extend(connection: &Connection, extend: &Extend) -> Result<Extended, StoreError> {
    let (keys, told) = (connection.keys(), &connection.origin.told);
    // One that only pings makes no command that it need not make, because an idle instance sends it every few seconds.
    let looks = !extend.only_pings();
    let estimated = if looks { None } else { told.estimate() };
    let mut call = Call::at(connection.origin.now_ms().or(estimated));
    call.key(keys.instances()).key(keys.leases()).key(keys.birth()).key(keys.workers());
    call.text(&extend.record.id);
    // With the census it is compared, because another program may have removed or overwritten it.
    call.arg(if extend.publish || extend.census { encoded(&extend.record)? } else { Bytes::new() });
    call.flag(extend.census).flag(looks);
    let from = call.lengths().0;
    members(&mut call, keys, &extend.workers);
    // What shows the wakers that the server tells of changes is written with the pings.
    let pings = !extend.pinged.is_empty() || !extend.workers.is_empty();
    let shown = connection.origin.beats.next(keys, &extend.record.id, pings);
    call.number(extend.pinged.len() + usize::from(shown.is_some()));
    for worker in &extend.pinged {
        call.key(keys.ping(worker.name())).arg(ping_tail(worker));
    }
    let shown = shown.map(|(key, which)| {
        call.key(key).literal("}");
        which
    });
    let renewals = Renewals::write(&mut call, keys, extend, from);
    if looks {
        let done: Vec<String> = extend.done.iter().flat_map(names).collect();
        call.key(keys.wishes(&extend.record.id)).number(MOST).number(done.len());
        for name in &done {
            call.text(name);
        }
        showing::progress(&mut call, keys, &extend.record.id, &extend.progress);
    }
    if !extend.ran.is_empty() {
        call.key(keys.lane(&extend.record.id));
        history::ran(&mut call, keys, &extend.ran);
    }
    let script = renewals.pick(&mut call, [&EXTEND, &EXTEND_HELD]);
    let mut reply = reply::list(connection.run(script, call).await?)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let dead = reply::number(next())? == 1;
    let birth = reply::bytes(next())?.filter(|mark| !mark.is_empty());
    let birth = birth.map(|mark| String::from_utf8_lossy(&mark).into_owned());
    if dead {
        // Who emptied the store took with it whom the server is to tell.
        connection.origin.forgotten.send_modify(|times| *times += 1);
        return Ok(Extended { dead, birth, ..Extended::default() });
    }
    if let Some(which) = shown {
        connection.origin.beats.note(which);
    }
    let (removed, lost_locks, deleted_locks) = (indexes(next())?, indexes(next())?, indexes(next())?);
    let instances = reply::number(next())?;
    let instances = usize::try_from(instances).ok().filter(|_| extend.census);
    let mut removed: Vec<_> = removed.into_iter().map(|index| Removed { index, left: RemovedState::Nothing }).collect();
    let left = reply::list(next())?;
    let mut findings: Vec<_> = reply::strings(next())?.iter().flat_map(|error| connection.findings(error)).collect();
    let now_ms = reply::bytes(next())?;
    if looks && let Some(now_ms) = now_ms.as_deref().and_then(reply::parsed) {
        told.note(now_ms);
    }
    // A step that read none has not found that all can be read.
    let wishes = Some(next()).filter(|_| looks).map(|read| wishes::wishes(connection, &extend.record.id, read));
    let wishes = wishes.transpose()?.unwrap_or_default();
    let taken =
        if extend.ran.is_empty() { 0 } else { reply::bytes(next())?.as_deref().and_then(reply::parsed).unwrap_or(0) };
    let mut left = left.into_iter();
    let mut standing = Vec::new();
    while let (Some(index), Some(raw)) = (left.next(), left.next()) {
        let index = usize::try_from(reply::number(index)?).unwrap_or(usize::MAX);
        if let (Some(worker), Some(raw)) = (extend.workers.get(index), reply::bytes(raw)?) {
            standing.push((index, WorkingRecord::parse(worker, raw)));
        }
    }
    // A command was refused midway. The error that names all missing rights takes the place of that one.
    if let Err(all @ StoreError::MissingRights(_)) = rights::ensure(connection).await {
        findings.retain(|finding| !matches!(finding, StoreError::Unsupported(_)));
        findings.push(all);
    }
    if !standing.is_empty() {
        match reinstate(connection, &extend.record.id, standing).await {
            Ok(reinstated) => removed.extend(reinstated),
            // They are still removed, so that the next step finds them again. The others are members again, so that only
            // this reply can tell of them.
            Err(error) if error.is_transient() => {}
            Err(error) => findings.push(error),
        }
        removed.sort_by_key(|removed| removed.index);
    }
    Ok(Extended { dead, birth, removed, lost_locks, deleted_locks, instances, wishes, taken, findings })
}

/// Registers removed workers again that have working records of ours.
async fn reinstate(
    connection: &Connection,
    instance: &str,
    standing: Vec<(usize, WorkingRecord)>,
) -> Result<Vec<Removed>, StoreError> {
    let (indexes, records): (Vec<_>, Vec<_>) = standing.into_iter().unzip();
    let failed = removed::were_failed(connection, &records).await?;
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.leases()).key(keys.workers()).text(instance).number(records.len());
    for (record, failed) in records.iter().zip(&failed) {
        member(&mut call, keys, &record.worker);
        call.arg(if *failed { record.raw.clone() } else { Bytes::new() });
    }
    connection.run(&REINSTATE, call).await?;
    let found = |((index, record), failed): ((usize, WorkingRecord), bool)| {
        let claim = record.claim?;
        Some(Removed { index, left: if failed { RemovedState::Failed(claim) } else { RemovedState::Claim(claim) } })
    };
    Ok(indexes.into_iter().zip(records).zip(failed).filter_map(found).collect())
}

pub(super) async fn leave(connection: &Connection, leave: &Leave) -> Result<(), StoreError> {
    let (keys, record) = (connection.keys(), &leave.record);
    let mut call = connection.call();
    whole(&mut call, keys, record);
    call.text(&record.id).text(&record.name);
    members(&mut call, keys, &record.workers());
    history::ran(&mut call, keys, &leave.ran);
    let reply = reply::list(connection.run(&LEAVE, call).await?)?;
    let errors = reply::strings(reply.into_iter().nth(1).unwrap_or(Frame::Null))?;
    for finding in errors.iter().flat_map(|error| connection.findings(error)) {
        let subject = format!("what instance {} leaves: {finding}", record.id);
        let text = format!("instance {} left what it could not remove: failed to {finding}", record.name);
        connection.origin.findings.tell(&subject, text);
    }
    Ok(())
}

pub(super) async fn bury(connection: &Connection, dead: &InstanceState) -> Result<bool, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    whole(&mut call, keys, &dead.record);
    call.text(&dead.record.id).text(&dead.record.name).number(dead.counter);
    members(&mut call, keys, &dead.record.workers());
    Ok(reply::number(connection.run(&BURY, call).await?)? == 1)
}

pub(super) async fn instances(connection: &Connection) -> Result<Vec<InstanceState>, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.instances()).key(keys.leases()).literal("").literal("");
    states(connection, call, None).await.map(|overseen| overseen.instances)
}

pub(super) async fn oversee(connection: &Connection, oversee: &Oversee) -> Result<Overseen, StoreError> {
    let keys = connection.keys();
    // While a registration stands that cannot be read, all are read: it may have no lease, by which those are counted that do.
    let alone = oversee.alone.as_ref().filter(|_| !connection.origin.findings.passes_over(RecordKind::Instance));
    let mut call = connection.call();
    call.key(keys.instances()).key(keys.leases()).key(keys.leadership(Leadership::Duties));
    call.text(alone.map_or("", |record| record.id.as_str())).text(&oversee.owner).number(oversee.ttl_ms.max(1));
    call.flag(oversee.also.is_some());
    if let Some(Lead { which, owner, ttl_ms }) = &oversee.also {
        leader::ask(&mut call, keys, *which, owner, *ttl_ms);
    }
    states(connection, call, alone).await
}

/// `alone` is the record of the only instance there is, if it was not to be read again.
async fn states(connection: &Connection, call: Call, alone: Option<&InstanceRecord>) -> Result<Overseen, StoreError> {
    let mut reply = reply::list(connection.run(&INSTANCES, call).await?)?.into_iter();
    let mut held = || reply::number(reply.next().unwrap_or(Frame::Null));
    let (leads, also) = (held()? == 1, Some(held()?).filter(|held| *held >= 0).map(|held| held == 1));
    let (mut states, mut passed) = (Vec::new(), PassedOver::new(RecordKind::Instance));
    let parts: Vec<Bytes> = reply.map(|part| reply::bytes(part).ok().flatten().unwrap_or_default()).collect();
    if !parts.len().is_multiple_of(3) || alone.is_some() {
        // Others were left, or not looked at.
        passed.ends_early();
    }
    for registration in parts.chunks_exact(3) {
        let [id, record, counter] = registration else { continue };
        let read = match alone {
            Some(alone) if record.is_empty() => Ok(alone.clone()),
            _ => serde_json::from_slice(record),
        };
        match read {
            Ok(record) if record.id.as_bytes() != &**id => passed.add(id, "it is the record of another instance"),
            Ok(record) => states.push(InstanceState { record, counter: reply::parsed(counter).unwrap_or(0) }),
            // A registration that cannot be read must not stop the recovery of the others.
            Err(error) => passed.add(id, &error.to_string()),
        }
    }
    connection.passed_over(&passed, &connection.keys().instances());
    if parts.len() / 3 >= MOST_INSTANCES {
        connection.origin.findings.tell("registrations of instances", many_instances());
    }
    states.sort_by(|one, other| one.record.id.cmp(&other.record.id));
    Ok(Overseen { leads, also, instances: states })
}

/// The keys that hold something of an instance.
fn whole(call: &mut Call, keys: &Keys, record: &InstanceRecord) {
    call.key(keys.instances()).key(keys.leases()).key(keys.names()).key(keys.lane(&record.id)).key(keys.workers());
    call.key(keys.wishes(&record.id)).key(keys.progress(&record.id)).keys(&keys.beats(&record.id));
}

pub(super) fn encoded(record: &InstanceRecord) -> Result<Bytes, StoreError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(|error| StoreError::Misuse(error.to_string()))
}

/// A name as it stands in a record.
fn named(name: &str) -> Result<String, StoreError> {
    serde_json::to_string(name).map_err(|error| StoreError::Misuse(error.to_string()))
}

pub(super) fn indexes(frame: Frame) -> Result<Vec<usize>, StoreError> {
    let numbers = reply::list(frame)?.into_iter().map(reply::count);
    numbers.map(|number| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))).collect()
}
