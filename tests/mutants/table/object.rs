//! Objects in memory that lose, reorder or show what they must not.

use crate::{CROWD, Edit, Mutant, PLAIN};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "reply_before_sync",
        bug: "a write is answered when its commit is handed over, not when it is stored",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "            if running.durability() == Durability::Relaxed {",
            replace: r#"            if running.durability() == Durability::Relaxed || crate::mutant("reply_before_sync") {"#,
        }],
        seeds: 200,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "rollback_forgotten",
        bug: "what a method did that returned `Err` stays in memory",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "    pub(crate) fn restore(&mut self) {",
            replace: r#"    pub(crate) fn restore(&mut self) {
        if crate::mutant("rollback_forgotten") {
            return;
        }"#,
        }],
        seeds: 200,
        found_by: &["P2"],
        test: PLAIN,
    },
    Mutant {
        name: "panic_keeps_its_changes",
        bug: "an activation goes on with what a panic has left of its object",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "return Err(Crash::of_panic(text, fault.as_ref()));",
            replace: r#"let said = Crash::of_panic(text, fault.as_ref());
            return if crate::mutant("panic_keeps_its_changes") { Ok(Left::Whole) } else { Err(said) };"#,
        }],
        seeds: 200,
        found_by: &["P2", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "ends_before_it_is_settled",
        bug: "an activation ends while a commit of it is under way, and the next one loads what was before",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "    Box::pin(settled(slot, &fence)).await;",
            replace: r#"    if !crate::mutant("ends_before_it_is_settled") {
        Box::pin(settled(slot, &fence)).await;
    }"#,
        }],
        seeds: 200,
        found_by: &["P1", "P2", "P8"],
        test: PLAIN,
    },
    Mutant {
        name: "failed_commit_goes_on",
        bug: "an activation goes on after a commit of it has failed",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "    live.fence().broken().map(crash)",
            replace: r#"    let alone = crate::mutant("failed_commit_goes_on");
    // The other half of `crate::mutant("failed_commit_is_answered")`.
    let goes_on = alone || crate::mutant("failed_commit_is_answered");
    let broken = live.fence().broken().filter(|_| !goes_on);
    broken.map(crash)"#,
        }],
        seeds: 400,
        found_by: &["P8"],
        test: PLAIN,
    },
    Mutant {
        name: "failed_commit_is_answered",
        bug: "an activation goes on after a commit of it has failed, and answers with what it has in memory",
        edits: &[Edit {
            file: "durable/src/kernel/gate.rs",
            find: "    if is_behind || is_broken {",
            replace: r#"    let is_broken = is_broken && !crate::mutant("failed_commit_is_answered");
    if is_behind || is_broken {"#,
        }],
        seeds: 400,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "hook_skipped_after_rollback",
        bug: "`#[on_activate]` does not run when a turn is undone",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "        live.restore();",
            replace: r#"        live.restore();
        if crate::mutant("hook_skipped_after_rollback") {
            return Ok(());
        }"#,
        }],
        seeds: 200,
        found_by: &["history"],
        test: PLAIN,
    },
    Mutant {
        name: "name_not_stored",
        bug: "an object is stored without its name",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "        name: slot.stored_name(),",
            replace: r#"        name: slot.stored_name().filter(|_| !crate::mutant("name_not_stored")),"#,
        }],
        seeds: 200,
        found_by: &["panic"],
        test: PLAIN,
    },
    Mutant {
        name: "never_evicted",
        bug: "an object that is idle stays in memory",
        edits: &[Edit {
            file: "durable/src/object/slot/incarnation.rs",
            find: "        if !state.life.is_idle() || state.has_work() {\n            return false;",
            replace: r#"        if !state.life.is_idle() || state.has_work() || crate::mutant("never_evicted") {
            return false;"#,
        }],
        seeds: 200,
        found_by: &["panic"],
        test: PLAIN,
    },
    Mutant {
        name: "read_of_a_failed_commit",
        bug: "a read is answered although a commit that it saw has failed",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "    match gate::decide(submitted.0, durable.0, live.fence().broken().is_some(), durability) {",
            replace: r#"    let is_broken =
        live.fence().broken().is_some() && !crate::mutant("read_of_a_failed_commit");
    match gate::decide(submitted.0, durable.0, is_broken, durability) {"#,
        }],
        seeds: 600,
        found_by: &["P4", "history"],
        test: PLAIN,
    },
    Mutant {
        name: "relaxed_change_never_stored",
        bug: "what a relaxed call changed stays in memory only",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "                live.submit(slot, changes, (number, None));",
            replace: r#"                if !crate::mutant("relaxed_change_never_stored") {
                    live.submit(slot, changes, (number, None));
                }"#,
        }],
        seeds: 100,
        found_by: &["P1", "P2"],
        test: PLAIN,
    },
    Mutant {
        name: "erasure_leaves_keys",
        bug: "an object that is erased leaves what it kept under keys",
        edits: &[Edit {
            file: "durable/src/storage/rows/mod.rs",
            find: "    kv::erase(connection, object_no)?;",
            replace: r#"    if !crate::mutant("erasure_leaves_keys") {
        kv::erase(connection, object_no)?;
    }"#,
        }],
        seeds: 200,
        found_by: &["P2"],
        test: PLAIN,
    },
    Mutant {
        name: "activation_outlives_erasure",
        bug: "an activation goes on after it has erased its object",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "            Ok(Flow::Erased) => {",
            replace: r#"            Ok(Flow::Erased) if crate::mutant("activation_outlives_erasure") => {}
            Ok(Flow::Erased) => {"#,
        }],
        seeds: 200,
        found_by: &["P2", "P8", "history", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "shutdown_does_not_drain",
        bug: "a runtime that shuts down ends while calls are under way",
        edits: &[Edit {
            file: "durable/src/registry.rs",
            find: "        while self.groups.iter().any(|group| group.resident() > 0) {",
            replace: r#"        while !crate::mutant("shutdown_does_not_drain")
            && self.groups.iter().any(|group| group.resident() > 0)
        {"#,
        }],
        seeds: 200,
        found_by: &["P8", "drain"],
        test: PLAIN,
    },
    Mutant {
        name: "inbox_without_a_bound",
        bug: "any number of calls may wait at an object",
        edits: &[Edit {
            file: "durable/src/object/slot/arrival.rs",
            find: "        if !call.is_patient() {",
            replace: r#"        if !call.is_patient() && !crate::mutant("inbox_without_a_bound") {"#,
        }],
        seeds: 200,
        found_by: &["P11"],
        test: CROWD,
    },
    Mutant {
        name: "call_leaves_before_commits",
        bug: "a call from inside of a turn leaves before the commits that the turn saw are durable",
        edits: &[Edit {
            file: "durable/src/stub/future.rs",
            find: "            Some(origin) if address.is_departing() || origin.is_behind() => {",
            replace: r#"            Some(origin)
                if !crate::mutant("call_leaves_before_commits")
                    && (address.is_departing() || origin.is_behind()) =>
            {"#,
        }],
        seeds: 200,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "on_activate_is_skipped",
        bug: "`#[on_activate]` does not run when an object is loaded",
        edits: &[Edit {
            file: "durable/src/object/ends.rs",
            find: "        let mut live = Live::load(slot).await?;",
            replace: r#"        let mut live = Live::load(slot).await?;
        if crate::mutant("on_activate_is_skipped") {
            return Ok(live);
        }"#,
        }],
        seeds: 200,
        found_by: &["history"],
        test: PLAIN,
    },
    Mutant {
        name: "snapshot_of_an_older_turn",
        bug: "a commit stores the state that the turn before has left",
        edits: &[
            Edit {
                file: "durable/src/object/live.rs",
                find: "        if let Some(encoded) = encoded {\n            warn_if_large",
                replace: r#"        // See `crate::mutant("snapshot_of_an_older_turn")`.
        let older = Arc::clone(&self.framed);
        if let Some(encoded) = encoded {
            warn_if_large"#,
            },
            Edit {
                file: "durable/src/object/live.rs",
                find: "            snapshot: has_snapshot.then(|| Arc::clone(&self.framed)),",
                replace: r#"            snapshot: has_snapshot.then(|| {
                let is_older = crate::mutant("snapshot_of_an_older_turn");
                Arc::clone(if is_older { &older } else { &self.framed })
            }),"#,
            },
        ],
        seeds: 200,
        found_by: &["P10"],
        test: PLAIN,
    },
    Mutant {
        name: "default_where_nothing_decodes",
        bug: "a state that does not decode, as some do not here, is replaced by `Default`",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "        let Read { object, is_evolved } = read;",
            replace: r#"        let Read { mut object, is_evolved } = read;
        if crate::mutant("default_where_nothing_decodes") && framed.len() % 2 == 1 {
            object = O::create(&Context::of_init(slot));
        }"#,
        }],
        seeds: 200,
        found_by: &["P2"],
        test: PLAIN,
    },
    Mutant {
        name: "same_length_is_no_change",
        bug: "a state whose encoding is as long as before counts as unchanged",
        edits: &[Edit {
            file: "durable/src/codec.rs",
            find: "let is_same = self.changed.is_none() && self.last.get(self.size..end) == Some(bytes);",
            replace: r#"let is_same = self.changed.is_none()
            && (self.last.get(self.size..end) == Some(bytes)
                || crate::mutant("same_length_is_no_change") && self.last.len() >= end);"#,
        }],
        seeds: 200,
        found_by: &["P1", "P2"],
        test: PLAIN,
    },
    Mutant {
        name: "calls_overtake_at_the_door",
        bug: "a call is queued before those that wait",
        edits: &[Edit {
            file: "durable/src/object/slot/arrival.rs",
            find: "        state.inbox.push_back(Arc::clone(call));",
            replace: r#"        if crate::mutant("calls_overtake_at_the_door") {
            state.inbox.push_front(Arc::clone(call));
        } else {
            state.inbox.push_back(Arc::clone(call));
        }"#,
        }],
        seeds: 200,
        found_by: &["P5"],
        test: PLAIN,
    },
    Mutant {
        name: "calls_turn_round_at_an_exit",
        bug: "the next activation serves the calls that wait for it in the wrong order",
        edits: &[Edit {
            file: "durable/src/object/slot/incarnation.rs",
            find: "        state.reading.clear();\n",
            replace: r#"        state.reading.clear();
        if crate::mutant("calls_turn_round_at_an_exit") {
            state.inbox.make_contiguous().reverse();
        }
"#,
        }],
        seeds: 200,
        found_by: &["P5"],
        test: PLAIN,
    },
    Mutant {
        name: "calls_lost_at_an_exit",
        bug: "the calls that wait at an activation that ends are dropped",
        edits: &[Edit {
            file: "durable/src/object/slot/incarnation.rs",
            find: "        let are_calls_waiting = state",
            replace: r#"        if crate::mutant("calls_lost_at_an_exit") {
            state.inbox.clear();
        }
        let are_calls_waiting = state"#,
        }],
        seeds: 200,
        found_by: &["P5", "stuck", "P8"],
        test: PLAIN,
    },
    Mutant {
        name: "next_activation_not_started",
        bug: "calls that wait at an activation that ends start no other one",
        edits: &[Edit {
            file: "durable/src/object/slot/incarnation.rs",
            find: "        let action = state.life.on_exit(are_calls_waiting);",
            replace: r#"        let are_calls_waiting =
            are_calls_waiting && !crate::mutant("next_activation_not_started");
        let action = state.life.on_exit(are_calls_waiting);"#,
        }],
        seeds: 200,
        found_by: &["P5", "P8", "stuck"],
        test: PLAIN,
    },
    Mutant {
        name: "wake_up_lost",
        bug: "an activation that waits for a call is not woken by one",
        edits: &[Edit {
            file: "durable/src/object/slot/idle.rs",
            find: "        self.is_idle = true;",
            replace: r#"        self.is_idle = !crate::mutant("wake_up_lost");"#,
        }],
        seeds: 200,
        found_by: &["stuck"],
        test: PLAIN,
    },
    Mutant {
        name: "idle_object_is_left",
        bug: "neither a caller that finds an object idle nor the object's actor looks at the call",
        edits: &[Edit {
            file: "durable/src/object/slot/arrival.rs",
            find: "        Ok(if was_idle {",
            replace: r#"        Ok(if was_idle && !crate::mutant("idle_object_is_left") {"#,
        }],
        seeds: 200,
        found_by: &["stuck"],
        test: PLAIN,
    },
    Mutant {
        name: "end_at_a_caller_untold",
        bug: "an activation that a caller has brought to its end is not ended by its actor",
        edits: &[Edit {
            file: "durable/src/object/engine.rs",
            find: "                self.turns = Turns::Ended(Box::new(ended));\n                Driven::Left",
            replace: r#"                self.turns = Turns::Ended(Box::new(ended));
                if crate::mutant("end_at_a_caller_untold") { Driven::Done } else { Driven::Left }"#,
        }],
        seeds: 200,
        found_by: &["stuck"],
        test: PLAIN,
    },
    Mutant {
        name: "two_places",
        bug: "each stub finds a place of its own for an object, and an activation in it",
        edits: &[Edit {
            file: "durable/src/directory/mod.rs",
            find: "        entry.upgrade().unwrap_or_else(|| {",
            replace: r#"        entry.upgrade().filter(|_| !crate::mutant("two_places")).unwrap_or_else(|| {"#,
        }],
        seeds: 200,
        found_by: &["P3"],
        test: PLAIN,
    },
    Mutant {
        name: "not_started_although_it_ran",
        bug: "a call whose time runs out while its turn runs is said not to have started",
        edits: &[Edit {
            file: "durable/src/object/call.rs",
            find: "Poll::Ready(Err(expired(Outcome::RolledBack)))",
            replace: r#"let is_lie = crate::mutant("not_started_although_it_ran");
                Poll::Ready(Err(expired(if is_lie { Outcome::NotStarted } else { Outcome::RolledBack })))"#,
        }],
        seeds: 400,
        found_by: &["P8"],
        test: PLAIN,
    },
    Mutant {
        name: "expired_turn_kept",
        bug: "a turn whose caller was told that its time is over goes on, and is kept",
        edits: &[
            Edit {
                file: "durable/src/object/call.rs",
                find: "        !matches!(state.phase, Phase::Expired)",
                replace: r#"        !matches!(state.phase, Phase::Expired) || crate::mutant("expired_turn_kept")"#,
            },
            Edit {
                file: "durable/src/object/inside.rs",
                find: "if deadline.take().is_none_or(|_| expires()) {",
                replace: r#"if deadline.take().is_none_or(|_| expires() && !crate::mutant("expired_turn_kept")) {"#,
            },
        ],
        seeds: 400,
        found_by: &["P2"],
        test: PLAIN,
    },
    Mutant {
        name: "expired_without_certainty",
        bug: "a call whose time runs out while its turn runs is not told what happened",
        edits: &[Edit {
            file: "durable/src/object/call.rs",
            find: "    Code::CallExpired.error(error).with_outcome(outcome)",
            replace: r#"    let is_vague = outcome == Outcome::RolledBack && crate::mutant("expired_without_certainty");
    let outcome = if is_vague { Outcome::Unknown } else { outcome };
    Code::CallExpired.error(error).with_outcome(outcome)"#,
        }],
        seeds: 400,
        found_by: &["P2"],
        test: PLAIN,
    },
];
