//! The processes behind nginx.

use std::net::{Ipv4Addr, SocketAddr};

use testkit::postgres::Postgres;
use testkit::rabbitmq::{RabbitMq, free_port};
use testkit::service_process::ServiceProcess;

use super::proxy::{Name, Proxy};
use crate::replicas::fleet::path_of;
use crate::scaled::fleet::settings;

const USERS: &str = "user_service";
const AUTH: &str = "auth_service";

/// A process of one of the services.
struct Member {
    service: &'static str,
    listens: SocketAddr,
    /// `None` while it is stopped.
    process: Option<ServiceProcess>,
}

/// The whole system.
pub(super) struct Fleet {
    broker: RabbitMq,
    database: Postgres,
    pub(super) proxy: Proxy,
    members: Vec<Member>,
    // The last to go: the processes write there.
    directory: tempfile::TempDir,
}

impl Fleet {
    /// All are ready.
    pub(super) async fn start() -> Self {
        let (broker, database) = (RabbitMq::start().await, Postgres::start().await);
        let host = |number| Ipv4Addr::new(127, 0, 1, number);
        // As in containers, the processes of a service have addresses of their own, and the same port.
        let users = Name { service: USERS, hosts: vec![host(1), host(2)], port: free_port() };
        let auth =
            Name { service: AUTH, hosts: vec![host(3), host(4), host(5)], port: free_port() };
        let mut members = Vec::new();
        for Name { service, hosts, port } in [&users, &auth] {
            let at = hosts.iter().map(|host| SocketAddr::from((*host, *port)));
            members.extend(at.map(|listens| Member { service, listens, process: None }));
        }
        let proxy = Proxy::start(Proxy::free_addresses(), users, auth).await;
        let directory = tempfile::tempdir().unwrap();
        let mut fleet = Self { broker, database, proxy, members, directory };
        for member in fleet.members() {
            fleet.launch(member);
        }
        for member in &fleet.members {
            ServiceProcess::wait_until_ready(member.listens);
        }
        fleet
    }

    /// One after the other.
    pub(super) fn members(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    /// SIGTERM, and a start; returns when it is ready.
    pub(super) fn restart(&mut self, member: usize) {
        self.members[member].process.take().unwrap().stop();
        self.launch(member);
        ServiceProcess::wait_until_ready(self.members[member].listens);
    }

    /// SIGKILL of each user_service.
    pub(super) fn kill_users(&mut self) {
        let all = self.members.iter_mut();
        all.filter(|member| member.service == USERS).for_each(|member| member.process = None);
    }

    fn launch(&mut self, member: usize) {
        let Member { service, listens, process } = &mut self.members[member];
        // Its processes take places in it.
        let data_dir = self.directory.path().join(*service);
        let (broker, database, listen) =
            (self.broker.url(), self.database.url(), listens.to_string());
        let user_service = format!("http://{}", self.proxy.addresses().users);
        let mut all = settings(&data_dir, &broker);
        all.extend(match *service {
            USERS => [("USER_SERVICE_LISTEN", &*listen), ("DATABASE_URL", &database)],
            _ => [("AUTH_SERVICE_LISTEN", &*listen), ("USER_SERVICE_URL", &user_service)],
        });
        all.push(("TRUSTED_PROXIES", "127.0.0.1"));
        let started = ServiceProcess::start(&path_of(service), &all);
        started.address_of(service);
        *process = Some(started);
    }

    /// The last that all have logged.
    pub(super) fn log(&self) -> String {
        let logs = self.members.iter().filter_map(|member| {
            let lines = member.process.as_ref()?.take_log();
            Some((member.listens.to_string(), lines))
        });
        let of_each = logs.chain([("nginx".to_owned(), self.proxy.log())]).map(|(name, lines)| {
            format!("--- {name}:\n{}\n", lines[lines.len().saturating_sub(25)..].join("\n"))
        });
        of_each.collect()
    }

    pub(super) fn stop(self) {
        for process in self.members.into_iter().filter_map(|member| member.process) {
            process.stop();
        }
        self.proxy.stop();
    }
}
