//! What is Redis' own: exact bytes, scripts, repetition after a lost reply, reconnects. Behaviour
//! that both engines share is tested by the conformance suite.

mod bytes_on_record;
mod failures;
mod few_connections;
mod lost_replies;
mod moving;
mod server;
mod waking;
