//! The operations: Identify, Get, Enumerate with Pull, and Invoke.

use super::Client;
use super::exchange::{Call, Repeat};
use crate::cim::{Instance, Reference, Value};
use crate::error::{Error, Result};
use crate::wsman::endpoint::namespace_of;
use crate::wsman::names::{ACTION_ENUMERATE, ACTION_GET, ACTION_PULL, ACTION_RELEASE, class_uri};
use crate::wsman::{Identity, Output, enumerate, identify, invoke, values, wql};

/// Replies of one query together at most, in bytes: a hundred thousand typical instances.
const QUERY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Replies in a row without any item at most. Hosts send none when nothing was ready in time.
const EMPTY_PAGES_MAX: usize = 50;

impl Client {
    /// What the host says of itself, signed in.
    pub async fn identify(&self) -> Result<Identity> {
        self.identify_as(true).await
    }

    /// What the host says of itself to anyone; tells "nobody there" and "not WinRM" from "wrong password".
    pub async fn identify_unauthenticated(&self) -> Result<Identity> {
        self.identify_as(false).await
    }

    async fn identify_as(&self, sign_in: bool) -> Result<Identity> {
        let message = self.post(identify::request(), sign_in, "Identify", Repeat::Harmless).await?;
        identify::read_reply(&message.body).ok_or_else(|| Error::NotWsManagement {
            host: self.address().to_owned(),
            found: "SOAP, but no answer to Identify".to_owned(),
        })
    }

    /// One object.
    pub async fn get(&self, target: &Reference) -> Result<Instance> {
        let namespace = namespace_of(target, &self.inner.options.namespace);
        let call = Call {
            operation: format!("Get of {}", named(target)),
            action: ACTION_GET.to_owned(),
            resource_uri: class_uri(namespace, &target.class),
            selectors: Some(target),
            body: String::new(),
            repeat: Repeat::Harmless,
        };
        let message = self.call(&call).await?;
        let element = message.only_child().ok_or_else(|| self.malformed(&call, "it holds no object"))?;
        values::read_instance(element).map_err(|why| self.malformed(&call, &why))
    }

    /// All instances that a WQL query names. An empty namespace means the default one. Of instances of a query for
    /// columns the class is the one in `from`, as the host does not tell it.
    pub async fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>> {
        let class_of_columns = match wql::parse(wql) {
            Ok(wql::Query::Select(select)) => select.class,
            _ => String::new(),
        };
        self.collect(namespace, "*", Some(wql), &class_of_columns).await
    }

    /// All instances of one class, without a query.
    pub async fn enumerate(&self, namespace: &str, class: &str) -> Result<Vec<Instance>> {
        self.collect(namespace, class, None, class).await
    }

    /// Objects associated with the source. Empty class names do not narrow.
    pub async fn associators(
        &self,
        source: &Reference,
        assoc_class: &str,
        result_class: &str,
    ) -> Result<Vec<Instance>> {
        let given = |class: &str| (!class.is_empty()).then(|| class.to_owned());
        let query = wql::Associators {
            source: relative(source),
            assoc_class: given(assoc_class),
            result_class: given(result_class),
            role: None,
            result_role: None,
        };
        self.query(&source.namespace, &query.to_string()).await
    }

    /// Calls a method. An error whose [`Error::may_have_run`] is true must not lead to the same call again before its
    /// effect was looked for.
    pub async fn invoke<N: Into<String>>(
        &self,
        target: &Reference,
        method: &str,
        arguments: impl IntoIterator<Item = (N, Value)>,
    ) -> Result<Output> {
        let namespace = namespace_of(target, &self.inner.options.namespace);
        let uri = class_uri(namespace, &target.class);
        let mut input = Instance::default();
        for (name, value) in arguments {
            input.set(name, value);
        }
        let call = Call {
            operation: format!("{method} of {}", named(target)),
            action: format!("{uri}/{method}"),
            resource_uri: uri,
            selectors: Some(target),
            body: invoke::input_body(namespace, &target.class, method, &input),
            repeat: Repeat::Dangerous,
        };
        let message = self.call(&call).await?;
        invoke::read_output(&message.body, method).map_err(|why| self.malformed(&call, &why))
    }

    /// Enumerates and pulls until the end, within the limits on items and bytes.
    async fn collect(
        &self,
        namespace: &str,
        class: &str,
        wql: Option<&str>,
        class_of_columns: &str,
    ) -> Result<Vec<Instance>> {
        let namespace = if namespace.is_empty() { &self.inner.options.namespace } else { namespace };
        let mut call = Call {
            operation: wql
                .map_or_else(|| format!("Enumerate of {class}"), |wql| format!("the query {wql:?}")),
            action: ACTION_ENUMERATE.to_owned(),
            resource_uri: class_uri(namespace, class),
            selectors: None,
            body: enumerate::enumerate_body(wql),
            repeat: Repeat::Harmless,
        };
        let mut taken = Taken::default();
        loop {
            let message = self.call(&call).await?;
            let page = enumerate::read_page(&message.body, class_of_columns);
            let page = page.map_err(|why| self.malformed(&call, &why))?;
            taken.add(page.items, message.bytes);
            if let Some(limit) = taken.over(self.inner.options.items_max) {
                if let Some(context) = &page.context {
                    self.release(&call, context).await;
                }
                let (host, operation) = (self.address().to_owned(), call.operation);
                return Err(Error::ReplyTooLarge { host, operation, limit, may_have_run: false });
            }
            let Some(context) = page.context else { return Ok(taken.items) };
            ACTION_PULL.clone_into(&mut call.action);
            call.body = enumerate::pull_body(&context);
            // The context is used up by the attempt, so a repeat would only find it gone.
            call.repeat = Repeat::Useless;
        }
    }

    /// Ends an enumeration early. The host forgets it by itself in a minute, so a failure does not matter.
    async fn release(&self, call: &Call<'_>, context: &str) {
        let release = Call {
            operation: "Release".to_owned(),
            action: ACTION_RELEASE.to_owned(),
            resource_uri: call.resource_uri.clone(),
            selectors: None,
            body: enumerate::release_body(context),
            repeat: Repeat::Harmless,
        };
        if let Err(error) = self.call(&release).await {
            tracing::debug!(host = self.address(), %error, "an enumeration was left to expire");
        }
    }
}

/// What an enumeration has given so far.
#[derive(Default)]
struct Taken {
    items: Vec<Instance>,
    bytes: usize,
    empty_pages: usize,
}

impl Taken {
    fn add(&mut self, items: Vec<Instance>, bytes: usize) {
        self.empty_pages = if items.is_empty() { self.empty_pages + 1 } else { 0 };
        self.bytes += bytes;
        self.items.extend(items);
    }

    /// The limit that is passed, if one is.
    fn over(&self, items_max: usize) -> Option<String> {
        if self.items.len() > items_max {
            Some(format!("{items_max} instances"))
        } else if self.bytes > QUERY_BYTES_MAX {
            Some(format!("{QUERY_BYTES_MAX} bytes"))
        } else {
            (self.empty_pages > EMPTY_PAGES_MAX).then(|| format!("{EMPTY_PAGES_MAX} replies without content"))
        }
    }
}

/// The reference without host and namespace, for error texts and for braces in queries.
fn relative(reference: &Reference) -> Reference {
    let mut relative = reference.clone();
    relative.host = None;
    relative.namespace.clear();
    relative
}

fn named(reference: &Reference) -> String {
    match reference.key_count() {
        0 => reference.class.clone(),
        _ => relative(reference).to_object_path(),
    }
}
