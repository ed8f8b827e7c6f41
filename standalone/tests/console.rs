//! The console in a real browser: `browser/console.mjs` clicks, and this side stops and starts what it
//! asks for. CONSOLE_SCREENSHOTS names a directory that gets pictures of the views.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::rabbitmq::{RabbitMq, free_port};
use testkit::service_process::ServiceProcess;

/// Ends the browser whatever the test comes to.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing is shown without a token; the first user is an administrator.
const WITH_LOGINS: [(&str, &str); 2] = [("USER_SERVICE_ACCESS", "owner"), ("ADMINS", "1")];

fn start(data_dir: &Path, url: &str, port: u16, extra: &[(&str, &str)]) -> ServiceProcess {
    let (data_dir, listen) = (data_dir.to_string_lossy(), format!("127.0.0.1:{port}"));
    let mut settings = vec![
        ("DATA_DIR", &*data_dir),
        ("AMQP_URL", url),
        ("USER_SERVICE_LISTEN", &listen),
        ("AUTH_SERVICE_LISTEN", "127.0.0.1:0"),
        ("ARGON2_MEMORY_KIB", "1024"),
    ];
    settings.extend(extra);
    let service = ServiceProcess::start(Path::new(env!("CARGO_BIN_EXE_standalone")), &settings);
    ServiceProcess::wait_until_ready(service.address_of("user_service"));
    ServiceProcess::wait_until_ready(service.address_of("auth_service"));
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_works_by_clicking_while_the_broker_and_the_service_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let (mut broker, port) = (RabbitMq::start().await, free_port());
    let mut service = Some(start(&data_dir, &broker.url(), port, &[]));

    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser/console.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(format!("http://127.0.0.1:{port}"));
    command.args(std::env::var_os("CONSOLE_SCREENSHOTS"));
    let browser = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut browser = Browser(browser.expect("scripts/install.sh installs node"));
    let mut answers = browser.0.stdin.take().unwrap();
    for line in BufReader::new(browser.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        let Some(wish) = line.strip_prefix("ask: ") else { continue };
        let mut answer = "done".to_owned();
        match wish {
            "stop the broker" => broker.stop().await,
            "start the broker" => broker.restart().await,
            "restart the service" => {
                service.take().unwrap().stop();
                service = Some(start(&data_dir, &broker.url(), port, &[]));
            }
            "require logins" => {
                service.take().unwrap().stop();
                service = Some(start(&data_dir, &broker.url(), port, &WITH_LOGINS));
                answer = std::fs::read_to_string(data_dir.join("admin.token")).unwrap();
            }
            _ => panic!("the browser asks to {wish}"),
        }
        writeln!(answers, "{}", answer.trim()).unwrap();
    }
    assert!(browser.0.wait().unwrap().success(), "the browser's journeys failed");
    service.unwrap().stop();
}
