//! A small world behind the server half, and shortcuts to reach it.

#![expect(clippy::unwrap_used, reason = "a test's own set-up may stop it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use winremote::cim::{DateTime, Instance, Interval, Reference, Value};
use winremote::connector::memory;
use winremote::wsman::client::{Client, ClientOptions, Credentials};
use winremote::wsman::server::{Provider, Server, ServerOptions};
use winremote::wsman::wql::Query;
use winremote::wsman::{Fault, Identity, Output, code};

pub(crate) const NAMESPACE: &str = "root/test";
pub(crate) const PASSWORD: &str = "correct horse";

/// Disks by number, and methods that show one thing each.
#[derive(Default)]
pub(crate) struct Lab {
    pub(crate) disks: usize,
    /// Bytes of the `Notes` of each disk.
    pub(crate) notes_bytes: usize,
    /// How often `Slow` was begun.
    pub(crate) slow_calls: AtomicUsize,
}

pub(crate) fn disk(number: usize) -> Instance {
    Instance::new("Lab_Disk")
        .in_namespace(NAMESPACE)
        .with("InstanceID", format!(r"Microsoft:{number}\Disk"))
        .with("Name", format!("disk {number} <&> \"'"))
        .with("Number", u32::try_from(number).unwrap_or(u32::MAX))
        .with("Size", u64::MAX - number as u64)
        .with("Online", number.is_multiple_of(2))
        .with("Comment", "")
        .with("Caption", Value::Null)
        .with("None", Vec::<u16>::new())
        .with("One", vec![7u16])
        .with("OperationalStatus", vec![2u16, 32772])
        .with("Created", DateTime::parse_iso("2025-03-09T03:06:25Z"))
        .with("Age", Interval::parse_iso("P0DT0H1M40S"))
        .with("Parent", reference(number + 1))
}

pub(crate) fn reference(number: usize) -> Reference {
    Reference::new(NAMESPACE, "Lab_Disk").with_key("InstanceID", format!(r"Microsoft:{number}\Disk"))
}

impl Lab {
    fn all(&self) -> Vec<Instance> {
        let notes = "n".repeat(self.notes_bytes);
        (0..self.disks).map(|number| disk(number).with("Notes", notes.as_str())).collect()
    }

    fn echo(arguments: &Instance) -> Output {
        let mut output = Output::new(0);
        for (name, value) in arguments.iter() {
            output.values.set(name, value.clone());
        }
        output
    }
}

impl Provider for Lab {
    fn identify(&self) -> Identity {
        Identity::windows("10.0.20348")
    }

    fn authenticate(&self, user: &str, password: &str) -> bool {
        user == "operator" && password == PASSWORD
    }

    async fn get(&self, target: &Reference) -> Result<Instance, Fault> {
        if !target.is_class("Lab_Disk") {
            return Err(Fault::wmi(code::WBEM_INVALID_CLASS, "Invalid class"));
        }
        let id = target.key("InstanceID").filter(|_| target.key_count() == 1);
        let id = id.ok_or_else(|| Fault::new(code::INVALID_SELECTORS))?;
        let found =
            self.all().into_iter().find(|disk| disk.get_str("InstanceID").is_ok_and(|known| known == id));
        found.ok_or_else(|| Fault::wmi(code::WBEM_NOT_FOUND, "Not found"))
    }

    async fn query(&self, _namespace: &str, query: &Query) -> Result<Vec<Instance>, Fault> {
        match query {
            Query::Select(select) => Ok(self.all().into_iter().filter(|disk| select.matches(disk)).collect()),
            Query::Associators(query) => {
                let parent = self
                    .get(&query.source)
                    .await?
                    .get_reference("Parent")
                    .map_err(|_| Fault::new(code::WBEM_FAILED))?;
                self.get(&parent).await.map(|disk| vec![disk])
            }
            Query::References(_) => Err(Fault::new(code::WBEM_FAILED)),
        }
    }

    async fn invoke(&self, _target: &Reference, method: &str, arguments: &Instance) -> Result<Output, Fault> {
        match method {
            "Echo" => Ok(Self::echo(arguments)),
            "Start" => Ok(Output::new(4096).with("Job", reference(9)).with("Result", Value::Null)),
            "Big" => Ok(Output::new(0).with("Offsets", (0..100_000u64).collect::<Vec<_>>())),
            "Slow" => {
                self.slow_calls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(Output::new(0))
            }
            _ => Err(Fault::new(code::INVALID_ACTION_URI)),
        }
    }
}

pub(crate) fn options() -> ClientOptions {
    let mut options = ClientOptions::new("http://lab:5985/wsman", Credentials::basic("operator", PASSWORD));
    NAMESPACE.clone_into(&mut options.namespace);
    options
}

/// A client of a served lab.
pub(crate) fn client(lab: Lab) -> Client {
    client_with(Arc::new(lab), ServerOptions::default(), options())
}

pub(crate) fn client_with(lab: Arc<Lab>, server: ServerOptions, options: ClientOptions) -> Client {
    let (connector, listener) = memory();
    let server = Server::new(lab, server);
    tokio::spawn(async move { server.serve_memory(listener).await });
    Client::new(Arc::new(connector), options).unwrap()
}

pub(crate) fn lab(disks: usize) -> Lab {
    Lab { disks, ..Lab::default() }
}
