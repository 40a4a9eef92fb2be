//! What a running supervisor is asked for: to start, stop, restart and forget a child.

use std::collections::VecDeque;

use super::work::{Then, Why};
use super::{Asker, ChildKey, ChildSpec, ChildState, Decision, Effect, Machine, Request, Strategy};
use crate::error::{Code, Error};

impl Machine {
    /// Does what somebody asks for, or says why not. Nothing else is being done.
    pub(super) fn ask(&mut self, asker: Asker, request: Request) {
        let refusal = match request {
            Request::Start(spec) => self.ask_start(asker, spec),
            Request::Terminate(name) => self.ask_terminate(asker, &name),
            Request::Restart(name) => self.ask_restart(asker, &name),
            Request::Delete(name) => self.ask_delete(asker, &name),
        };
        if let Err(error) = refusal {
            self.out.push(Effect::Answer(asker, Err(error)));
        }
    }

    fn ask_start(&mut self, asker: Asker, mut spec: ChildSpec) -> Result<(), Error> {
        let path = &self.path;
        let (count, max) = (self.children.len(), self.children_max);
        if self.strategy == Strategy::Dynamic {
            spec.name = format!("{}#{}", spec.name, self.numbers + 1);
        } else if let Some(key) = self.by_name.get(&spec.name) {
            let cure = match self.child(*key).state {
                ChildState::Stopped => "restart it, or delete it first",
                _ => "it runs; use it, or give yours another name",
            };
            return Err(Code::ChildDuplicate
                .error(format!("supervisor {path} has a child called `{}`; {cure}", spec.name)));
        }
        if count >= max {
            return Err(Code::SupervisorFull.error(format!(
                "supervisor {path} has {count} children, the limit is {max}; start it when one has ended"
            )));
        }
        let name = spec.name.clone();
        let child = self.add(spec.clone());
        self.out.push(Effect::Add { child, asker });
        self.tell(Decision::ChildAdded { child: name, spec: Box::new(spec) });
        self.start_all(VecDeque::from([child]), Why::Asked { asker, is_new: true });
        Ok(())
    }

    fn ask_terminate(&mut self, asker: Asker, name: &str) -> Result<(), Error> {
        let key = self.find(name)?;
        self.stop_all(VecDeque::from([key]), Then::Answer(asker));
        Ok(())
    }

    fn ask_restart(&mut self, asker: Asker, name: &str) -> Result<(), Error> {
        let key = self.find_stopped(name)?;
        self.start_all(VecDeque::from([key]), Why::Asked { asker, is_new: false });
        Ok(())
    }

    fn ask_delete(&mut self, asker: Asker, name: &str) -> Result<(), Error> {
        let key = self.find_stopped(name)?;
        self.forget(key);
        self.out.push(Effect::Answer(asker, Ok(String::new())));
        Ok(())
    }

    fn find(&self, name: &str) -> Result<ChildKey, Error> {
        self.by_name.get(name).copied().ok_or_else(|| {
            Code::ChildUnknown.error(format!(
                "supervisor {} has no child called `{name}`; its tree says which it has",
                self.path
            ))
        })
    }

    /// A child that may be started or forgotten.
    fn find_stopped(&self, name: &str) -> Result<ChildKey, Error> {
        let path = &self.path;
        if self.strategy == Strategy::Dynamic {
            return Err(Code::ChildDynamic.error(format!(
                "supervisor {path} is dynamic and keeps no child that does not run; \
                 start another child instead of `{name}`"
            )));
        }
        let key = self.find(name)?;
        match self.child(key).state {
            ChildState::Stopped => Ok(key),
            ChildState::Restarting { .. } => Err(Code::ChildRestarting.error(format!(
                "child `{name}` of supervisor {path} is about to be restarted; terminate it first"
            ))),
            _ => Err(Code::ChildRunning
                .error(format!("child `{name}` of supervisor {path} runs; terminate it first"))),
        }
    }
}
