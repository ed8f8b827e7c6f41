//! An AMQP client that sends what a library refuses to send: broken or oversized messages.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;
/// How long the broker may take for each answer.
const BOUND: Duration = Duration::from_secs(10);
/// The flag of the property `headers`.
pub const HEADERS: u16 = 1 << 13;
/// The flag of the property `message-id`.
pub const MESSAGE_ID: u16 = 1 << 7;

/// A connection with one channel, in confirm mode.
pub struct RawAmqp {
    stream: TcpStream,
}

impl RawAmqp {
    /// Logs in as `guest` to the broker on this port of 127.0.0.1.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(BOUND))?;
        let mut client = Self { stream };
        client.stream.write_all(b"AMQP\0\0\x09\x01")?;
        client.expect((10, 10))?;
        let login = [long(b""), short(b"PLAIN"), long(b"\0guest\0guest"), short(b"en_US")];
        client.method(0, (10, 11), &login.concat())?;
        let tune = client.expect((10, 30))?;
        client.method(0, (10, 31), &[&tune[..6], &[0, 0]].concat())?;
        client.method(0, (10, 40), &[short(b"/"), short(b""), vec![0]].concat())?;
        client.expect((10, 41))?;
        client.method(1, (20, 10), &short(b""))?;
        client.expect((20, 11))?;
        client.method(1, (85, 10), &[0])?;
        client.expect((85, 11))?;
        Ok(client)
    }

    /// Publishes a message with the property flags `flags` and these bytes, and waits for the
    /// confirm.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn publish(
        &mut self,
        exchange: &str,
        routing_key: &[u8],
        (flags, properties): (u16, &[u8]),
    ) -> io::Result<()> {
        let to = [vec![0, 0], short(exchange.as_bytes()), short(routing_key), vec![0]].concat();
        self.method(1, (60, 40), &to)?;
        let body = b"{}";
        let header = [
            &60_u16.to_be_bytes()[..],
            &[0, 0],
            &(body.len() as u64).to_be_bytes(),
            &flags.to_be_bytes(),
            properties,
        ];
        self.frame(HEADER, 1, &header.concat())?;
        self.frame(BODY, 1, body)?;
        self.expect((60, 80)).map(drop)
    }

    fn method(&mut self, channel: u16, (class, id): (u16, u16), body: &[u8]) -> io::Result<()> {
        let frame = [&class.to_be_bytes()[..], &id.to_be_bytes(), body].concat();
        self.frame(METHOD, channel, &frame)
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) -> io::Result<()> {
        let size = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
        let head = [&[kind][..], &channel.to_be_bytes(), &size].concat();
        self.stream.write_all(&[&head, payload, &[FRAME_END]].concat())
    }

    /// The body of the next method, which must be this one.
    fn expect(&mut self, (class, id): (u16, u16)) -> io::Result<Vec<u8>> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head)?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; size as usize + 1];
        self.stream.read_exact(&mut payload)?;
        payload.pop();
        let begin = [class.to_be_bytes(), id.to_be_bytes()].concat();
        match payload.strip_prefix(&begin[..]) {
            Some(body) => Ok(body.to_vec()),
            None => Err(io::Error::other(String::from_utf8_lossy(&payload).into_owned())),
        }
    }
}

/// A text of AMQP with at most 255 bytes.
///
/// # Panics
/// It is longer.
pub fn short(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    [&[length], text].concat()
}

/// A text or a table of AMQP.
///
/// # Panics
/// It is longer than 4 GiB.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a text that fits");
    [&length.to_be_bytes()[..], bytes].concat()
}
