//! The stream of a connection, as the parser reads and writes it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Ambiguous, Framing};
use super::slots::Slot;

/// A stream that tells when bytes come, and when all bytes are written, and that ends before a request that may be read in two
/// ways.
pub(super) struct Tapped<S> {
    pub(super) stream: S,
    slot: Arc<Slot>,
    framing: Framing,
    refused: Arc<OnceLock<Ambiguous>>,
}

impl<S> Tapped<S> {
    /// What is refused is told there.
    pub(super) fn new(stream: S, slot: Arc<Slot>, refused: Arc<OnceLock<Ambiguous>>) -> Self {
        Self { stream, slot, framing: Framing::default(), refused }
    }
}

impl<S> Tapped<S> {
    fn tell(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.slot.patience.has_no_room(),
            Poll::Ready(_) => self.slot.patience.has_room(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.refused.get() {
            Some(Ambiguous { is_begun: true, why, .. }) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *why)));
            }
            // Nothing more comes. Anyone who polls the connection ends it.
            Some(_) => return Poll::Pending,
            None => {}
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.slot.patience.read(buffer.filled().len() - before);
            if let Err(ambiguous) = self.framing.follow(buffer.filled().get(before..).unwrap_or_default()) {
                buffer.set_filled(before + ambiguous.good);
                // It is the first: after it nothing is followed.
                let _ = self.refused.set(ambiguous);
                if ambiguous.good == 0 {
                    return self.poll_read(cx, buffer);
                }
            }
        } else if read.is_pending() {
            self.slot.patience.hungers(self.framing.is_in_body());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.tell(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.tell(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all that it holds.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.slot.patience.written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
