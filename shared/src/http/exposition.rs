//! The two text formats of `/metrics`: OpenMetrics 1.0.0, and Prometheus' older format (0.0.4),
//! which is the default.

use std::collections::BTreeMap;
use std::fmt::Write;

use actix_web::http::header::{ACCEPT, HeaderMap};

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricsFormat {
    /// The format in which the registry is encoded.
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Prometheus,
}

impl MetricsFormat {
    /// The format that the `Accept` header prefers: OpenMetrics if it is named and its weight is no
    /// less than that of plain text.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let (mut open_metrics, mut plain) = (0.0_f32, 0.0_f32);
        for line in headers.get_all(ACCEPT).filter_map(|line| line.to_str().ok()) {
            for range in line.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
                let weight: f32 = weight.unwrap_or(1.0);
                match &*name {
                    "application/openmetrics-text" => open_metrics = weight.max(open_metrics),
                    "text/plain" | "text/*" | "*/*" => plain = weight.max(plain),
                    _ => {}
                }
            }
        }
        if open_metrics > 0.0 && open_metrics >= plain {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// From OpenMetrics to this format.
    pub(super) fn convert(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => to_prometheus(&open_metrics),
        }
    }
}

/// In the older format, the family of a counter or an info has the name of its samples, suffix
/// included. There are no types `info` and `unknown`, no units, and no end marker.
fn to_prometheus(open_metrics: &str) -> String {
    let types: BTreeMap<&str, &str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let Some((keyword @ ("HELP" | "TYPE"), rest)) = comment.split_once(' ') else { continue };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (suffix, kind) = match types.get(name) {
            Some(&"counter") => ("_total", "counter"),
            Some(&"info") => ("_info", "gauge"),
            Some(&"unknown") | None => ("", "untyped"),
            Some(kind) => ("", *kind),
        };
        let rest = if keyword == "TYPE" { kind } else { rest };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {keyword} {name}{suffix} {rest}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn accepted(value: &str) -> MetricsFormat {
        let request = TestRequest::default().insert_header((ACCEPT, value)).to_http_request();
        MetricsFormat::accepted(request.headers())
    }

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        for plain in [
            "",
            "*/*",
            "text/plain;version=0.0.4",
            "text/html",
            "application/openmetrics-text;q=0",
            "text/plain;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
        ] {
            assert_eq!(accepted(plain), MetricsFormat::Prometheus, "{plain}");
        }
        for open_metrics in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            "Application/OpenMetrics-Text ; version=1.0.0, */*",
        ] {
            assert_eq!(accepted(open_metrics), MetricsFormat::OpenMetrics, "{open_metrics}");
        }
    }

    #[test]
    fn the_older_format_names_families_as_their_samples() {
        let open_metrics = "# HELP http_requests Requests answered.\n# TYPE http_requests counter\n\
            http_requests_total{status=\"200\"} 1\n# HELP hash_seconds Time.\n\
            # TYPE hash_seconds histogram\n# UNIT hash_seconds seconds\nhash_seconds_sum 0.5\n\
            # HELP build x.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n";
        insta::assert_snapshot!(to_prometheus(open_metrics), @r#"
        # HELP http_requests_total Requests answered.
        # TYPE http_requests_total counter
        http_requests_total{status="200"} 1
        # HELP hash_seconds Time.
        # TYPE hash_seconds histogram
        hash_seconds_sum 0.5
        # HELP build_info x.
        # TYPE build_info gauge
        build_info{version="1"} 1
        "#);
    }
}
