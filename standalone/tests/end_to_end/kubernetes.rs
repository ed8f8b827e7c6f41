//! The manifests of packaging/kubernetes: Kubernetes takes them, and the services take what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::contract_tools::{printed_by, python, repository};
use crate::system::path_of;

/// What the services take to finish by default (`SHUTDOWN_GRACE`), in seconds.
const SHUTDOWN_GRACE: u64 = 10;

fn manifests() -> Vec<PathBuf> {
    let files = fs::read_dir(repository("packaging/kubernetes")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// All objects of a file.
fn objects(file: &Path) -> Vec<Value> {
    const TO_JSON: &str =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let printed = printed_by(python("python").args(["-c", TO_JSON]).arg(file));
    serde_json::from_str(&printed).unwrap()
}

/// The validator, by the schemas of the newest Kubernetes that it has. Other members are errors.
fn validator(files: &[PathBuf]) -> Command {
    let mut command = python("kubernetes-validate");
    command.arg("--strict").args(files);
    command
}

#[test]
fn kubernetes_takes_the_manifests() {
    let printed = printed_by(&mut validator(&manifests()));
    for object in ["statefulset/user-service", "statefulset/auth-service", "service/auth-service"] {
        assert!(printed.contains(&format!("passed for resource {object}")), "{printed}");
    }
}

#[test]
fn a_manifest_with_a_misspelt_member_is_not_taken() {
    let manifest = fs::read_to_string(repository("packaging/kubernetes/auth-service.yaml"));
    let spoilt = manifest.unwrap().replace("readinessProbe:", "readynessProbe:");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("spoilt.yaml");
    fs::write(&file, spoilt).unwrap();
    let output = validator(&[file]).output().unwrap();
    let told = format!("{output:?}");
    assert!(!output.status.success() && told.contains("readynessProbe"), "{told}");
}

#[test]
fn the_services_take_the_settings_of_the_manifests() {
    for (file, service) in [("user-service", "user_service"), ("auth-service", "auth_service")] {
        let objects = objects(&repository(&format!("packaging/kubernetes/{file}.yaml")));
        let of_kind = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect();
        let [set]: [&Value; 1] = Vec::try_into(of_kind("StatefulSet")).unwrap();
        let pod = &set["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let settings = settings_of(container);
        are_accepted(service, &settings);

        let listen = &settings[&*format!("{}_LISTEN", service.to_uppercase())];
        let port: u64 = listen.rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(container["ports"][0]["containerPort"], port, "{file}");
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            let asked = &container[probe]["httpGet"];
            assert_eq!((&asked["path"], &asked["port"]), (&path.into(), &"http".into()), "{file}");
        }
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        assert!(grace > before + SHUTDOWN_GRACE, "{file}");
        let services: Vec<&Value> = of_kind("Service");
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        for service in &services {
            assert_eq!(service["spec"]["selector"], *labels, "{file}");
            assert_eq!(service["spec"]["ports"][0]["port"], port, "{file}");
        }
        let governing = &set["spec"]["serviceName"];
        assert!(services.iter().any(|service| service["metadata"]["name"] == *governing));
        files_are_mounted(pod, &settings);
    }
}

/// The settings with their values; of a value that the cluster fills in, a word.
fn settings_of(container: &Value) -> BTreeMap<&str, &str> {
    let variables = container["env"].as_array().unwrap().iter();
    variables
        .map(|variable| {
            (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or("filled-in"))
        })
        .collect()
}

/// The binary knows each of them, and takes its value.
fn are_accepted(service: &str, settings: &BTreeMap<&str, &str>) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(path_of(service));
    command.args(["config", "--json"]).env_clear().envs(settings);
    // The files of the Secret are not here.
    for (name, content) in [
        ("AMQP_URL_FILE", "amqp://rabbitmq"),
        ("SEALING_KEY_FILE", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let file = directory.path().join(name);
        fs::write(&file, content).unwrap();
        assert!(settings.contains_key(name), "{service}: {name}");
        command.env(name, file);
    }
    let known: Vec<Value> = serde_json::from_str(&printed_by(&mut command)).unwrap();
    for name in settings.keys() {
        let is_set = |one: &&Value| one["name"] == *name && one["source"] == "environment";
        assert!(known.iter().any(|one| is_set(&one)), "{service} has no setting {name}");
    }
}

/// Each setting that names a file names one of the Secret, where it is mounted; the data directory is
/// the volume.
fn files_are_mounted(pod: &Value, settings: &BTreeMap<&str, &str>) {
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let place = |name: &str| {
        let mount = mounts.iter().find(|mount| mount["name"] == name).unwrap();
        mount["mountPath"].as_str().unwrap().to_owned()
    };
    assert_eq!(settings["DATA_DIR"], place("data"));
    let volumes = pod["volumes"].as_array().unwrap();
    let secret = &volumes.iter().find(|volume| volume["name"] == "secrets").unwrap()["secret"];
    let items = secret["items"].as_array().unwrap().iter();
    let there: Vec<_> = items
        .map(|item| format!("{}/{}", place("secrets"), item["path"].as_str().unwrap()))
        .collect();
    for (name, path) in settings.iter().filter(|(name, _)| name.ends_with("_FILE")) {
        assert!(there.iter().any(|file| file == path), "{name}: {path} is not in {there:?}");
    }
}
