//! Layers stand between a store's handle and its engine. They look at arrows, change them, or answer in the engine's
//! place.
//!
//! A [`Layer`] gets every arrow without its type, including the exchanges of lanes and the looks of wakers. It asks for
//! the types that it knows and passes on all others unchanged, so an arrow that is added later breaks no layer. A store
//! without layers skips this file and boxes nothing.
//!
//! ```
//! use async_trait::async_trait;
//! use windlass::store::StoreError;
//! use windlass::store::layer::{AnyArrow, AnyReply, Layer, Next};
//! use windlass::store::queueing::EnqueueBatch;
//!
//! /// Everything goes to the head of its queue.
//! struct Front;
//!
//! #[async_trait]
//! impl Layer for Front {
//!     async fn around(&self, mut arrow: AnyArrow, mut next: Next<'_>) -> Result<AnyReply, StoreError> {
//!         if let Some(batch) = arrow.get_mut::<EnqueueBatch>() {
//!             batch.jobs.iter_mut().for_each(|job| job.front = true);
//!         }
//!         next.pass(arrow).await
//!     }
//! }
//! ```

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::arrow::{Arrow, Kind};
use super::error::StoreError;

/// Sees all arrows of a store on their way to the engine.
#[async_trait]
pub trait Layer: Send + Sync {
    /// Handles one arrow. [`Next::pass`] passes it on towards the engine; it may be called once, several times, or not
    /// at all.
    ///
    /// # Errors
    /// The caller of the arrow gets the error.
    async fn around(&self, arrow: AnyArrow, next: Next<'_>) -> Result<AnyReply, StoreError>;
}

impl fmt::Debug for dyn Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}

/// The layers of a store, the outermost first.
pub(super) type Layers = Arc<[Arc<dyn Layer>]>;

/// An arrow whose type is found out by asking.
#[derive(Clone)]
pub struct AnyArrow {
    name: &'static str,
    kind: Kind,
    arrow: Box<dyn Erased>,
}

impl AnyArrow {
    /// Wraps an arrow.
    pub fn new<A: Arrow>(arrow: A) -> Self {
        Self { name: A::NAME, kind: A::KIND, arrow: Box::new(arrow) }
    }

    /// The arrow's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it changes something.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The arrow, if it is of this type.
    #[must_use]
    pub fn get<A: Arrow>(&self) -> Option<&A> {
        self.arrow.as_any().downcast_ref()
    }

    /// The arrow, to be changed, if it is of this type.
    pub fn get_mut<A: Arrow>(&mut self) -> Option<&mut A> {
        self.arrow.as_any_mut().downcast_mut()
    }

    /// The arrow, if it is of this type.
    fn take<A: Arrow>(self) -> Result<A, StoreError> {
        let name = self.name;
        match self.arrow.into_any().downcast() {
            Ok(arrow) => Ok(*arrow),
            Err(_) => Err(StoreError::Misuse(format!("a layer passed {name} on in place of {}", A::NAME))),
        }
    }
}

impl fmt::Debug for AnyArrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyArrow").field(&self.name).finish()
    }
}

trait Erased: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn boxed_clone(&self) -> Box<dyn Erased>;
}

impl<A: Arrow> Erased for A {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
    fn boxed_clone(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Erased> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

/// An arrow's reply, whose type is found out by asking.
pub struct AnyReply(Box<dyn Any + Send>);

impl AnyReply {
    /// The reply to an arrow of this type.
    pub fn to<A: Arrow>(reply: A::Reply) -> Self {
        Self(Box::new(reply))
    }

    /// The reply, if it is one to this type of arrow.
    #[must_use]
    pub fn get<A: Arrow>(&self) -> Option<&A::Reply> {
        self.0.downcast_ref()
    }

    /// The reply, to be changed, if it is one to this type of arrow.
    pub fn get_mut<A: Arrow>(&mut self) -> Option<&mut A::Reply> {
        self.0.downcast_mut()
    }

    fn take<A: Arrow>(self) -> Result<A::Reply, StoreError> {
        match self.0.downcast() {
            Ok(reply) => Ok(*reply),
            Err(_) => Err(StoreError::Misuse(format!("a layer gave {} the reply to another arrow", A::NAME))),
        }
    }
}

impl fmt::Debug for AnyReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyReply")
    }
}

/// The way on to the engine.
pub struct Next<'a> {
    layers: &'a [Arc<dyn Layer>],
    end: &'a mut dyn Innermost,
}

impl Next<'_> {
    /// Passes an arrow on. [`AnyArrow::kind`] tells whether a layer may pass it twice.
    ///
    /// # Errors
    /// Those of the arrow, and of the layers further in.
    pub async fn pass(&mut self, arrow: AnyArrow) -> Result<AnyReply, StoreError> {
        match self.layers.split_first() {
            Some((layer, layers)) => layer.around(arrow, Next { layers, end: &mut *self.end }).await,
            None => self.end.perform(arrow).await,
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// What performs an arrow behind all layers.
trait Innermost: Send {
    fn perform<'a>(&'a mut self, arrow: AnyArrow) -> BoxFuture<'a, Result<AnyReply, StoreError>>;
}

/// Performs arrows of one type with a function.
struct Typed<A, F>(F, std::marker::PhantomData<fn(A)>);

impl<A, F> Innermost for Typed<A, F>
where
    A: Arrow,
    F: AsyncInnermost<A>,
{
    fn perform<'a>(&'a mut self, arrow: AnyArrow) -> BoxFuture<'a, Result<AnyReply, StoreError>> {
        Box::pin(async move { Ok(AnyReply::to::<A>(self.0.perform(arrow.take::<A>()?).await?)) })
    }
}

/// What performs arrows of one type behind all layers: an engine, an open lane, an armed waker.
pub(super) trait AsyncInnermost<A: Arrow>: Send {
    fn perform(&mut self, arrow: A) -> impl Future<Output = Result<A::Reply, StoreError>> + Send;
}

/// Takes an arrow through layers to its end.
pub(super) async fn through<A: Arrow>(
    layers: &Layers,
    arrow: A,
    end: impl AsyncInnermost<A>,
) -> Result<A::Reply, StoreError> {
    let mut end = Typed(end, std::marker::PhantomData);
    let reply = Next { layers, end: &mut end }.pass(AnyArrow::new(arrow)).await?;
    reply.take::<A>()
}
