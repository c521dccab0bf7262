//! Scripts and commands over a connection.
//!
//! Each of them fails with an error that names the key that it is about, and of a key that is refused says what to type.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use fred::types::Value;

use super::connection::Connection;
use super::refusal::{self, Fault};
use super::refused_keys::naming;
use super::reply;
use super::rights;
use super::script::{Call, Script};
use crate::store::error::StoreError;

/// How many commands are under way at a time when there are many.
const BATCH: usize = 1000;

impl Connection {
    /// Runs a script. A server that does not know it (`NOSCRIPT`) has not run it, and gets its source.
    pub(super) async fn try_run(&self, script: &Script, call: Call) -> Result<Frame, Fault> {
        self.try_run_for(script, call, 0).await
    }

    /// The same for an answer of about so many bytes.
    async fn try_run_for(&self, script: &Script, call: Call, answer: usize) -> Result<Frame, Fault> {
        let [first, second] = script.ways(&call);
        let mut arguments = call.into_command(first.1);
        let mut frame = self.send_for(first.0, arguments.clone(), answer).await?;
        if is_not_run(&frame) {
            if let Some(name) = arguments.first_mut() {
                *name = Value::Bytes(second.1);
            }
            frame = of_both(frame, self.send_for(second.0, arguments, answer).await?);
        }
        self.checked(frame).map_err(Fault::of)
    }

    /// Like [`try_run`](Self::try_run), for calls so large that keeping a copy costs: the call is built
    /// again in the rare case that the server does not know the script.
    pub(super) async fn run_built(&self, script: &Script, mut build: impl FnMut() -> Call) -> Result<Frame, Fault> {
        let call = build();
        let [first, second] = script.ways(&call);
        let mut frame = self.send(first.0, call.into_command(first.1)).await?;
        if is_not_run(&frame) {
            frame = of_both(frame, self.send(second.0, build().into_command(second.1)).await?);
        }
        self.checked(frame).map_err(Fault::of)
    }

    /// Runs a script. If the server refuses one of its keys, the error names it.
    pub(super) async fn run(&self, script: &Script, call: Call) -> Result<Frame, StoreError> {
        self.run_for(script, call, 0).await
    }

    /// The same for an answer of about so many bytes.
    pub(super) async fn run_for(&self, script: &Script, call: Call, answer: usize) -> Result<Frame, StoreError> {
        let keys = call.declared();
        match self.try_run_for(script, call, answer).await {
            Ok(frame) => Ok(frame),
            Err(fault) => Err(rights::explain_to_instance(self, naming(self, fault, keys).await).await),
        }
    }

    /// Runs one command that only reads, or is an arrow by itself.
    pub(super) async fn command(&self, name: &'static str, arguments: Vec<Bytes>) -> Result<Frame, StoreError> {
        self.command_for(name, arguments, 0).await
    }

    /// The same for an answer of about so many bytes.
    pub(super) async fn command_for(
        &self,
        name: &'static str,
        arguments: Vec<Bytes>,
        answer: usize,
    ) -> Result<Frame, StoreError> {
        let keys = keys_of(name, &arguments);
        let frame = self.send_for(name, arguments.into_iter().map(Value::Bytes).collect(), answer).await?;
        match self.checked(frame) {
            Err(error) => Err(rights::explain_to_instance(self, self.about(error, name, keys).await).await),
            frame => frame,
        }
    }

    /// What is wrong with the key that a command names; the server's message does not name it.
    async fn about(&self, error: StoreError, name: &str, keys: Vec<Bytes>) -> StoreError {
        let (reason, key) = match (Fault::of(error), keys.first()) {
            (Fault::Store(StoreError::Corrupt { reason, .. }), Some(key)) => (reason, key.clone()),
            // Of several keys it is to be found out which.
            (Fault::Keys(said), Some(key)) if keys.len() == 1 && refusal::refuses_key(&said) => {
                return refusal::may_not_touch(&self.origin.user(), &[key], Some(name), &said);
            }
            (fault, _) => return naming(self, fault, keys).await,
        };
        // Without the right to TYPE the type is not told.
        let found = match self.send("TYPE", vec![Value::Bytes(key.clone())]).await {
            Ok(frame) => reply::bytes(frame).ok().flatten().unwrap_or_default(),
            Err(_) => Bytes::new(),
        };
        let (place, found) = (String::from_utf8_lossy(&key).into_owned(), String::from_utf8_lossy(&found));
        let reason = refusal::mismatch(&self.origin.cli(), &place, name, &found, &reason);
        StoreError::Corrupt { place, reason }
    }

    /// The time that scripts of this store go by.
    pub(super) async fn now_ms(&self) -> Result<i64, StoreError> {
        if let Some(now_ms) = self.origin.now_ms() {
            return Ok(now_ms);
        }
        reply::time_ms(self.command("TIME", Vec::new()).await?)
    }

    /// The server's time, about: what it told last and has passed since, or else what it tells now. Where scripts get
    /// occurrences of calendars, they are those around it: this machine's clock may show another time.
    pub(super) async fn about_ms(&self) -> Result<i64, StoreError> {
        let known = self.origin.now_ms().or_else(|| self.origin.told.estimate());
        match known {
            Some(now_ms) => Ok(now_ms),
            None => {
                let now_ms = self.now_ms().await?;
                self.origin.told.note(now_ms);
                Ok(now_ms)
            }
        }
    }

    /// Runs several commands, in order and `BATCH` in a round trip: what waits for its answer takes memory. An error
    /// answers its own command only.
    pub(super) async fn commands(
        &self,
        commands: Vec<(&'static str, Vec<Bytes>)>,
    ) -> Result<Vec<Result<Frame, StoreError>>, StoreError> {
        let mut replies = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let sent = commands.by_ref().take(BATCH).map(|(name, arguments)| {
                let keys = keys_of(name, &arguments);
                let sent = self.send(name, arguments.into_iter().map(Value::Bytes).collect());
                async move { sent.await.map(|frame| (frame, name, keys)) }
            });
            for reply in futures_util::future::join_all(sent).await {
                let (frame, name, keys) = reply?;
                replies.push(match self.checked(frame) {
                    Err(error) => Err(self.about(error, name, keys).await),
                    frame => frame,
                });
            }
        }
        Ok(replies)
    }
}

/// The keys that a command names.
fn keys_of(name: &str, arguments: &[Bytes]) -> Vec<Bytes> {
    let several = if name == "MGET" { arguments.len() } else { 1 };
    arguments.iter().take(several).cloned().collect()
}

/// Was the script not run, because the server does not know it, or runs no source for this user?
fn is_not_run(frame: &Frame) -> bool {
    is_unknown_script(frame)
        || matches!(frame, Frame::SimpleError { data, .. }
        if refusal::command_without_right(data) == Some("eval") || data.starts_with("ERR unknown command"))
}

fn is_unknown_script(frame: &Frame) -> bool {
    matches!(frame, Frame::SimpleError { data, .. } if data.starts_with("NOSCRIPT"))
}

/// What is told of two ways: a server that may not run the source says more by that than by not knowing the script.
fn of_both(first: Frame, second: Frame) -> Frame {
    if is_unknown_script(&second) { first } else { second }
}
