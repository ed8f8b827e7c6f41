//! A real Prometheus with the alert rules of docs/observe, on both services, while parts are down.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::rabbitmq::free_port;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use crate::system::System;

const RULES: &str = include_str!("../../../docs/observe/alerts.yml");
const DASHBOARD: &str = include_str!("../../../docs/observe/grafana/lockstep.json");
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of metrics in a text with expressions, without the endings of a histogram's series.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| word.starts_with("lockstep_") || word.starts_with("process_");
    let family = |word: &str| {
        let endings = ["_bucket", "_sum", "_count"];
        endings.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    words.filter(is_metric).map(family).collect()
}

/// What the rules and the dashboard ask for.
pub(crate) fn metrics_observed() -> BTreeSet<String> {
    let mut names = metrics_in(&expressions_of_rules().join("\n"));
    names.extend(metrics_in(&expressions_of_the_dashboard().join("\n")));
    names
}

/// The lines of the rules that belong to `expr`: their runbooks name metrics, too.
fn expressions_of_rules() -> Vec<String> {
    let mut expressions = Vec::new();
    let mut is_within = false;
    for line in RULES.lines().map(str::trim) {
        if let Some(expression) = line.strip_prefix("expr: ") {
            expressions.push(expression.to_owned());
            is_within = true;
        } else if ["for:", "labels:", "annotations:"].iter().any(|key| line.starts_with(key)) {
            is_within = false;
        } else if is_within {
            expressions.push(line.to_owned());
        }
    }
    expressions
}

fn expressions_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Prometheus with our rules, which fire as soon as they hold.
struct Prometheus {
    _directory: TempDir,
    process: ServiceProcess,
    at: SocketAddr,
}

impl Prometheus {
    async fn start(targets: [SocketAddr; 2]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        std::fs::write(directory.path().join("alerts.yml"), at_once(RULES)).unwrap();
        std::fs::write(&config, configuration(targets).to_string()).unwrap();
        check(&config);
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        command.arg(format!("--web.listen-address={at}")).arg("--log.level=error");
        let process = ServiceProcess::spawn(command, &[]);
        let prometheus = Self { _directory: directory, process, at };
        until("both services are scraped", PATIENCE, async || {
            let up = prometheus.query("count(up == 1)").await?;
            (up[0]["value"][1] == "2").then_some(())
        })
        .await;
        prometheus
    }

    /// The data of an answer; `None` if there is no answer, or an error.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let request = awc::Client::new().get(format!("http://{}/api/v1/{path}", self.at));
        let mut response = request.query(&query).ok()?.send().await.ok()?;
        let answer: Value = response.json().await.ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    async fn query(&self, expression: &str) -> Option<Value> {
        Some(self.get("query", &[("query", expression)]).await?["result"].take())
    }

    /// The names and instances of the alerts that fire.
    async fn firing(&self) -> Option<Vec<(String, String)>> {
        let data = self.get("alerts", &[]).await?;
        let firing = data["alerts"].as_array()?.iter().filter(|alert| alert["state"] == "firing");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = firing.map(|alert| &alert["labels"]);
        Some(labels.map(|all| (text(&all["alertname"]), text(&all["instance"]))).collect())
    }

    async fn until_fires(&self, alert: &str, instance: SocketAddr) {
        let wanted = (alert.to_owned(), instance.to_string());
        until(alert, PATIENCE, async || self.firing().await?.contains(&wanted).then_some(())).await;
    }
}

/// The rules without the time that a fault has to last before somebody is called.
fn at_once(rules: &str) -> String {
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// YAML reads JSON.
fn configuration(targets: [SocketAddr; 2]) -> Value {
    let targets = targets.map(|target| target.to_string());
    json!({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "lockstep", "static_configs": [{"targets": targets}]}],
    })
}

fn check(config: &Path) {
    let output = Command::new("promtool").args(["check", "config"]).arg(config).output();
    let output = output.unwrap_or_else(|error| panic!("{error}: scripts/install.sh prometheus"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Each rule says why it is there and what to do.
fn each_rule_is_explained(groups: &Value) {
    let rules = groups["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), RULES.matches("- alert: ").count());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(
            ["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{rule}"
        );
        for text in ["summary", "description", "runbook"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|text| text.len() > 20),
                "{rule}"
            );
        }
    }
}

#[actix_web::test]
async fn alerts_fire_when_a_part_is_down_and_not_before() {
    let mut system = System::in_two_processes().await;
    let (users, auth) = (system.client.users, system.client.auth);
    let user = system.client.create("anna", "testpassword").await;
    let place = Some(&*user.consistency_token);
    assert_eq!(system.client.login_after("anna", "testpassword", place).await.status, 200);
    let prometheus = Prometheus::start([users, auth]).await;

    for expression in expressions_of_the_dashboard() {
        let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        assert!(prometheus.query(&expression).await.is_some(), "{expression}");
    }
    until("the rules were evaluated", PATIENCE, async || {
        let groups = prometheus.get("rules", &[]).await?;
        let rules = groups["groups"][0]["rules"].as_array()?;
        rules.iter().all(|rule| rule["health"] == "ok").then(|| each_rule_is_explained(&groups))
    })
    .await;
    assert_eq!(prometheus.firing().await, Some(vec![]), "all is well");

    system.broker().stop().await;
    prometheus.until_fires("LockstepBrokerUnreachable", users).await;
    prometheus.until_fires("LockstepBrokerUnreachable", auth).await;
    let firing = prometheus.firing().await.unwrap();
    assert!(!firing.iter().any(|(alert, _)| alert == "LockstepDown"), "{firing:?}");

    system.stop();
    prometheus.until_fires("LockstepDown", users).await;
    prometheus.until_fires("LockstepDown", auth).await;
    prometheus.process.stop();
}
