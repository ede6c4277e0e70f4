//! What a server needs from its owner: the objects behind it, and its settings.

use std::time::Duration;

use crate::cim::{Instance, Reference};
use crate::wsman::wql::Query;
use crate::wsman::{Fault, Identity, Output};

/// The meaning behind a server: its objects and methods. Implement with `async fn`.
///
/// A call whose time is up is dropped at its next `await`, like an operation that WinRM cancels.
pub trait Provider: Send + Sync + 'static {
    /// What the host says of itself.
    fn identify(&self) -> Identity;

    /// Whether this user with this password may sign in.
    fn authenticate(&self, user: &str, password: &str) -> bool;

    /// One object. Unknown objects are [`Fault::wmi`] with `WBEM_NOT_FOUND`, unknown classes `WBEM_INVALID_CLASS`,
    /// selectors that are no keys [`Fault::new`] with `INVALID_SELECTORS`. The namespace of the target is always set,
    /// its host never.
    fn get(&self, target: &Reference) -> impl Future<Output = Result<Instance, Fault>> + Send;

    /// The instances that a query names, whole: the server cuts them down to the selected columns itself. A plain
    /// enumeration of a class arrives as `select * from Class`. Sources in braces mostly come without namespace.
    fn query(
        &self,
        namespace: &str,
        query: &Query,
    ) -> impl Future<Output = Result<Vec<Instance>, Fault>> + Send;

    /// Calls a method. The target may be without keys, since methods can belong to a class. Arguments are untyped:
    /// text, references with namespace, null, and arrays only where an element stands more than once; the typed
    /// getters of [`Instance`] read them, among them `get_embedded` and `get_array::<Instance>` for CIM-XML.
    fn invoke(
        &self,
        target: &Reference,
        method: &str,
        arguments: &Instance,
    ) -> impl Future<Output = Result<Output, Fault>> + Send;
}

/// How a server behaves; the default is a Windows Server as it comes.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `MaxEnvelopeSizekb`, in bytes.
    pub max_envelope_bytes: u32,
    /// `MaxBatchItems`.
    pub batch_items_max: u32,
    /// Items in the first reply of an optimised enumeration; hosts often send one whatever was asked.
    pub first_reply_items: usize,
    /// `EnumerationTimeoutms`: contexts that are not pulled for so long are gone.
    pub enumeration_timeout: Duration,
    /// `MaxTimeoutms`: longer `OperationTimeout`s are cut to this.
    pub operation_timeout_max: Duration,
    /// `MaxConnections`.
    pub connections_max: usize,
    /// The machine's name in faults.
    pub machine: String,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_envelope_bytes: 512_000,
            batch_items_max: 32_000,
            first_reply_items: 1,
            enumeration_timeout: Duration::from_secs(60),
            operation_timeout_max: Duration::from_secs(60),
            connections_max: 300,
            machine: "localhost".to_owned(),
        }
    }
}
