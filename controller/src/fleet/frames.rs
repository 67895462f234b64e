//! Frames out of whatever pieces the network delivers: the asynchronous side of [`allmende_agent::protocol::frame`].

use allmende_agent::protocol::frame::{Frame, FrameError, HEAD};

/// How much may come before an agent's hello: what a login shell's start files print.
const LONGEST_NOISE: usize = 64 * 1024;

/// A hello is small; a claim beyond this is noise that looks like one.
const LARGEST_HELLO: usize = 64 * 1024;

/// How the message of a hello frame begins; the kind of the frame comes before it.
const HELLO: &[u8] = b"\x01{\"hello\":";

/// Puts frames together. Memory grows with what arrives, never with what a length claims.
#[derive(Debug, Default)]
pub(super) struct FrameDecoder {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl FrameDecoder {
    /// Takes one piece and hands every frame that it completes to `take`.
    pub(super) fn feed(&mut self, mut piece: &[u8], mut take: impl FnMut(Frame)) -> Result<(), FrameError> {
        while !piece.is_empty() {
            let missing = HEAD.saturating_sub(self.head.len());
            let (head, rest) = piece.split_at(missing.min(piece.len()));
            self.head.extend_from_slice(head);
            let Ok(head) = <[u8; HEAD]>::try_from(self.head.as_slice()) else {
                return Ok(());
            };
            let (length, wrap) = Frame::announced(head)?;
            let (body, rest) = rest.split_at((length - self.body.len()).min(rest.len()));
            self.body.extend_from_slice(body);
            if self.body.len() == length {
                take(wrap(std::mem::take(&mut self.body)));
                self.head.clear();
            }
            piece = rest;
        }
        Ok(())
    }

    /// Whether the stream ended inside a frame.
    pub(super) fn is_inside_a_frame(&self) -> bool {
        !self.head.is_empty()
    }
}

/// Finds the agent's hello behind what a login shell's start files may have printed.
///
/// The forced command runs in root's login shell, and bash reads `.bashrc` when `sshd` starts it: one `echo` there must not
/// make a host unreachable.
#[derive(Debug, Default)]
pub(super) struct HelloFinder {
    seen: Vec<u8>,
    /// No hello begins before here.
    searched: usize,
}

/// No hello came where one was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoHello;

impl HelloFinder {
    /// Takes one piece. Once the hello begins, returns everything from there on.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, NoHello> {
        self.seen.extend_from_slice(piece);
        let longest = HEAD - 1 + HELLO.len();
        let start = self.seen[self.searched..]
            .windows(longest)
            .position(announces_hello)
            .map(|position| self.searched + position);
        self.searched = (self.seen.len() + 1).saturating_sub(longest);
        match start {
            Some(start) => Ok(Some(self.seen.split_off(start))),
            None if self.seen.len() > LONGEST_NOISE => Err(NoHello),
            None => Ok(None),
        }
    }

    /// What came instead of a hello, or before it.
    pub(super) fn noise(&self) -> &[u8] {
        &self.seen
    }
}

/// Whether a window of bytes is a frame's head and the beginning of a hello.
fn announces_hello(window: &[u8]) -> bool {
    let Some((head, _)) = window.split_first_chunk::<HEAD>() else {
        return false;
    };
    window[HEAD - 1..] == *HELLO && Frame::announced(*head).is_ok_and(|(length, _)| length <= LARGEST_HELLO)
}

/// A frame as the bytes that go over the wire.
pub(super) fn encode(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    let head = frame.head()?;
    let mut bytes = Vec::with_capacity(HEAD + frame.body().len());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(frame.body());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, FrameError> {
        let mut decoder = FrameDecoder::default();
        let mut frames = Vec::new();
        for piece in bytes.chunks(piece.max(1)) {
            decoder.feed(piece, |frame| frames.push(frame))?;
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            bodies in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..6),
            piece in 1usize..400,
        ) {
            let frames: Vec<Frame> = bodies
                .into_iter()
                .map(|(blob, body)| if blob { Frame::Blob(body) } else { Frame::Message(body) })
                .collect();
            let mut bytes = Vec::new();
            for frame in &frames {
                bytes.extend(encode(frame).expect("fits"));
            }
            prop_assert_eq!(decode(&bytes, piece).expect("decodes"), frames);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            let _ = decode(&bytes, piece);
            let mut finder = HelloFinder::default();
            for piece in bytes.chunks(piece) {
                let _ = finder.feed(piece);
            }
        }

        #[test]
        fn a_hello_is_found_behind_noise(noise in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..100) {
            let hello = encode(&Frame::Message(br#"{"hello":{"protocol":1}}"#.to_vec())).expect("fits");
            let bytes = [noise.as_slice(), &hello].concat();
            let mut finder = HelloFinder::default();
            let mut found = None;
            for piece in bytes.chunks(piece) {
                match &mut found {
                    None => found = finder.feed(piece).expect("not too much"),
                    Some(found) => found.extend_from_slice(piece),
                }
            }
            prop_assert_eq!(found, Some(hello));
            prop_assert_eq!(finder.noise(), noise);
        }
    }

    #[test]
    fn an_empty_body_is_a_frame() {
        assert_eq!(
            decode(&[0, 0, 0, 0, 2], 5).expect("decodes"),
            [Frame::Blob(Vec::new())]
        );
    }

    #[test]
    fn a_claim_of_four_gigabytes_is_refused_before_anything_is_kept() {
        let mut decoder = FrameDecoder::default();
        let error = decoder
            .feed(&[0xff, 0xff, 0xff, 0xff, 1, b'x'], |_| ())
            .expect_err("too large");
        assert!(matches!(error, FrameError::TooLarge { .. }));
        assert_eq!(decoder.body.capacity(), 0);
    }

    #[test]
    fn a_large_claim_reserves_nothing() {
        let mut decoder = FrameDecoder::default();
        decoder
            .feed(&[0, 0x7f, 0xff, 0xff, 1, b'x'], |_| ())
            .expect("waits");
        assert!(decoder.body.capacity() < 64);
        assert!(decoder.is_inside_a_frame());
    }

    #[test]
    fn endless_noise_is_no_hello() {
        let mut finder = HelloFinder::default();
        assert_eq!(finder.feed(&[b'x'; LONGEST_NOISE]), Ok(None));
        assert_eq!(finder.feed(b"x"), Err(NoHello));
    }
}
