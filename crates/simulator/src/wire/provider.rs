//! The meaning behind the WS-Management server: reads come from the model, methods go to the host.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use winremote::cim::{Instance, Reference};
use winremote::wsman::server::Provider;
use winremote::wsman::wql::{Associators, Query, References, Select};
use winremote::wsman::{Fault, Identity, Output, code};

use super::associations::{self, Associated};
use super::instances::View;
use super::methods::{self, Call};
use super::schema;
use crate::fault::FaultEffect;
use crate::host::HostCore;
use crate::host::refusal::Refusal;

/// The host as a provider.
#[derive(Debug)]
pub(crate) struct HostProvider {
    core: Arc<HostCore>,
}

impl HostProvider {
    pub(crate) fn new(core: Arc<HostCore>) -> HostProvider {
        HostProvider { core }
    }

    /// Counts a call and lets a fault that was ordered for it happen.
    async fn begin(&self, call: &str) -> Begun {
        let effect = {
            let mut state = self.core.state();
            *state.calls.entry(call.to_owned()).or_default() += 1;
            state.faults.take(call)
        };
        match effect {
            Some(FaultEffect::Return(code)) => Begun::Answered(code),
            Some(FaultEffect::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Begun::GoOn { for_job: None, cut_after: false }
            }
            Some(FaultEffect::DropConnection { carried_out: false }) => {
                self.cut_connections();
                Begun::Answered(0)
            }
            Some(FaultEffect::DropConnection { carried_out: true }) => {
                Begun::GoOn { for_job: None, cut_after: true }
            }
            for_job => Begun::GoOn { for_job, cut_after: false },
        }
    }

    fn cut_connections(&self) {
        self.core.cut.fetch_add(1, Ordering::SeqCst);
    }

    /// A read: everything that a fault can do to it, then the view.
    async fn read<T>(&self, call: &str, read: impl FnOnce(&View) -> Read<T>) -> Result<T, Fault> {
        match self.begin(call).await {
            Begun::Answered(code) => Err(Fault::wmi(code, "The call failed.")),
            Begun::GoOn { cut_after, .. } => {
                let answer = read(&View::of(&self.core));
                if cut_after {
                    self.cut_connections();
                }
                answer.map_err(|fault| *fault)
            }
        }
    }
}

/// A fault on its way through helpers; boxed, since answers are common and faults are not.
type Read<T> = Result<T, Box<Fault>>;

fn wmi(code: u32, text: impl Into<String>) -> Box<Fault> {
    Box::new(Fault::wmi(code, text))
}

/// How a call begins.
enum Begun {
    /// It is answered with this code, nothing more is done.
    Answered(u32),
    /// It is carried out.
    GoOn { for_job: Option<FaultEffect>, cut_after: bool },
}

impl Provider for HostProvider {
    fn identify(&self) -> Identity {
        Identity::windows(&self.core.identity.os_version)
    }

    fn authenticate(&self, user: &str, password: &str) -> bool {
        let known = &self.core.identity;
        user.eq_ignore_ascii_case(&known.user) && password == known.password
    }

    async fn get(&self, target: &Reference) -> Result<Instance, Fault> {
        self.read("Get", |view| {
            check_class(&target.namespace, &target.class)?;
            check_keys(target)?;
            view.find(target).ok_or_else(|| wmi(code::WBEM_NOT_FOUND, "Not found"))
        })
        .await
    }

    async fn query(&self, namespace: &str, query: &Query) -> Result<Vec<Instance>, Fault> {
        self.read("Query", |view| match query {
            Query::Select(select) => self::select(view, namespace, select),
            Query::Associators(query) => associators(view, namespace, query),
            Query::References(query) => references(view, namespace, query),
        })
        .await
    }

