/// What has come of a connection beyond the request that is worked on. hyper reads as much as there is and tells nobody, so it is
/// counted on its way up: a head that has begun there has begun to take its time.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// From the beginning of a head on.
    bytes: Vec<u8>,
    /// Of the body of the request that is worked on, so many are still to come.
    body_bytes: u64,
    /// Nothing follows, or where it begins is not known.
    is_over: bool,
}

impl Ahead {
    /// Something has come.
    pub(super) fn heard(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        let of_body = usize::try_from(self.body_bytes).unwrap_or(usize::MAX).min(bytes.len());
        self.body_bytes -= of_body as u64;
        self.bytes.extend_from_slice(&bytes[of_body..]);
    }

    /// A head has come whole, and its body has so many bytes; `None` if its pieces say where it ends, behind which nothing is read.
    pub(super) fn begin(&mut self, body_bytes: Option<u64>) {
        let (Some(end), Some(body_bytes)) = (end_of_head(&self.bytes), body_bytes) else {
            *self = Self { is_over: true, ..Self::default() };
            return;
        };
        let rest = self.bytes.split_off(end);
        *self = Self { body_bytes, ..Self::default() };
        self.heard(&rest);
    }

    /// Whether something has come of the next head.
    pub(super) fn has_begun(&self) -> bool {
        first(&self.bytes).is_some()
    }
}

/// Where the head begins: empty lines before it are none of it (RFC 9112, section 2.2).
fn first(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// Where the head has ended: behind its first empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut begin = first(bytes)?;
    loop {
        let end = begin + bytes[begin..].iter().position(|byte| *byte == b'\n')? + 1;
        if matches!(&bytes[begin..end], b"\n" | b"\r\n") {
            return Some(end);
        }
        begin = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// Whether the next head has begun once a request with this body has come with that behind it, in pieces of so many bytes.
    fn has_begun(body: &[u8], behind: &[u8], piece: usize) -> bool {
        let (mut ahead, mut at, mut has_begun) = (Ahead::default(), 0, false);
        for bytes in [HEAD, body, behind].concat().chunks(piece) {
            ahead.heard(bytes);
            at += bytes.len();
            // As hyper does: as soon as the head is whole.
            if at >= HEAD.len() && !has_begun {
                ahead.begin(Some(body.len() as u64));
                has_begun = true;
            }
        }
        ahead.has_begun()
    }

    #[test]
    fn a_head_has_begun_where_the_body_before_it_has_ended() {
        for piece in 1..100 {
            for body in [&b""[..], b"\r\n\r\n", b"{}", &[b'x'; 200]] {
                assert!(!has_begun(body, b"", piece) && !has_begun(body, b"\r\n", piece), "{piece} {body:?}");
                assert!(has_begun(body, b"G", piece) && has_begun(body, b"\r\nGET", piece), "{piece} {body:?}");
            }
        }
    }

    #[test]
    fn of_several_in_one_piece_each_begins_behind_the_last() {
        let mut ahead = Ahead::default();
        ahead.heard(&[HEAD, b"12345", HEAD, HEAD, b"GE"].concat());
        for (body, has_begun) in [(5, true), (0, true), (0, true)] {
            ahead.begin(Some(body));
            assert_eq!(ahead.has_begun(), has_begun);
        }
        ahead.heard(b"T / HTTP/1.1\n\n");
        ahead.begin(Some(0));
        assert!(!ahead.has_begun() && ahead.bytes.capacity() == 0, "nothing is kept");
    }

    #[test]
    fn nothing_is_made_of_what_follows_a_body_in_pieces() {
        let mut ahead = Ahead::default();
        ahead.heard(&[HEAD, b"5\r\n12345\r\n0\r\n\r\n", HEAD].concat());
        ahead.begin(None);
        ahead.heard(HEAD);
        assert!(!ahead.has_begun());
    }
}
