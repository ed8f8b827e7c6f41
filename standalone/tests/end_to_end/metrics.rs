//! docs/metrics.md lists the metrics that both services show, and docs/observe asks for no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use testkit::wait::until;

use crate::alerts::metrics_observed;
use crate::system::System;

const PAGE: &str = include_str!("../../../docs/metrics.md");
/// The lines around the table in the page.
const MARKS: [&str; 2] = ["<!-- made by the test `metrics` -->\n", "<!-- end -->\n"];

/// What is known of a metric.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    services: BTreeSet<&'static str>,
}

/// The metrics of a scrape, by the names that queries use.
fn add_all(metrics: &mut BTreeMap<String, Metric>, service: &'static str, scrape: &str) {
    assert!(scrape.ends_with("\n# EOF\n"), "{scrape}");
    let kinds: BTreeMap<&str, &str> =
        scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let queried = |family: &str| match kinds[family] {
        "counter" => format!("{family}_total"),
        "info" => format!("{family}_info"),
        _ => family.to_owned(),
    };
    for (family, help) in
        scrape.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
    {
        let metric = metrics.entry(queried(family)).or_default();
        (metric.kind, metric.help) = (kinds[family].to_owned(), help.to_owned());
        metric.services.insert(service);
        for sample in scrape.lines().filter_map(|line| line.strip_prefix(family)) {
            let Some((suffix, rest)) = sample.split_once('{') else { continue };
            if ["", "_total", "_info", "_count"].contains(&suffix) {
                let (labels, _) = rest.split_once('}').unwrap();
                let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
                metric.labels.extend(names.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

fn table_of(metrics: &BTreeMap<String, Metric>) -> String {
    let mut table = "| metric | kind | labels | of | meaning |\n|---|---|---|---|---|\n".to_owned();
    for (name, Metric { kind, help, labels, services }) in metrics {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let services: Vec<&str> = services.iter().copied().collect();
        let of = if services.len() == 2 { "both" } else { services[0] };
        let (labels, help) = (labels.join(", "), help.trim_end_matches('.'));
        writeln!(table, "| `{name}` | {kind} | {labels} | {of} | {help} |").unwrap();
    }
    table
}

/// The page, in place.
fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md")
}

/// After a change of the metrics, `UPDATE_DOCS=1` writes the table anew.
fn compare_with_the_page(scrapes: &[(&'static str, String); 2]) {
    let mut metrics = BTreeMap::new();
    for (service, scrape) in scrapes {
        add_all(&mut metrics, service, scrape);
    }
    for (name, Metric { kind, .. }) in &metrics {
        let is_named = name.starts_with("lockstep_") || name.starts_with("process_");
        assert!(is_named, "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
    for name in metrics_observed() {
        assert!(metrics.contains_key(&name), "{name} of docs/observe does not exist");
    }
    let (before, rest) = PAGE.split_once(MARKS[0]).unwrap();
    let (there, after) = rest.split_once(MARKS[1]).unwrap();
    let table = table_of(&metrics);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = [before, MARKS[0], &table, MARKS[1], after].concat();
        std::fs::write(page(), text).unwrap();
    } else {
        assert_eq!(there, table, "docs/metrics.md: see its test for how it is made");
    }
}

#[actix_web::test]
async fn the_page_of_metrics_lists_what_both_services_show() {
    let mut system = System::in_one_process();
    let client = system.client;
    let user = client.create("anna", "testpassword").await;
    let place = Some(&*user.consistency_token);
    assert_eq!(client.login_after("anna", "testpassword", place).await.status, 200);
    let marker = "lockstep_token_marker_age_seconds ";
    until("a marker has come back", Duration::from_secs(30), async || {
        client.metrics_of(client.auth).await.contains(marker).then_some(())
    })
    .await;
    compare_with_the_page(&[
        ("user_service", client.metrics_of(client.users).await),
        ("auth_service", client.metrics_of(client.auth).await),
    ]);
    system.stop();
}
