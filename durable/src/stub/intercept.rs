//! Calls that are made here, as interceptors look at them.

use std::sync::Arc;

use super::{Address, Away, Way};
use crate::caller::{Who, WhoKey};
use crate::class::MethodSpec;
use crate::error::Error;
use crate::interceptor::{Interceptors, OutgoingCall};
use crate::metadata::Metadata;
use crate::object::Object;

impl<O: Object> Address<O> {
    /// The same address, whose calls these look at.
    pub(crate) fn intercepted(mut self, interceptors: &Interceptors) -> Self {
        if !interceptors.is_none() {
            let body = Arc::get_mut(&mut self.0).expect("the address was just made");
            body.interceptors = interceptors.clone();
        }
        self
    }

    /// Whether anybody looks at its calls.
    pub(super) fn has_interceptors(&self) -> bool {
        let of_runtime = match &self.0.way {
            Ok(Way::Here(target)) => !target.group.interceptors().is_none(),
            Ok(Way::Away(_)) | Err(_) => false,
        };
        of_runtime || !self.0.interceptors.is_none()
    }

    /// A call is about to be made. `metadata`: what is to travel with it.
    ///
    /// # Errors
    /// Why an interceptor does not let it pass.
    pub(super) fn on_call(
        &self,
        method: &'static MethodSpec,
        is_send: bool,
        metadata: &mut Metadata,
    ) -> Result<(), Error> {
        if !self.has_interceptors() {
            return Ok(());
        }
        let (id, name, further_in) = match self.way()? {
            Way::Here(target) => {
                (Some(target.id), target.name.as_deref(), Some(target.group.interceptors()))
            }
            Way::Away(Away { who: Who { key: WhoKey::Name(name), .. }, .. }) => {
                (None, Some(&**name), None)
            }
            Way::Away(Away { who: Who { key: WhoKey::Id(id), .. }, .. }) => (Some(*id), None, None),
        };
        let mut call = OutgoingCall { class: O::CLASS.name, id, name, method, is_send, metadata };
        let at = format!("`{}` of {self:?}", method.name);
        self.0.interceptors.on_call(&mut call, &at)?;
        further_in.map_or(Ok(()), |further_in| further_in.on_call(&mut call, &at))
    }
}
