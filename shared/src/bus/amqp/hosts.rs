//! The nodes that `AMQP_URL` names.

use lapin::uri::AMQPUri;

use super::InvalidAmqpUrl;

/// One URL, one URL with several hosts (`amqp://user:password@a:5672,b:5672/vhost`), or several URLs
/// with commas between them.
pub(super) fn parse(text: &str) -> Result<Vec<AMQPUri>, InvalidAmqpUrl> {
    let mut nodes = Vec::new();
    for url in split_urls(text) {
        for single in split_hosts(url)? {
            nodes.push(single.parse().map_err(|_| InvalidAmqpUrl)?);
        }
    }
    Ok(nodes)
}

/// Splits at commas that are followed by a scheme: other commas may be in a password or between
/// hosts.
fn split_urls(text: &str) -> Vec<&str> {
    let starts: Vec<usize> = text
        .match_indices(',')
        .map(|(comma, _)| comma)
        .filter(|comma| is_url(text[comma + 1..].trim_start()))
        .collect();
    let ends = starts.iter().copied().chain([text.len()]);
    let begins = [0].into_iter().chain(starts.iter().map(|comma| comma + 1));
    begins.zip(ends).map(|(begin, end)| text[begin..end].trim()).collect()
}

fn is_url(text: &str) -> bool {
    text.starts_with("amqp://") || text.starts_with("amqps://")
}

/// The same URL for each of its hosts.
fn split_hosts(url: &str) -> Result<Vec<String>, InvalidAmqpUrl> {
    let (scheme, rest) = url.split_once("://").ok_or(InvalidAmqpUrl)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    if hosts.len() > 1 && hosts.contains(&"") {
        return Err(InvalidAmqpUrl);
    }
    Ok(hosts.iter().map(|host| format!("{scheme}://{user}{host}{path}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(text: &str) -> Vec<(String, u16, String, String)> {
        let parts = |uri: AMQPUri| {
            (uri.authority.host, uri.authority.port, uri.authority.userinfo.password, uri.vhost)
        };
        parse(text).unwrap().into_iter().map(parts).collect()
    }

    fn node(host: &str, port: u16, password: &str) -> (String, u16, String, String) {
        (host.to_owned(), port, password.to_owned(), "v".to_owned())
    }

    #[test]
    fn one_url_is_one_node() {
        assert_eq!(nodes("amqp://u:p@a:1/v"), [node("a", 1, "p")]);
        assert_eq!(nodes("amqp://u:p,q@a/v?heartbeat=3"), [node("a", 5672, "p,q")]);
    }

    #[test]
    fn several_hosts_share_the_rest_of_the_url() {
        let all = [node("a", 1, "p"), node("b", 5672, "p"), node("c", 3, "p")];
        assert_eq!(nodes("amqp://u:p@a:1,b,c:3/v"), all);
    }

    #[test]
    fn several_urls_are_apart() {
        let all = [node("a", 1, "p,"), node("b", 2, "q"), node("c", 2, "q")];
        assert_eq!(nodes("amqp://u:p,@a:1/v, amqp://u:q@b:2,c:2/v"), all);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in ["", "http://a/", "amqp://a:x/", "amqp://a,/", "a:5672,b:5672"] {
            assert_eq!(parse(bad).err(), Some(InvalidAmqpUrl), "{bad:?}");
        }
    }
}
