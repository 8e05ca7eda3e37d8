//! Which failures pass by themselves, so that doing the same again can help: of the operating
//! system, of another process that holds the state store or a table, of a network.

use std::error::Error;
use std::io;
use std::sync::Arc;

use crate::error::LakeError;
use crate::hub::HubError;
use crate::registry::RegistryError;
use crate::state::StateError;

/// Whether an error, or a cause of it, is one that passes.
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if passes(current) {
            return true;
        }
        cause = current.source();
    }
    false
}

fn passes(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_the_system(error);
    }
    if let Some(error) = error.downcast_ref::<Arc<io::Error>>() {
        return of_the_system(error);
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        let asked_to_wait = error.status().is_some_and(|status| {
            status.is_server_error() || [408, 429].contains(&status.as_u16())
        });
        return error.is_timeout() || error.is_connect() || asked_to_wait;
    }
    let of_lake = error.downcast_ref::<LakeError>();
    let of_state = error.downcast_ref::<StateError>();
    let of_registry = error.downcast_ref::<RegistryError>();
    let of_hub = error.downcast_ref::<HubError>();
    of_lake.is_some_and(LakeError::is_transient)
        || of_state.is_some_and(StateError::is_transient)
        || of_registry.is_some_and(RegistryError::is_transient)
        || of_hub.is_some_and(HubError::is_transient)
}

/// Too many open files, in this process or in all: some will be closed.
#[cfg(unix)]
const TOO_MANY_FILES: [i32; 2] = [24, 23];

fn of_the_system(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    #[cfg(unix)]
    if error
        .raw_os_error()
        .is_some_and(|code| TOO_MANY_FILES.contains(&code))
    {
        return true;
    }
    matches!(
        error.kind(),
        Kind::Interrupted
            | Kind::WouldBlock
            | Kind::TimedOut
            | Kind::ResourceBusy
            | Kind::StaleNetworkFileHandle
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use datafusion::error::DataFusionError;

    use super::*;

    #[test]
    fn a_cause_that_passes_is_found_however_deep() {
        let unwritable = |kind: io::ErrorKind| LakeError::Unwritable {
            path: "t".into(),
            source: kind.into(),
        };
        let wrapped = |kind| LakeError::Rows {
            table: "a.t".parse().unwrap(),
            source: Box::new(DataFusionError::Shared(Arc::new(
                DataFusionError::External(Box::new(unwritable(kind))),
            ))),
        };
        assert!(is_transient(&unwritable(io::ErrorKind::TimedOut)));
        assert!(is_transient(&wrapped(io::ErrorKind::ConnectionReset)));
        assert!(is_transient(&wrapped(io::ErrorKind::Interrupted)));
        for lasting in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotFound,
        ] {
            assert!(!is_transient(&unwritable(lasting)), "{lasting}");
            assert!(!is_transient(&wrapped(lasting)), "{lasting}");
        }
        assert!(!is_transient(&DataFusionError::Plan(
            "no such column".into()
        )));
    }
}
