//! A way to any port of a host behind jump hosts, for questions that are asked of it from outside.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Connection, Stream, reach};
use super::keys::ControllerKey;
use super::{Destination, FleetError};
use crate::model::Host;

/// A connection to a port of a host, over the hosts on the way to it. It ends when it is dropped.
pub struct Way {
    stream: Box<dyn Stream>,
    _through: Option<Box<Connection>>,
}

impl Way {
    /// Opens a connection to this port of the host.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn open(host: &Host, port: u16, jump_key: &ControllerKey) -> Result<Self, FleetError> {
        let to = Destination {
            port,
            ..Destination::from(host)
        };
        let (stream, through) = reach(&to, jump_key).await.map_err(|failure| failure.on(&to))?;
        Ok(Self {
            stream,
            _through: through,
        })
    }
}

impl AsyncRead for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