    async fn invoke(&self, target: &Reference, method: &str, arguments: &Instance) -> Result<Output, Fault> {
        let (for_job, cut_after) = match self.begin(method).await {
            Begun::Answered(code) => return Ok(Output::new(code)),
            Begun::GoOn { for_job, cut_after } => (for_job, cut_after),
        };
        let core = Arc::clone(&self.core);
        let (target, name, arguments) = (target.clone(), method.to_owned(), arguments.clone());
        let carried_out = tokio::task::spawn_blocking(move || {
            let call = Call { core: &core, target: &target, arguments: &arguments, fault: for_job };
            methods::dispatch(&call, &name)
        });
        let answer = carried_out.await;
        if cut_after {
            self.cut_connections();
        }
        match answer {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(Refusal::Return(code))) => Ok(Output::new(code)),
            Ok(Err(Refusal::Fault(fault))) => Err(*fault),
            Err(error) => Err(Fault::wmi(code::WBEM_FAILED, error.to_string())),
        }
    }
}

fn check_class(namespace: &str, class: &str) -> Read<()> {
    if schema::classes_in(namespace).next().is_none() {
        return Err(wmi(code::WBEM_INVALID_NAMESPACE, format!("Invalid namespace: {namespace}")));
    }
    if schema::classes_in(namespace).any(|known| known.name.eq_ignore_ascii_case(class)) {
        Ok(())
    } else {
        Err(wmi(code::WBEM_INVALID_CLASS, format!("Invalid class: {class}")))
    }
}

/// Selectors must be keys of the class, and there must be one.
fn check_keys(target: &Reference) -> Read<()> {
    let keys = schema::keys(&target.class);
    let known = |name: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(name));
    if target.key_count() == 0 || target.keys().any(|(name, _)| !known(name)) {
        return Err(Box::new(Fault::new(code::INVALID_SELECTORS)));
    }
    Ok(())
}

fn select(view: &View, namespace: &str, select: &Select) -> Read<Vec<Instance>> {
    check_class(namespace, &select.class)?;
    let all = view.instances_of(namespace, &select.class);
    Ok(all.into_iter().filter(|instance| select.matches(instance)).collect())
}

fn associators(view: &View, namespace: &str, query: &Associators) -> Read<Vec<Instance>> {
    let source = source(view, namespace, &query.source)?;
    check_association(query.assoc_class.as_deref())?;
    if let Some(class) = &query.result_class {
        check_class(namespace, class)?;
    }
    let wanted = |found: &Associated| {
        same(query.assoc_class.as_deref(), found.association)
            && same(query.role.as_deref(), found.source_role)
            && same(query.result_role.as_deref(), found.result_role)
            && query.result_class.as_deref().is_none_or(|class| schema::is_a(&found.object.class, class))
    };
    let mut objects: Vec<Instance> = Vec::new();
    for found in associations::of(view, &source).into_iter().filter(wanted) {
        if !objects.contains(&found.object) {
            objects.push(found.object);
        }
    }
    Ok(objects)
}

fn references(view: &View, namespace: &str, query: &References) -> Read<Vec<Instance>> {
    let source = source(view, namespace, &query.source)?;
    check_association(query.result_class.as_deref())?;
    let found = associations::of(view, &source).into_iter().filter(|found| {
        same(query.result_class.as_deref(), found.association)
            && same(query.role.as_deref(), found.source_role)
    });
    Ok(found.filter_map(|found| associations::as_object(&source, &found)).collect())
}

fn source(view: &View, namespace: &str, source: &Reference) -> Read<Instance> {
    let named = if source.namespace.is_empty() { namespace } else { &source.namespace };
    check_class(named, &source.class)?;
    let mut target = source.clone();
    named.clone_into(&mut target.namespace);
    view.find(&target).ok_or_else(|| wmi(code::WBEM_NOT_FOUND, "Not found"))
}

fn check_association(class: Option<&str>) -> Read<()> {
    match class {
        Some(class) if !associations::is_known(class) => {
            Err(wmi(code::WBEM_INVALID_CLASS, format!("Invalid class: {class}")))
        }
        _ => Ok(()),
    }
}

/// Whether a name is not asked for, or the one asked for.
fn same(asked: Option<&str>, found: &str) -> bool {
    asked.is_none_or(|asked| asked.eq_ignore_ascii_case(found))
}
