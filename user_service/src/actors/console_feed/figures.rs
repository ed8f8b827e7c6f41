//! The figures of the console among the metrics of a service.

use std::collections::BTreeMap;

/// What the names of our metrics begin with.
const PREFIX: &str = "lockstep_";
/// The metrics that the console shows, without the prefix. With a label, there is one figure for each of its values; the
/// values of all other labels are added up.
pub(super) const SHOWN: [(&str, Option<&str>); 20] = [
    ("user_log_head_seq", None),
    ("user_log_published_seq", None),
    ("user_log_publish_lag_records", None),
    ("user_log_publish_lag_seconds", None),
    ("user_writes_total", None),
    ("projection_seq", None),
    ("projection_head_seq", None),
    ("projection_lag_records", None),
    ("projection_lag_seconds", None),
    ("projection_followed_directly", None),
    ("projection_cut_off_seconds", None),
    ("auth_replicas", None),
    ("auth_replicas_silent", None),
    ("revoked_sessions", None),
    ("token_records_unconfirmed", None),
    ("logins_total", Some("result")),
    ("http_requests_total", Some("status")),
    ("hash_wait_seconds_count", None),
    ("hash_wait_seconds_sum", None),
    ("hash_refused_total", None),
];

/// Reads the figures out of the text that `/metrics` answers with.
pub(super) fn figures(exposition: &str) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = figure(line) {
            *figures.entry(name).or_default() += value;
        }
    }
    figures
}

/// The name of a replica of auth_service: `AUTH_REPLICA`, or the number of its place.
pub(super) fn replica_name(exposition: &str) -> Option<&str> {
    let mut lines = exposition.lines();
    let labels = lines.find_map(|line| line.strip_prefix("lockstep_replica_info{name=\""))?;
    labels.split_once('"').map(|(name, _)| name)
}

/// `name{label="value",...} number`. Values of labels of ours contain no quotes.
fn figure(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.strip_prefix(PREFIX)?.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let (name, label) = SHOWN.iter().find(|(shown, _)| *shown == name)?;
    let value: f64 = value.parse().ok()?;
    let Some(label) = label else { return Some(((*name).to_owned(), value)) };
    let (_, rest) = labels.split_once(&format!("{label}=\""))?;
    let (of, _) = rest.split_once('"')?;
    Some((format!("{name}:{of}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_added_up_over_the_labels_that_are_not_shown() {
        let text = "# TYPE lockstep_http_requests counter\n\
            lockstep_http_requests_total{method=\"GET\",route=\"/users\",status=\"200\"} 2\n\
            lockstep_http_requests_total{method=\"PUT\",route=\"/users\",status=\"200\"} 3\n\
            lockstep_http_requests_total{method=\"PUT\",route=\"/users\",status=\"503\"} 1\n\
            lockstep_user_log_head_seq 7\nlockstep_unknown 1\nuser_log_head_seq 9\n\
            lockstep_user_log_publish_lag_records x\n# EOF\n";
        let expected = [
            ("http_requests_total:200", 5.0),
            ("http_requests_total:503", 1.0),
            ("user_log_head_seq", 7.0),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(figures(text), BTreeMap::from(expected));
    }

    #[test]
    fn a_replica_is_named_by_its_metrics() {
        let text = "# TYPE lockstep_replica_info info\nlockstep_replica_info{name=\"left-2\"} 1\n";
        assert_eq!(replica_name(text), Some("left-2"));
        assert_eq!(replica_name("lockstep_replica_place 1\n"), None);
    }
}
