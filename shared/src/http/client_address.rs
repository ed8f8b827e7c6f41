//! The address that a request comes from, behind proxies that are trusted to report it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest};

const X_FORWARDED_FOR: HeaderName = header::X_FORWARDED_FOR;

/// The address of the client: the peer of the connection, or the address that a trusted proxy
/// reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Where a request comes from.
    pub(super) fn of(request: &HttpRequest) -> Self {
        // Only a request that a test has made has no peer.
        let peer = request.peer_addr().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer| peer.ip());
        match request.app_data::<TrustedProxies>() {
            Some(proxies) => proxies.client_of(peer, request.headers()),
            None => Self(peer.to_canonical()),
        }
    }

    /// Identifies one customer of a network: an IPv4 address, or the /64 of an IPv6 address,
    /// because a client can choose the other half freely.
    pub fn prefix(self) -> IpAddr {
        Cidr::masked(self.0, if self.0.is_ipv4() { 32 } else { 64 })
    }
}

/// A range of addresses, written `10.0.0.0/8` or `fd00::/8`; without a slash, a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    fn contains(self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4()
            && Self::masked(address, self.prefix_bits) == self.network
    }

    /// The address without the bits behind the prefix.
    fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits.min(32))).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask =
                    u128::MAX.checked_shl(128 - u32::from(prefix_bits.min(128))).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // In a list, spaces beside the commas are fine.
        let text = text.trim();
        let wrong = || format!("{text:?} is not a range of addresses such as 10.0.0.0/8 or ::1");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        let network = Self::masked(address, prefix_bits);
        if prefix_bits > most || network != address {
            return Err(wrong());
        }
        Ok(Self { network, prefix_bits })
    }
}

/// The proxies that are trusted to report where their requests come from.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<Cidr>);

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The nearest hop that is no trusted proxy.
    ///
    /// Each proxy appends the address that it got the request from; the part to the left of that
    /// may be forged. A proxy sets one of the two headers and passes the other on as the client
    /// sent it. So if both exist and disagree, nobody knows which one is the proxy's, and the
    /// result is the proxy's own address. The result is the same if the proxy's entry cannot be
    /// parsed.
    fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return ClientAddress(peer);
        }
        let forwarded = headers.contains_key(header::FORWARDED).then(|| {
            self.last_stranger(peer, lines_of(headers, &header::FORWARDED), forwarded_for)
        });
        let x_forwarded_for = headers
            .contains_key(X_FORWARDED_FOR)
            .then(|| self.last_stranger(peer, lines_of(headers, &X_FORWARDED_FOR), plain_list));
        match (forwarded, x_forwarded_for) {
            (Some(one), Some(other)) if one != other => ClientAddress(peer),
            (Some(address), _) | (None, Some(address)) => ClientAddress(address),
            (None, None) => ClientAddress(peer),
        }
    }

    /// Goes from the nearest hop to the farthest, until one is not trusted or cannot be parsed.
    fn last_stranger<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = Option<&'a str>>,
        hops_of: impl Fn(&str) -> Option<Vec<Option<IpAddr>>>,
    ) -> IpAddr {
        let mut nearest = peer;
        for line in lines.rev() {
            let Some(hops) = line.and_then(&hops_of) else { return nearest };
            for hop in hops.into_iter().rev() {
                let Some(address) = hop else { return nearest };
                nearest = address.to_canonical();
                if !self.trusts(nearest) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

/// All lines of one header, in order; `None` for lines that are not text.
fn lines_of<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = Option<&'a str>> {
    let lines: Vec<_> = headers.get_all(name).map(|value| value.to_str().ok()).collect();
    lines.into_iter()
}

/// The hops of a line of `X-Forwarded-For`.
#[expect(clippy::unnecessary_wraps, reason = "any text is a list")]
fn plain_list(line: &str) -> Option<Vec<Option<IpAddr>>> {
    Some(line.split(',').map(|hop| address_of(hop.trim_matches([' ', '\t']))).collect())
}

/// The hops of a line of `Forwarded` (RFC 7239); `None` if it is malformed, because then nobody can
/// tell where one hop ends.
fn forwarded_for(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let (mut hops, mut hop, mut has_for) = (Vec::new(), None, false);
    let mut rest = line.trim_matches([' ', '\t']);
    loop {
        if !rest.starts_with([',', ';']) && !rest.is_empty() {
            let (name, value, behind) = parameter(rest)?;
            if name.eq_ignore_ascii_case("for") {
                if has_for {
                    return None;
                }
                (hop, has_for) = (address_of(&value), true);
            }
            rest = behind;
        }
        let mut characters = rest.chars();
        match characters.next() {
            Some(';') => {}
            Some(',') => {
                hops.push(hop.take());
                has_for = false;
            }
            Some(_) => return None,
            None => {
                hops.push(hop);
                return Some(hops);
            }
        }
        rest = characters.as_str().trim_start_matches([' ', '\t']);
    }
}

/// `name=value` or `name="value"` at the beginning, and the text after it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted),
        None => token(rest),
    }?;
    Some((name, value, rest.trim_start_matches([' ', '\t'])))
}

/// Reads up to the delimiter. A quote inside could begin or end a string for other parsers.
fn token(text: &str) -> Option<(String, &str)> {
    let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    let is_token = !value.is_empty() && !value.contains(['"', '\\']);
    is_token.then(|| (value.to_owned(), rest))
}

/// Reads up to the closing quote.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

/// An address with or without a port; an IPv6 address with or without brackets. `None` for a name
/// in its place, such as `unknown` or `_hidden`.
fn address_of(hop: &str) -> Option<IpAddr> {
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = hop.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

impl FromRequest for ClientAddress {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
mod tests;
