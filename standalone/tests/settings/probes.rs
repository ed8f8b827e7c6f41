//! A port of its own for `/metrics` and the probes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::{Process, binary, free_addresses, stderr};

/// The status, and the rest of the answer.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn metrics_and_probes_are_at_their_own_port_alone_and_healthcheck_asks_there() {
    let directory = tempfile::tempdir().unwrap();
    let ([users, auth], [of_users, of_auth]) = (free_addresses(), free_addresses());
    let listen = [("USER_SERVICE_LISTEN", &*users), ("AUTH_SERVICE_LISTEN", &*auth)];
    let apart =
        [("USER_SERVICE_METRICS_LISTEN", &*of_users), ("AUTH_SERVICE_METRICS_LISTEN", &*of_auth)];
    let settings = [listen, apart].concat();
    let mut process = Process::start(&directory, &settings);
    let output = std::io::BufReader::new(process.0.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    Process::lines_until(&mut lines, &["Stop it with"]);
    for (service, probes) in [(&users, &of_users), (&auth, &of_auth)] {
        for path in ["/metrics", "/healthz", "/readyz"] {
            assert_eq!(get(service, path).0, 404, "{path}");
            assert!([200, 503].contains(&get(probes, path).0), "{path}");
        }
        assert!(get(probes, "/metrics").1.contains("lockstep_ready"));
        for path in ["/users", "/login", "/docs/"] {
            assert_eq!(get(probes, path).0, 404, "{path}");
        }
        assert!(!get(service, "/openapi.json").1.contains("\"/readyz\""));
        assert_eq!(get(service, "/docs/").0, 200);
    }
    let healthcheck = |settings: &[(&str, &str)]| {
        binary().arg("healthcheck").envs(settings.iter().copied()).output().unwrap()
    };
    let ready = async || (healthcheck(&settings).status.code() == Some(0)).then_some(());
    testkit::wait::until("both are ready", std::time::Duration::from_secs(30), ready).await;
    let elsewhere = healthcheck(&listen);
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(stderr(&elsewhere).contains("404"), "{}", stderr(&elsewhere));
    process.signal("TERM");
    lines.for_each(drop);
    assert_eq!(process.exit_code().await, Some(0));
}

#[test]
fn a_port_in_use_ends_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for name in ["USER_SERVICE_METRICS_LISTEN", "AUTH_SERVICE_METRICS_LISTEN"] {
        let [users, auth] = free_addresses();
        let mut command = binary();
        command.env("DATA_DIR", directory.path()).env(name, &address).env("LOG", "error");
        command.envs([("USER_SERVICE_LISTEN", &users), ("AUTH_SERVICE_LISTEN", &auth)]);
        let output = command.output().unwrap();
        let told = stderr(&output);
        assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
        assert!(told.contains(&format!("cannot listen on {address}")), "{told}");
    }
}
