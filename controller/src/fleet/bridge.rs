//! A channel over which an engine on a host reaches its repository on the controller.
//!
//! As with the agent's own channel, a task always drains it, so that it never holds up the others of its connection. What
//! lies there unread is bounded by what is spoken over it: HTTP/2 sends no more than it was told that there is room for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::FleetError;
use super::connection::Connection;

/// Who sends more than this, in bytes, without waiting for it to be read does not keep to what was agreed.
const BACKLOG: usize = 32 * 1024 * 1024;

/// The controller's end of a bridge. Dropping it closes the channel, and with it the engine's way.
pub struct Bridge {
    pieces: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What is being read, and how much of it was.
    piece: (Vec<u8>, usize),
    backlog: Arc<AtomicUsize>,
    write: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Bridge {
    /// Opens a bridge; the engine comes to it by its name.
    pub(super) async fn open(connection: &Connection, name: &str) -> Result<Self, FleetError> {
        let channel = connection.channel().await?;
        // The forced command starts the agent, which sees what was asked for.
        let command = format!("{} bridge {name}", allmende_agent::AGENT_PATH);
        if let Err(error) = channel.exec(false, command).await {
            return Err(connection.lost("while a bridge was opened", Some(error)));
        }
        let (read, write) = channel.split();
        let (sender, pieces) = mpsc::unbounded_channel();
        let backlog = Arc::<AtomicUsize>::default();
        let writer = Box::pin(write.make_writer());
        tokio::spawn(drain(read, write, sender, Arc::clone(&backlog)));
        Ok(Self {
            pieces,
            piece: Default::default(),
            backlog,
            write: writer,
        })
    }
}

/// Takes what comes until nothing more does, or nobody wants it.
async fn drain(
    mut read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    pieces: mpsc::UnboundedSender<Vec<u8>>,
    backlog: Arc<AtomicUsize>,
) {
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = pieces.closed() => break,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                let before = backlog.fetch_add(data.len(), Ordering::Relaxed);
                if before.saturating_add(data.len()) > BACKLOG || pieces.send(data.to_vec()).is_err() {
                    break;
                }
            }
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    let _ = write.close().await;
}

impl AsyncRead for Bridge {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bridge = &mut *self;
        while bridge.piece.1 >= bridge.piece.0.len() {
            match ready!(bridge.pieces.poll_recv(context)) {
                Some(piece) => bridge.piece = (piece, 0),
                None => return Poll::Ready(Ok(())),
            }
        }
        let (piece, done) = &mut bridge.piece;
        let rest = piece.get(*done..).unwrap_or_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        *done += count;
        bridge.backlog.fetch_sub(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.as_mut().poll_shutdown(context)
    }
}
