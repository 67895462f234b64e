//! Frames: a length, a kind and a body.

use std::io::{self, Read, Write};

/// The largest body a frame may have, in bytes. A desired state of a big host is well below it.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// The size of a blob chunk that senders use, in bytes.
pub const BLOB_CHUNK: usize = 128 * 1024;

/// The length of a frame's head: four bytes of length (big endian, of the body alone) and one byte of kind.
pub const HEAD: usize = 5;

const KIND_MESSAGE: u8 = 1;
const KIND_BLOB: u8 = 2;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message as JSON text.
    Message(Vec<u8>),
    /// A piece of a blob whose transfer a message announced.
    Blob(Vec<u8>),
}

/// Makes a frame of a body.
pub type Wrap = fn(Vec<u8>) -> Frame;

impl Frame {
    /// The bytes of the frame's head, for writers that cannot use [`write_frame`].
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] if the body exceeds [`MAX_BODY`].
    pub fn head(&self) -> Result<[u8; HEAD], FrameError> {
        let (kind, body) = match self {
            Frame::Message(body) => (KIND_MESSAGE, body),
            Frame::Blob(body) => (KIND_BLOB, body),
        };
        let length = u32::try_from(body.len())
            .ok()
            .filter(|length| *length as usize <= MAX_BODY)
            .ok_or(FrameError::TooLarge {
                claimed: body.len() as u64,
            })?;
        let [a, b, c, d] = length.to_be_bytes();
        Ok([a, b, c, d, kind])
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        match self {
            Frame::Message(body) | Frame::Blob(body) => body,
        }
    }

    /// What a head announces: the length of the body and the constructor for its kind.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] and [`FrameError::UnknownKind`]; nothing is allocated before they are ruled out.
    pub fn announced(head: [u8; HEAD]) -> Result<(usize, Wrap), FrameError> {
        let [a, b, c, d, kind] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let wrap: Wrap = match kind {
            KIND_MESSAGE => Frame::Message,
            KIND_BLOB => Frame::Blob,
            kind => return Err(FrameError::UnknownKind { kind }),
        };
        if length > MAX_BODY {
            return Err(FrameError::TooLarge {
                claimed: length as u64,
            });
        }
        Ok((length, wrap))
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer claims more than [`MAX_BODY`].
    #[error(
        "a frame of {claimed} bytes was announced, at most {MAX_BODY} are allowed: the other side does not speak this protocol"
    )]
    TooLarge {
        /// The length that the head claims.
        claimed: u64,
    },
    /// A kind that this version does not know.
    #[error("a frame of the unknown kind {kind} came in: the other side does not speak this protocol")]
    UnknownKind {
        /// The byte found.
        kind: u8,
    },
    /// The stream ended inside a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads one frame; `None` at the end of the stream.
///
/// Memory grows with what really arrives, never with what a length merely claims.
///
/// # Errors
/// See [`FrameError`].
pub fn read_frame(input: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut head = [0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match input.read(&mut head[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Truncated),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (length, wrap) = Frame::announced(head)?;
    let mut body = Vec::new();
    input.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(FrameError::Truncated);
    }
    Ok(Some(wrap(body)))
}

/// Writes one frame and flushes.
///
/// # Errors
/// See [`FrameError`].
pub fn write_frame(output: &mut impl Write, frame: &Frame) -> Result<(), FrameError> {
    output.write_all(&frame.head()?)?;
    output.write_all(frame.body())?;
    output.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(body in proptest::collection::vec(any::<u8>(), 0..5000), blob: bool) {
            let frame = if blob { Frame::Blob(body) } else { Frame::Message(body) };
            let mut bytes = Vec::new();
            write_frame(&mut bytes, &frame).expect("fits");
            let mut input = bytes.as_slice();
            prop_assert_eq!(read_frame(&mut input).expect("reads"), Some(frame));
            prop_assert_eq!(read_frame(&mut input).expect("ends"), None);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut input = bytes.as_slice();
            while let Ok(Some(_)) = read_frame(&mut input) {}
        }
    }

    #[test]
    fn a_claim_of_four_gigabytes_is_refused() {
        let mut input: &[u8] = &[0xff, 0xff, 0xff, 0xff, KIND_MESSAGE];
        assert!(matches!(
            read_frame(&mut input),
            Err(FrameError::TooLarge { claimed: 0xffff_ffff })
        ));
    }

    #[test]
    fn a_frame_that_ends_early_is_truncated() {
        let mut input: &[u8] = &[0, 0, 0, 9, KIND_MESSAGE, b'{'];
        assert!(matches!(read_frame(&mut input), Err(FrameError::Truncated)));
        let mut input: &[u8] = &[0, 0];
        assert!(matches!(read_frame(&mut input), Err(FrameError::Truncated)));
    }
}
