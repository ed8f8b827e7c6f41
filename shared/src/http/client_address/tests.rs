use super::*;
use actix_web::http::header::HeaderValue;
use proptest::prelude::*;

const PROXY: &str = "10.0.0.9";

fn proxies() -> TrustedProxies {
    TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn seen(peer: &str, lines: &[(HeaderName, &str)]) -> String {
    proxies().client_of(address(peer), &headers(lines)).0.to_string()
}

#[test]
fn a_stranger_tells_nothing_of_where_it_comes_from() {
    for name in [X_FORWARDED_FOR, header::FORWARDED] {
        assert_eq!(seen("192.0.2.1", &[(name.clone(), "for=10.0.0.1")]), "192.0.2.1");
        assert_eq!(seen("192.0.2.1", &[(name, "203.0.113.1")]), "192.0.2.1");
    }
}

#[test]
fn behind_trusted_proxies_it_is_the_last_hop_that_is_not_one_of_them() {
    for (line, wanted) in [
        ("203.0.113.1", "203.0.113.1"),
        ("6.6.6.6, 203.0.113.1", "203.0.113.1"),
        ("6.6.6.6, 203.0.113.1, 10.1.2.3", "203.0.113.1"),
        ("203.0.113.1:4711,10.1.2.3", "203.0.113.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("203.0.113.1, ::ffff:10.1.2.3", "203.0.113.1"),
        ("10.7.7.7, 10.1.2.3", "10.7.7.7"),
    ] {
        assert_eq!(seen(PROXY, &[(X_FORWARDED_FOR, line)]), wanted, "{line}");
    }
    for (line, wanted) in [
        ("for=203.0.113.1", "203.0.113.1"),
        ("For=203.0.113.1;proto=http;by=10.0.0.9", "203.0.113.1"),
        ("for=6.6.6.6, by=x;for=\"203.0.113.1:80\"", "203.0.113.1"),
        ("for=6.6.6.6,for=\"[2001:db8::1]:80\" ;host=\"a,b\", for=10.1.2.3", "2001:db8::1"),
        ("for=\"\\2\\0\\3.0.113.1\"", "203.0.113.1"),
    ] {
        assert_eq!(seen(PROXY, &[(header::FORWARDED, line)]), wanted, "{line}");
    }
}

#[test]
fn several_lines_are_one_list() {
    let lines = [(X_FORWARDED_FOR, "6.6.6.6, 203.0.113.1"), (X_FORWARDED_FOR, "10.1.2.3")];
    assert_eq!(seen(PROXY, &lines), "203.0.113.1");
}

#[test]
fn what_cannot_be_read_is_the_proxy_that_said_it() {
    for line in ["", "unknown", "6.6.6.6, ", "6.6.6.6, _hidden", "6.6.6.6, 300.1.1.1", "6.6.6.6 7"]
    {
        assert_eq!(seen(PROXY, &[(X_FORWARDED_FOR, line)]), PROXY, "{line}");
    }
    assert_eq!(seen(PROXY, &[(X_FORWARDED_FOR, "6.6.6.6, ?, 10.1.2.3")]), "10.1.2.3");
    for line in [
        "for=6.6.6.6, a=\", for=\"[2001:db8::1]\"",
        "for=\"6.6.6.6",
        "for=6.6.6.6;for=7.7.7.7",
        "for=6.6.6.6, for",
        "for=6.6.6.6, =x",
        "for=6.6.6.6 x",
        "for=6.6.6.6, for=unknown",
        "for=6.6.6.6, proto=https",
        "for=6.6.6.6,",
    ] {
        assert_eq!(seen(PROXY, &[(header::FORWARDED, line)]), PROXY, "{line}");
    }
}

#[test]
fn a_header_that_the_proxy_did_not_set_is_not_believed() {
    let forged = [(X_FORWARDED_FOR, "203.0.113.1"), (header::FORWARDED, "for=6.6.6.6")];
    assert_eq!(seen(PROXY, &forged), PROXY);
    let agreed = [(X_FORWARDED_FOR, "203.0.113.1"), (header::FORWARDED, "for=203.0.113.1")];
    assert_eq!(seen(PROXY, &agreed), "203.0.113.1");
}

#[test]
fn a_range_is_an_address_and_the_bits_that_count() {
    let ten: Cidr = "10.0.0.0/8".parse().unwrap();
    assert!(ten.contains(address("10.255.0.1")) && !ten.contains(address("11.0.0.1")));
    let all: Cidr = "::/0".parse().unwrap();
    assert!(all.contains(address("2001:db8::1")) && !all.contains(address("10.0.0.1")));
    let one: Cidr = "127.0.0.1".parse().unwrap();
    assert!(one.contains(address("127.0.0.1")) && !one.contains(address("127.0.0.2")));
    for bad in ["", "10", "10.0.0.0/33", "10.0.0.1/8", "::1/129", "10.0.0.0/", "10.0.0.0/-1", "x"] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad:?}");
    }
}

#[test]
fn of_ipv6_the_first_half_counts() {
    let prefix = |text: &str| ClientAddress(address(text)).prefix();
    assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), prefix("2001:db8:1:2::9"));
    assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
    assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
}

proptest! {
    /// For any headers: a client without a trusted proxy has its own address, and a client behind a
    /// proxy never gets an address that only its own part of the header contains.
    #[test]
    fn no_header_crashes_or_is_believed_beyond_what_a_proxy_said(
        forged in "[ -~\t]{0,60}",
        parts in prop::collection::vec("(for|by|proto|FOR)?=?\"?(6\\.6\\.6\\.6|\\[::1\\]|unknown|)?\"?[,; ]?", 0..6),
        quoted in any::<bool>(),
    ) {
        for forged in [forged, parts.concat()] {
            for name in [header::FORWARDED, X_FORWARDED_FOR] {
                prop_assert_eq!(seen("192.0.2.1", &[(name, &forged)]), "192.0.2.1");
            }
            let hop = if quoted { "for=\"203.0.113.1\"" } else { "for=203.0.113.1" };
            for (name, appended) in [
                (header::FORWARDED, format!("{forged}, {hop}")),
                (X_FORWARDED_FOR, format!("{forged}, 203.0.113.1")),
            ] {
                let seen = seen(PROXY, &[(name, &appended)]);
                prop_assert!(["203.0.113.1", PROXY].contains(&&*seen), "{} of {:?}", seen, appended);
            }
        }
    }
}
