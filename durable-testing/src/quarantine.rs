//! An operator who looks after objects that do not run.

use durable::{Object, Quarantined, Stub};

use crate::Sim;
use crate::result::TestResult;

impl Sim {
    /// One page of the objects that are kept from running, of all classes.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile.
    pub async fn quarantined(&self) -> TestResult<Vec<Quarantined>> {
        let found = self.runtime()?.quarantined(None, None).await;
        Ok(found?)
    }

    /// Lets an object run again. Gives whether it was quarantined.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile.
    pub async fn release<O: Object<Stub = S>, S: Stub<O>>(&self, stub: &S) -> TestResult<bool> {
        let released = self.runtime()?.release(stub.id()?).await;
        Ok(released?)
    }

    /// Lets the next call to an object through. Gives whether it is quarantined.
    ///
    /// # Errors
    /// The node is down.
    pub fn retry<O: Object<Stub = S>, S: Stub<O>>(&self, stub: &S) -> TestResult<bool> {
        Ok(self.runtime()?.retry(stub.id()?)?)
    }
}
